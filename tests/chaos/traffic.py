"""Who writes what when: conversations in bursts with pauses, as people do. Pure; called by `run`."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tests.chaos.history import Direction, Token

BURST: Final = 8  # messages at most in one go
GAP: Final = (0.2, 3.0)  # seconds between two messages of a burst


@dataclass(frozen=True, slots=True)
class Send:
    """One message to be written, `at` seconds after the start."""

    at: float
    token: Token


def traffic(seed: int, chats: Sequence[tuple[str, str]], each_way: int, seconds: float) -> list[Send]:
    """Plan `each_way` messages in each direction over all chats (owner, contact), in the order of their times.

    Numbers within a chat and direction rise with time. A burst that begins near the end is finished after it.
    """
    dice = random.Random(seed)
    sends: list[Send] = []
    for direction in Direction:
        times: dict[tuple[str, str], list[float]] = {chat: [] for chat in chats}
        left = each_way
        while left:
            chat, at = dice.choice(chats), dice.uniform(0, seconds)
            for _ in range(min(left, dice.randint(1, BURST))):
                times[chat].append(at)
                at += dice.uniform(*GAP)
                left -= 1
        sends += [
            Send(at, Token(direction, *chat, number))
            for chat, planned in times.items()
            for number, at in enumerate(sorted(planned))
        ]
    return sorted(sends, key=lambda send: (send.at, send.token))
