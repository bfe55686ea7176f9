"""GET /v1/models: what the key may use, in OpenAI's shape."""

from apps.gateway.admission import Admission, Caller
from apps.gateway.routing import is_granted

PROVIDER = "openai"


class ModelList:
    def __init__(self, admission: Admission) -> None:
        self._admission = admission

    async def __call__(self, caller: Caller) -> dict[str, object]:
        _, catalog, key = await self._admission.authenticate_now(caller)
        names = sorted(
            name
            for provider, name in catalog.catalog.entries
            if provider == PROVIDER and is_granted(key, provider, name)
        )
        return {
            "object": "list",
            "data": [{"id": name, "object": "model", "created": 0, "owned_by": PROVIDER} for name in names],
        }
