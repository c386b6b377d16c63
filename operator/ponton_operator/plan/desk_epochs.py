"""The front desk's epochs: issued ahead by the gateways operator, spent by whoever becomes active (docs/adr/0005).

Pure. The operator keeps a stock of secrets, each derived for one epoch, in the Secret that the front desk mounts; which
was spent last stands in the annotation SPENT of the front desk's Lease, written in the same step that takes the Lease.
So a take-over needs neither the master secret nor an operator, and an epoch is never used twice.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Final

from ponton_operator.plan.secrets import front_desk_secret
from ponton_operator.plan.starting import next_epoch

SPENT: Final = "ponton.im/epoch"  # annotation of the Lease
# Take-overs that need no operator. The mounted file follows the Secret within about 90 s, a crash loop is slower.
SPARE: Final = 8
_MAX_DIGITS: Final = 15  # of an epoch, component-shards/1


def stock(before: Iterable[int], spent: int, now: float) -> tuple[int, ...]:
    """Give the epochs that the front desk may spend next, oldest first; `now` in seconds since 1970.

    >>> stock((1, 2, 3), 2, 0.0)[:3]
    (3, 4, 5)
    """
    kept = sorted({epoch for epoch in before if epoch > spent})[:SPARE]
    while len(kept) < SPARE:
        kept.append(next_epoch(kept[-1] if kept else spent, now))
    return tuple(kept)


def write_stock(master: str, domain: str, epochs: Iterable[int]) -> str:
    """Write epochs with their secrets, as the front desk reads them."""
    return json.dumps({str(epoch): front_desk_secret(master, domain, epoch) for epoch in epochs}, sort_keys=True)


def read_stock(text: str) -> dict[int, str]:
    """Read epochs and their secrets; what is none is left out.

    >>> read_stock('{"7": "s", "x": "t"}')
    {7: 's'}
    """
    try:
        raw = json.loads(text)
    except ValueError:
        return {}
    pairs = raw.items() if isinstance(raw, dict) else ()
    return {int(epoch): secret for epoch, secret in pairs if _is_epoch(epoch) and isinstance(secret, str) and secret}


def spent(annotations: Mapping[str, str]) -> int:
    """Give the epoch that was spent last, after the annotations of the Lease; 0 for none."""
    text = annotations.get(SPENT, "")
    return int(text) if _is_epoch(text) else 0


def spend(secrets: Mapping[int, str], last: int) -> int | None:
    """Choose the next epoch, None when the stock has none left."""
    return min((epoch for epoch in secrets if epoch > last), default=None)


def _is_epoch(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS
