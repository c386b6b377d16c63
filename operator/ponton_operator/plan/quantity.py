"""Quantities of Kubernetes as numbers: "256Mi" as bytes. Called by `plan.tiers` and what compares pods with a tier."""

from decimal import Decimal
from typing import Final

_UNITS: Final = {
    "m": Decimal("0.001"),
    "": Decimal(1),
    "k": Decimal(1000),
    "M": Decimal(1000**2),
    "G": Decimal(1000**3),
    "T": Decimal(1000**4),
    "Ki": Decimal(1024),
    "Mi": Decimal(1024**2),
    "Gi": Decimal(1024**3),
    "Ti": Decimal(1024**4),
}


def as_number(quantity: str) -> Decimal:
    """Give what a quantity says, in its base unit (bytes, cores). Raises ValueError for what is none.

    >>> int(as_number("256Mi")), as_number("20m")
    (268435456, Decimal('0.020'))
    """
    digits = quantity.rstrip("mkKMGTi")
    unit = quantity[len(digits) :]
    if unit not in _UNITS or not digits.replace(".", "", 1).isdecimal():
        raise ValueError("This is no quantity.")
    return Decimal(digits) * _UNITS[unit]


def same(one: str, other: str) -> bool:
    """Whether two quantities say the same: an API server may write "0.25Gi" as "256Mi". Unreadable ones differ.

    >>> same("1Gi", "1024Mi"), same("1", "")
    (True, False)
    """
    try:
        return as_number(one) == as_number(other)
    except ValueError:
        return False
