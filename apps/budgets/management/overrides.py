"""How the commands about overrides tell one."""

from typing import Any

from apps.budgets.models import BudgetOverride, amount_in_words


def told(override: BudgetOverride) -> dict[str, object]:
    return {
        "id": str(override.id),
        "budget_id": str(override.budget_id),
        "measure": override.budget.measure,
        "amount": str(override.amount),
        "base": str(override.budget.amount),
        "starts_at": override.starts_at.isoformat(),
        "ends_at": override.ends_at.isoformat(),
        "ended_at": override.ended_at.isoformat() if override.ended_at else None,
        "author": override.author,
        "reason": override.reason,
    }


def describe(result: dict[str, Any]) -> str:
    cap, base = (amount_in_words(int(result[name]), result["measure"]) for name in ("amount", "base"))
    until = f", ended {result['ended_at']}" if result["ended_at"] else f" until {result['ends_at']}"
    return (
        f"{result['id']}  budget {result['budget_id']}: {cap} instead of {base} from {result['starts_at']}{until}, "
        f"by {result['author']}: {result['reason']}"
    )
