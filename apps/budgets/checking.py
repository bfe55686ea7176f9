"""What is odd about a budget that is accepted all the same: it may never count a request. docs/budgets.md lists it."""

from collections.abc import Iterator

from apps.budgets.models import Budget
from apps.keys.models import Key
from apps.orgs import units
from apps.policies import selectors
from apps.policies.catalog_names import CatalogNames
from apps.policies.selectors import told
from spendra.kernel.clock import database_now


def warnings(budget: Budget) -> list[str]:
    """A sentence for each reason why it may not hold what its author thinks it holds."""
    return [f"Warning: {text}" for text in (*_of_models(budget), *_of_keys(budget), *_of_scope(budget))]


def _of_models(budget: Budget) -> Iterator[str]:
    patterns = selectors.parse(budget.selector).models
    if not patterns:
        return
    catalog = CatalogNames.load()
    if unknown := [pattern for pattern in patterns if not catalog.models((pattern,))]:
        yield f"the catalog knows no model {told(unknown)}, so nothing is counted of it."
    if retired := [pattern for pattern in patterns if catalog.are_retired(pattern)]:
        yield f"the provider has retired {told(retired)}."


def _of_keys(budget: Budget) -> Iterator[str]:
    key_ids = selectors.parse(budget.selector).key_ids
    usable = Key.objects.filter(organization_id=budget.organization_id, key_id__in=key_ids, revoked_at=None)
    if key_ids and not usable.exists():
        yield "every key that it is for is revoked, so it counts nothing more."


def _of_scope(budget: Budget) -> Iterator[str]:
    if budget.fixed_ends_at is not None and budget.fixed_ends_at <= database_now():
        yield f"it ended on {budget.fixed_ends_at:%Y-%m-%d %H:%M} UTC, so it caps nothing."
    unit, each = budget.unit, budget.applies_to_each
    if unit is not None and unit.kind not in units.PLACES and each in units.BELONG_TO_PLACES_ONLY:
        yield f"no {each} can be below the {unit}, so it caps nothing."
