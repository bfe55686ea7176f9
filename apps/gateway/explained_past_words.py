"""The explanation of a past request, for a person to read."""

from collections.abc import Iterator

from apps.gateway.explained_words import Told, cap_in_words, policy_in_words, scope_in_words


def in_words(told: Told) -> str:
    """Of what `explaining_past.explain_past` says."""
    parts = _refused(told) if told["refusal"] else _granted(told)
    return "\n".join(parts)


def _refused(told: Told) -> Iterator[str]:
    refusal = told["refusal"]
    yield f"Refused: {refusal['code']}" + (f" ({refusal['status']})" if refusal["status"] else "")
    yield f"  {refusal['message']}"
    yield ""
    yield from _asked(told)
    if "policies" not in told:
        yield "Refused before policies and caps were asked."
        return
    worst = told["worst_case"]
    output = f"{worst['output_tokens']} of output" + (f" x {worst['choices']}" if worst["choices"] > 1 else "")
    yield f"Scopes      {', '.join(map(scope_in_words, told['scopes']))}"
    yield f"Price       version {told['price_version_id']}"
    yield f"Worst case  {worst['usd']} USD: {worst['input_tokens']} tokens of input, {output}"
    yield from _rules(told)


def _granted(told: Told) -> Iterator[str]:
    reservation, worst = told["reservation"], told["worst_case"]
    yield f"Allowed: {reservation['state']}, {reservation['booked_usd']} USD booked"
    if told["approval"]:
        yield f"  It passed its review by approval {told['approval']['id']}."
    yield ""
    yield from _asked(told)
    yield f"Scopes      {', '.join(map(scope_in_words, told['scopes']))}"
    yield f"Price       version {told['price_version_id']}"
    yield f"Worst case  {worst['usd']} USD, {worst['tokens']} tokens: reservation {reservation['id']}"
    yield from _entries(told)
    yield from _rules(told)


def _rules(told: Told) -> Iterator[str]:
    near = [one for one in told["policies"] if one["outcome"] != "not_in_scope"]
    yield f"Policies    {len(near)} of these scopes at that time"
    for policy in near:
        yield from policy_in_words(policy)
    if changed := told["changed_just_before"]:
        yield f"  Within the second before: {'; '.join(map(_change_in_words, changed))}."
        yield "  A change binds a moment after its time: the request may still have been decided without."
    yield f"Caps        {'as they are now' if told['caps'] else 'none applied'}"
    for cap in told["caps"]:
        yield from cap_in_words(cap)


def _change_in_words(change: Told) -> str:
    shadow = " in shadow" if change["is_shadow"] else ""
    return f"{change['policy']}, version {change['version']}{shadow} {change['change']}"


def _asked(told: Told) -> Iterator[str]:
    request = told["request"]
    name = f"{request['provider']}/{request['model']}" if request["model"] else "(refused before its model was read)"
    yield f"Request     {told['request_id']} for {name} at {told['at'][:19]}"
    yield f"Key         {told['key']['key_id']}"


def _entries(told: Told) -> Iterator[str]:
    yield f"Entries     {'none' if not told['entries'] else ''}".rstrip()
    for entry in told["entries"]:
        booked = entry["booked_at"][:19]
        yield f"  {entry['kind']} of {entry['amount_usd']} USD ({entry['status']}, {entry['cause']}) booked at {booked}"
