"""What goes wrong when: a seeded plan of faults. Pure; `nemesis` carries it out.

Faults of one account fall anywhere, also into those of a server. Faults of servers and of the runtime come one after
the other, each with a time of its own to get over it, else nothing would ever be tried but the way down.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from ponton_bridge.coordination.contract import LEASE_TTL


class Fault(StrEnum):
    """The kinds."""

    SHARD_KILLED = "shard killed"
    SHARD_FROZEN = "shard frozen beyond its lease"
    PROSODY_RESTARTED = "Prosody restarted"
    PROSODY_KILLED = "Prosody killed"
    REDIS_RESTARTED = "Redis restarted, all lost"
    REDIS_AWAY = "Redis away"
    RUNTIME_KILLED = "runtime killed"
    WHATSAPP_CUT = "WhatsApp connection cut"
    MESSAGE_CORRUPTED = "message corrupted"


OF_AN_ACCOUNT: Final = (Fault.SHARD_KILLED, Fault.SHARD_FROZEN, Fault.WHATSAPP_CUT, Fault.MESSAGE_CORRUPTED)
AIM: Final = 0.06  # seconds after a message was written in which it is on its way through a shard; 5 to 30 ms mostly
LASTS: Final = {Fault.SHARD_FROZEN: (LEASE_TTL + 3, LEASE_TTL + 10), Fault.REDIS_AWAY: (20.0, 20.0)}  # seconds
WEIGHT: Final = {Fault.RUNTIME_KILLED: 4, Fault.REDIS_AWAY: 3, Fault.REDIS_RESTARTED: 1}  # of a server's time; else 2


@dataclass(frozen=True, slots=True)
class Strike:
    """One fault: `at` seconds after the start, for `seconds`; `owner` is None for what hits all.

    One that is `aimed` waits for the owner's next message, and comes so many seconds after it was written.
    """

    at: float
    fault: Fault
    owner: str | None = None
    seconds: float = 0.0
    aimed: float | None = None


def schedule(seed: int, counts: Mapping[Fault, int], owners: Sequence[str], seconds: float) -> list[Strike]:
    """Plan so many of each fault, in the order of their times, all within `seconds`.

    Owners are struck in turns, so that 40 kills of 40 owners hit each of them. Every second kill is aimed.
    """
    dice = random.Random(seed)
    strikes = []
    for fault in OF_AN_ACCOUNT:
        turns: list[str] = []
        for number in range(counts.get(fault, 0)):
            aim = dice.uniform(0, AIM) if fault is Fault.SHARD_KILLED and number % 2 else None
            turns = turns or dice.sample(list(owners), len(owners))
            lasts = dice.uniform(*LASTS.get(fault, (0.0, 0.0)))
            strikes.append(Strike(dice.uniform(0, max(0.0, seconds - lasts)), fault, turns.pop(), lasts, aim))
    general = [fault for fault in Fault if fault not in OF_AN_ACCOUNT for _ in range(counts.get(fault, 0))]
    dice.shuffle(general)
    slot = seconds / max(1, sum(WEIGHT.get(fault, 2) for fault in general))
    at = 0.0
    for fault in general:
        lasts = dice.uniform(*LASTS.get(fault, (0.0, 0.0)))
        strikes.append(Strike(at + dice.uniform(0, slot / 2), fault, None, lasts))
        at += slot * WEIGHT.get(fault, 2)
    return sorted(strikes, key=lambda strike: (strike.at, strike.fault))
