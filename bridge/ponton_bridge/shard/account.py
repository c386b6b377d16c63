"""What all parts of a shard share: configuration, log, journal, clock, counters, and the context of features.

Made once by the program, on the running loop, and handed to each part; holds no behaviour of its own.
"""

import secrets
import time
from dataclasses import dataclass, field

from ponton_bridge.coordination.contract import Choices
from ponton_bridge.features.context import Context, Live
from ponton_bridge.shard.background import Background
from ponton_bridge.shard.config import Config
from ponton_bridge.shard.logs import Log
from ponton_bridge.store.errors import StoreFailed
from ponton_bridge.store.journal import Journal
from ponton_bridge.store.worker import JournalWorker


class SteadyClock:
    """Seconds since 1970 that never jump: the wall's time at start, then the monotonic clock (for the machines)."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def __call__(self) -> float:
        """Tell the time."""
        return self._offset + time.monotonic()


@dataclass(slots=True)
class Counters:
    """Counts since the start of the process, for the heartbeat."""

    sent: int = 0
    received: int = 0
    lost: int = 0
    uncertain: int = 0


@dataclass(slots=True)
class Account:
    """One account, as its shard sees it. `live` is the features' memory of this process: who is there now.

    `choices` is what the owner lets contacts see, as far as we have heard.
    """

    config: Config
    log: Log
    journal: JournalWorker
    clock: SteadyClock = field(default_factory=SteadyClock)
    counters: Counters = field(default_factory=Counters)
    live: Live = field(default_factory=Live)
    background: Background = field(default_factory=Background)
    choices: Choices = field(default_factory=Choices)

    def context(self, journal: Journal) -> Context:
        """Give the features' context for one piece of work inside the journal's transaction."""
        return Context(
            owner=self.config.owner,
            domain=self.config.domain,
            now=int(time.time()),
            ids=journal,
            book=journal,
            fresh_id=fresh_id,
            live=self.live,
        )


def fresh_id() -> str:
    """Give a stanza id that cannot be guessed."""
    return secrets.token_hex(8)


def of_the_store(error: Exception) -> bool:
    """Tell a failing disk or file, which ends the shard, from a fault in one stanza or event, which does not."""
    return isinstance(error, StoreFailed) or type(error).__module__ == "sqlite3"
