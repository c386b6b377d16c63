"""Alarms over all accounts of a gateway: a wave of bans, a storm of reconnections. Read from the accounts' conditions.

Both hold a rollout back; a wave of bans holds back new links, too (`plan.fleet.admit`). They show as conditions of the
gateway. Each rises at a share of the paired accounts and falls at half of it, so that it does not flicker.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from ponton_operator.resources.account import BridgeAccount
from ponton_operator.resources.base import Condition, Truth
from ponton_operator.resources.conditions import Type
from ponton_operator.resources.conditions_gateway import Finding, GatewayType

BAN_WINDOW: Final = 3600.0  # seconds within which bans are counted together
BANS_LEAST: Final = 3  # a ban alone is somebody's own, on a small gateway, too
BANS_PERCENT: Final = 1  # of the paired accounts
STORM_WINDOW: Final = 300.0  # seconds
STORM_LEAST: Final = 10
STORM_PERCENT: Final = 10
OWN: Final = frozenset({GatewayType.RECONNECT_STORM, GatewayType.BAN_WAVE})  # the conditions that alarms are


@dataclass(frozen=True, slots=True)
class Alarms:
    """What is going on; the counts are what it was found by."""

    storm: bool = False
    bans: bool = False
    reconnecting: int = 0
    banned: int = 0


def read_alarms(conditions: Iterable[Condition]) -> Alarms:
    """Read from the gateway's conditions what was found last."""
    on = {condition.type for condition in conditions if condition.status == Truth.TRUE}
    return Alarms(storm=GatewayType.RECONNECT_STORM in on, bans=GatewayType.BAN_WAVE in on)


def alarm_findings(alarms: Alarms) -> list[Finding]:
    """Give what the conditions of the gateway say of it; see `put_findings`."""
    rows = ((alarms.storm, Finding.LOGINS_HELD_BACK), (alarms.bans, Finding.STARTS_HELD_BACK))
    return [finding for is_on, finding in rows if is_on]


class Turns(NamedTuple):
    """What alarms are found by of one account: times in seconds since 1970, `banned` and `connected` 0 for never."""

    paired: bool
    banned: float
    connected: float
    started: float  # of the shard that runs; infinite without one


def read_turns(account: BridgeAccount) -> Turns:
    """Read them from an account. Whoever asks again and again keeps them: to read ten thousand takes 0.1 s."""
    status, shard = account.status, account.status.shard
    turned = {c.type: c.last_transition_time.timestamp() for c in status.conditions}
    return Turns(
        paired=status.paired,
        banned=turned.get(Type.BANNED, 0.0),
        connected=turned.get(Type.WHATSAPP_CONNECTED, 0.0),
        started=shard.started.timestamp() if shard and shard.ended is None else math.inf,
    )


def find_alarms(accounts: Iterable[Turns], before: Alarms, now: float) -> Alarms:
    """Say what is going on at a time (seconds since 1970); `before` is what was found last.

    Shards that started within the window do not count as reconnecting: starts are limited, and a rollout is no storm.
    """
    paired = reconnecting = banned = 0
    for account in accounts:
        if not account.paired:
            continue
        paired += 1
        banned += account.banned > now - BAN_WINDOW
        reconnecting += account.started <= now - STORM_WINDOW < account.connected
    return Alarms(
        storm=_rises(reconnecting, max(STORM_LEAST, paired * STORM_PERCENT / 100), before=before.storm),
        bans=_rises(banned, max(BANS_LEAST, paired * BANS_PERCENT / 100), before=before.bans),
        reconnecting=reconnecting,
        banned=banned,
    )


def _rises(count: int, mark: float, *, before: bool) -> bool:
    return count >= (mark / 2 if before else mark)
