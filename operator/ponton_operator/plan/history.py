"""What happened to an account, from its status before and after: one entry for what was written at once. Pure.

Called by the reconciler, for the list that the host's page shows.
"""

from ponton_bridge.coordination.contract import Happening
from ponton_operator.resources.account import AccountStatus
from ponton_operator.resources.base import Truth

UNKNOWN = "unknown"  # how a shard ended that nobody saw end


def happened(before: AccountStatus, after: AccountStatus, now: float) -> Happening | None:
    """Give what changed, None when it was nothing that a person asks for; `now` in seconds since 1970."""
    new = (before.phase, before.reason) != (after.phase, after.reason)
    entry = Happening(
        time=now,
        state=f"{after.phase} {after.reason}" if new else "",
        turned=" ".join(_turned(before, after)),
        started=_started(before, after),
        ended=_ended(before, after),
    )
    return None if entry == Happening(now) else entry


def _turned(before: AccountStatus, after: AccountStatus) -> list[str]:
    """Give the conditions that turned; one that was never there is as good as not true."""
    old = {condition.type: condition.status for condition in before.conditions}
    now = {condition.type: condition.status for condition in after.conditions}
    known = {kind: old.get(kind, now[kind] if now[kind] != Truth.TRUE else "") for kind in now}
    came = [f"{kind}={status}" for kind, status in now.items() if known[kind] != status]
    went = [f"{kind}={Truth.FALSE}" for kind, status in old.items() if kind not in now and status == Truth.TRUE]
    return came + went


def _started(before: AccountStatus, after: AccountStatus) -> int:
    shard, old = after.shard, before.shard
    return shard.epoch if shard and (old is None or old.epoch != shard.epoch) else 0


def _ended(before: AccountStatus, after: AccountStatus) -> str:
    shard, old = after.shard, before.shard
    if shard is None or shard.ended is None or (old and old.epoch == shard.epoch and old.ended is not None):
        return ""
    return UNKNOWN if shard.exit_code is None else str(shard.exit_code)
