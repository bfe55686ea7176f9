"""An explanation for a person to read."""

from collections.abc import Iterator
from typing import Any

from spendra.kernel.money import format_usd

Told = dict[str, Any]


def in_words(told: Told) -> str:
    """Of what `explained.told` says."""
    return "\n".join([*_verdict(told), "", *_asked(told), *_rules(told), *_money(told)])


def _verdict(told: Told) -> Iterator[str]:
    refusal = told["refusal"]
    if refusal is None:
        yield "Allowed."
        if approval := told.get("approval"):
            yield f"  It passes its review once, by approval {approval['id']}."
        return
    yield f"Refused: {refusal['code']} ({refusal['status']})"
    yield f"  {refusal['message']}"


def _asked(told: Told) -> Iterator[str]:
    request, key = told["request"], told["key"]
    granted = "grants it" if key["is_granted"] else "does not grant it"
    yield f"Request     {request['provider']}/{request['model']} at {told['at'][:19]}"
    yield f"Key         {key['key_id']} ({key['environment']}) {granted}: {', '.join(key['grants']) or 'nothing'}"
    yield f"Scopes      {', '.join(scope_in_words(scope) for scope in told['scopes'])}"
    if told["price_version_id"]:
        yield f"Price       version {told['price_version_id']}"
    if worst := told["worst_case"]:
        output = f"{worst['output_tokens']} of output" + (f" x {worst['choices']}" if worst["choices"] > 1 else "")
        assumed = ", assumed" if worst["is_default_output"] else ""
        yield f"Worst case  {worst['usd']} USD: {worst['input_tokens']} tokens of input, {output}{assumed}"


def _rules(told: Told) -> Iterator[str]:
    freezes, policies = told["freezes"], told["policies"]
    yield f"Freezes     {'none' if not freezes else ''}".rstrip()
    for freeze in freezes:
        yield f"  {freeze['reason']}"
    if policies is None:
        yield "Policies    not asked: it was refused before"
        return
    near = [one for one in policies if one["outcome"] != "not_in_scope"]
    yield f"Policies    {len(near)} of these scopes, {len(policies) - len(near)} of others"
    for one in near:
        yield from policy_in_words(one)


def policy_in_words(one: Told) -> Iterator[str]:
    shadow = ", in shadow" if one["is_shadow"] else ""
    yield f"  {one['outcome']:<12}{one['policy']}, version {one['version']} ({one['kind']} of {one['scope']}{shadow})"
    yield f"  {'':<12}{one['reason']}"


def _money(told: Told) -> Iterator[str]:
    if told["caps"] is None:
        yield "Caps        not looked at: it was refused before"
        return
    yield f"Caps        {'none applies' if not told['caps'] else ''}".rstrip()
    for cap in told["caps"]:
        yield from cap_in_words(cap)
    for budget in told["budgets_left_out"]:
        yield f"  not counted: {budget['period']} of {budget['scope']}. {budget['reason']}"


def cap_in_words(cap: Told) -> Iterator[str]:
    """What is left of it, by what it is measured in."""
    name = f"{cap['hardness']} {cap['period']} cap on {cap['scope']}"
    resets = f", resets at {cap['resets_at'][:16].replace('T', ' ')} UTC" if cap["resets_at"] else ""
    yield f"  {name}: {amount(cap, 'cap')}{resets}"
    yield (
        f"    settled {amount(cap, 'settled')}, reserved {amount(cap, 'reserved')}, "
        f"remaining {amount(cap, 'remaining')}" + (f", asked {amount(cap, 'asked')}" if "asked" in cap else "")
    )


def amount(cap: Told, name: str) -> str:
    value = int(cap[name])
    return f"{format_usd(value)} USD" if cap["measure"] == "nanos" else f"{value} {cap['measure']}"


def scope_in_words(scope: Told) -> str:
    return f"{scope['kind']} {scope['name']}"
