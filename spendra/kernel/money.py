"""Money is an integer of nano-USD (1e-9 USD). Only this module parses, rounds and formats it."""

import re
from typing import NewType

Nanos = NewType("Nanos", int)

NANOS_PER_USD = 1_000_000_000
UNITS_PER_PRICE = 1_000_000  # prices are nano-USD per million units
MAX_AMOUNT_NANOS = 10**15  # one million USD: the most a single reservation or entry may hold
MAX_CAP_NANOS = 4 * 10**18  # sums stay inside a signed 64-bit integer

_FIGURE_SPACE = "\u2007"
_USD = re.compile(r"-?\d{1,12}(\.\d{1,9})?", re.ASCII)


def parse_usd(text: str) -> Nanos:
    """The exact nanos of a decimal USD amount such as "1.50"; ValueError where it is not one.

    At most nine decimals: a tenth would have to be rounded, and what a person typed is never rounded.
    """
    if not _USD.fullmatch(text):
        raise ValueError(f"{text!r} is not an amount in USD: write it like 12.50, with at most nine decimals")
    whole, _, fraction = text.lstrip("-").partition(".")
    nanos = int(whole) * NANOS_PER_USD + int(fraction.ljust(9, "0"))
    return Nanos(-nanos if text.startswith("-") else nanos)


def format_usd(nanos: int) -> str:
    """Exact decimal USD with at least two decimals: 1500000000 → "1.50", 123 → "0.000000123"."""
    sign = "-" if nanos < 0 else ""
    whole, fraction = divmod(abs(nanos), NANOS_PER_USD)
    return f"{sign}{whole}.{f'{fraction:09d}'.rstrip('0').ljust(2, '0')}"


def align_usd(nanos: int) -> str:
    """For a column: figure spaces fill the nine decimals, so that the points stand below each other."""
    whole, _, fraction = format_usd(nanos).partition(".")
    return f"{whole}.{fraction.ljust(9, _FIGURE_SPACE)}"


def ceil_price(units_times_price: int) -> Nanos:
    """Nanos of a sum of units x (nanos per million units), rounded up: the one rounding of a request."""
    return Nanos(-(-units_times_price // UNITS_PER_PRICE))
