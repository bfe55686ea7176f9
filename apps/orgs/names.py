"""What people may call things: text that prints, so that it survives logs, terminals and Postgres."""

from spendra.kernel.errors import Invalid

_LONGEST = 200


def clean_name(text: str, *, of: str) -> str:
    name = text.strip()
    if not name or len(name) > _LONGEST:
        raise Invalid(f"The name of {of} must have 1 to {_LONGEST} characters, not {len(name)}.", param="name")
    if not name.isprintable():
        raise Invalid(f"The name of {of} has a character that does not print. Use letters, digits, signs, spaces.",
                      param="name")  # fmt: skip
    return name
