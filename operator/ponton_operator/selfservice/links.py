"""How links are, as doors and pages see them: the shards behind them, and what an account's resource and beat tell.

Called by the account service, the pages and the host's pages. Sentences are in `words` and `model.states`.
"""

from collections.abc import Sequence
from typing import Final, Protocol

from ponton_bridge.coordination.contract import Happening, Heartbeat, Result
from ponton_bridge.core.day import Day
from ponton_bridge.model.states import TABLE, Next, Phase, Reason
from ponton_operator.plan.ends import UNPAIRED
from ponton_operator.plan.parking import TOLD, kept_by_scaler
from ponton_operator.resources.account import BridgeAccount, Desired
from ponton_operator.selfservice import words

# While a shard is kept up.
_NOT_BY_CODE: Final = frozenset({Reason.OUTDATED, Reason.CRASHING, Reason.UNREACHABLE, Reason.PASSKEY_ANSWERED})
_REASONS: Final = {reason.value: reason for reason in Reason}  # other words are the control plane's own


class Shards(Protocol):
    """How a door reaches the shard of an account (by Redis)."""

    async def command(self, account: str, verb: str, argument: str, seconds: float, keep: float) -> Result | None:
        """Ask, wait up to `seconds` for the result (None: no answer yet); the shard may still do it within `keep`."""

    async def heartbeat(self, account: str) -> Heartbeat | None:
        """Give the last heartbeat, None when there is none or Redis is away."""

    async def days(self, accounts: Sequence[str]) -> dict[str, Day]:
        """Give the last days in figures that there are."""

    async def history(self, account: str) -> list[Happening]:
        """Give what happened to an account, newest first."""


def reason_of(account: BridgeAccount, beat: Heartbeat | None) -> Reason:
    """Give the freshest word on a link: the shard's own heartbeat, else what the control plane holds."""
    if beat is not None and beat.reason in _REASONS and is_running(account):
        return _REASONS[beat.reason]
    kept = account.status.parking.reason if account.status.parking else account.status.reason
    return _REASONS.get(kept) or TOLD.get(kept, Reason.STARTING)


def sentence_of(account: BridgeAccount, reason: Reason) -> str:
    """Say how a link is; who has paused it is told how to go on."""
    return (
        words.PAUSED if account.spec.desired is Desired.PARKED and reason is Reason.PARKED else TABLE[reason].sentence
    )


def is_deleting(account: BridgeAccount) -> bool:
    """Tell whether the account is on its way out."""
    return account.metadata.deletion_timestamp is not None


def is_running(account: BridgeAccount) -> bool:
    """Tell whether there is, or will soon be, a shard that listens to commands."""
    kept = account.status.parking is not None or kept_by_scaler(account, account.status)
    return not kept and account.spec.desired is Desired.RUNNING


def keeps_link(account: BridgeAccount, reason: Reason) -> bool:
    """Tell whether the device is still linked at WhatsApp, whether or not a shard runs."""
    return account.status.paired and reason not in UNPAIRED | {Reason.STALE_STORE}


def no_use(account: BridgeAccount, reason: Reason) -> str:
    """Say why a code would not help: there is a link already, or it is the host's turn. '' when it would."""
    if account.spec.desired is Desired.STOPPED:
        return TABLE[Reason.STOPPED].sentence
    if TABLE[reason].phase in {Phase.RUNNING, Phase.DEGRADED, Phase.CONNECTING}:
        return words.LINKED_ALREADY
    if TABLE[reason].next is Next.PASSKEY:
        return words.ANSWER_FIRST
    return TABLE[reason].sentence if is_running(account) and reason in _NOT_BY_CODE else ""
