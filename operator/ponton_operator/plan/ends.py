"""How a process's end is read: which reasons park an account, which exit codes are tried again, and when.

Exit codes of a shard: 0 = ended as told or for good (the reason was published), 75 = try again, 78 = bad
configuration, anything else = crash. Called by `plan.account`.
"""

from enum import StrEnum
from typing import Final

from ponton_bridge.model.states import Reason

EX_OK: Final = 0
EX_TEMPFAIL: Final = 75  # sysexits.h
EX_CONFIG: Final = 78

# Reasons with which a shard ends for good: the account is parked until somebody acts.
PARKS: Final = frozenset({
    Reason.CODES_USED_UP,
    Reason.PAIRING_FAILED,
    Reason.LOGGED_OUT,
    Reason.UNLINKED,
    Reason.PHONE_GONE,
    Reason.BANNED,
    Reason.PASSKEY_NEEDED,
    Reason.PASSKEY_UNANSWERED,
    Reason.PASSKEY_FAILED,
    Reason.CODES_DIFFER,
    Reason.OUTDATED,
    Reason.REPLACED,
    Reason.FENCED,
    Reason.STALE_STORE,
    Reason.FAILED,
})  # fmt: skip
# Of these the device is no longer linked: there is nothing to unlink.
UNPAIRED: Final = frozenset({
    Reason.LOGGED_OUT,
    Reason.UNLINKED,
    Reason.PHONE_GONE,
    Reason.PAIRING_FAILED,
    Reason.PASSKEY_NEEDED,
    Reason.PASSKEY_UNANSWERED,
    Reason.PASSKEY_FAILED,
    Reason.CODES_DIFFER,
})  # fmt: skip
# In these somebody links a phone at this moment: the shard is left alone.
LINKING: Final = frozenset({
    Reason.WAITING_FOR_SCAN,
    Reason.WAITING_FOR_PASSKEY,
    Reason.PASSKEY_ANSWERED,
    Reason.COMPARING_CODES,
})  # fmt: skip
# Of these a new version or configuration may be the cure: tried again by itself when what would run has changed.
CURED_BY_UPDATE: Final = frozenset({Reason.OUTDATED, Reason.FAILED})

BACKOFF_FIRST: Final = 1.0  # seconds, before the second start; the first comes at once
BACKOFF_MAX: Final = 300.0  # seconds, as the kubelet's
HEALTHY_AFTER: Final = 120.0  # seconds of life after which an end counts as the first one again
CRASHING_FROM: Final = 3  # ends in a row; the account's reason is Crashing then


class End(StrEnum):
    """What an end means for the next start."""

    TOLD = "told"
    PARK = "park"
    RETRY = "retry"
    CONFIG = "config"


def read_end(exit_code: int | None, reason: str, *, told: bool) -> End:
    """Judge an end by its exit code, the last reason that the shard told, and whether we asked for it.

    A shard that has told its final reason lingers only to be asked for more: however it ends then, the link has ended.

    >>> read_end(0, "CodesUsedUp", told=False), read_end(-9, "LoggedOut", told=False)
    (<End.PARK: 'park'>, <End.PARK: 'park'>)
    """
    if exit_code != EX_CONFIG and reason in PARKS:
        return End.PARK
    if told:
        return End.TOLD
    return End.CONFIG if exit_code == EX_CONFIG else End.RETRY


def backoff(failures: int) -> float:
    """Give the seconds before the next start, after so many ends in a row.

    >>> [backoff(n) for n in (0, 1, 2, 3, 4, 99)]
    [0.0, 0.0, 1.0, 2.0, 4.0, 300.0]
    """
    return 0.0 if failures < 2 else min(BACKOFF_FIRST * 2.0 ** min(failures - 2, 30), BACKOFF_MAX)  # noqa: PLR2004
