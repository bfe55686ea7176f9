"""GET /v1/models and /v1/models/{id}: what the key may use, in OpenAI's shape."""

from datetime import datetime

from apps.catalog.pricing import price_in_force
from apps.gateway.admission import Admission
from apps.gateway.attempts import Caller
from apps.gateway.routing import check_freezes, is_granted, policies_at, scopes_of, view_for
from apps.gateway.rules import CatalogRules, KeyRule, OrganizationRules
from apps.policies import evaluation
from spendra.kernel.errors import ModelNotFound

PROVIDER = "openai"


class ModelList:
    def __init__(self, admission: Admission) -> None:
        self._admission = admission

    async def __call__(self, caller: Caller) -> dict[str, object]:
        return {"object": "list", "data": [_told(name) for name in await self._usable(caller)]}

    async def one(self, caller: Caller, name: str) -> dict[str, object]:
        """ModelNotFound where the key may not use it."""
        if name not in await self._usable(caller):
            raise ModelNotFound("There is no such model that this key may use. GET /v1/models lists those that are.")
        return _told(name)

    async def _usable(self, caller: Caller) -> list[str]:
        (rules, catalog, key), at = await self._admission.authenticate_now(caller)
        return usable_models(rules, catalog, key, at)


def _told(name: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": 0, "owned_by": PROVIDER}


def usable_models(rules: OrganizationRules, catalog: CatalogRules, key: KeyRule, at: datetime) -> list[str]:
    """Those that the key is granted by that name, that have a price and that no policy denies at that instant, whatever
    the request; none without an account at the provider. Frozen where the stop switch is on."""
    units = scopes_of(rules, key)
    check_freezes(rules, key, units, PROVIDER)
    if PROVIDER not in rules.accounts:
        return []
    policies = policies_at(rules, units, at).rules

    def is_allowed(name: str, model: str) -> bool:
        view = view_for(rules, key, units, provider=PROVIDER, model=model, named_model=name, tools=frozenset())
        return evaluation.evaluate(policies, view).effect != "deny"

    return sorted(
        name
        for (provider, name), entry in catalog.catalog.entries.items()
        if provider == PROVIDER
        and is_granted(key, provider, name)
        and price_in_force(entry, rules.id, at) is not None
        and is_allowed(name, entry.model)
    )
