"""How fast an account may write: token buckets per account and for people it has never written to before.

We carry human chat, so the limits only stop what no human does (a script, a flood, a mistake). The shard asks before
each send and keeps what was used in the journal; the doors use `Bucket` for what an owner asks of them.
"""

from dataclasses import dataclass, field
from typing import Final

from ponton_bridge.model.errors import OwnerError

MINUTE: Final = 60.0  # seconds
HOUR: Final = 3600.0
DAY: Final = 86400.0
# Gateways that send for shops advise 20 messages a minute in bursts of 10 (published guides); people who
# chat write short lines faster than that, so ours starts where a person's typing ends.
PER_MINUTE: Final = 60.0
BURST: Final = 30.0
# New contacts are what WhatsApp restricts numbers for (error 463); figures of the same section.
CONTACTS_PER_HOUR: Final = 5.0
CONTACTS_PER_DAY: Final = 20.0


class TooManyNewContacts(OwnerError):
    """The account has begun as many new conversations as is safe; nothing was sent."""

    condition = "policy-violation"
    kind = "wait"


@dataclass(slots=True)
class Bucket:
    """`burst` tokens, refilled with `rate` a second. A rate of 0 switches it off: it always gives.

    A clock that goes back neither takes nor gives tokens.
    """

    rate: float
    burst: float
    level: float = -1.0  # tokens at `at`; below 0 = full, not used yet
    at: float = 0.0  # seconds

    def _fill(self, now: float) -> None:
        if self.level < 0:
            self.level, self.at = self.burst, now
        self.level = min(self.burst, self.level + max(0.0, now - self.at) * self.rate)
        self.at = now

    def wait(self, now: float) -> float:
        """Give the seconds until a token is there; takes none."""
        if self.rate <= 0:
            return 0.0
        self._fill(now)
        return 0.0 if self.level >= 1 else (1 - self.level) / self.rate

    def take(self, now: float) -> bool:
        """Take a token if one is there.

        >>> bucket = Bucket(rate=0.5, burst=1)
        >>> bucket.take(0.0), bucket.take(1.0), bucket.take(2.0)
        (True, False, True)
        """
        if self.rate <= 0:
            return True
        if self.wait(now) > 0:
            return False
        self.level -= 1
        return True


@dataclass(slots=True)
class Limiter:
    """What one account may send; each limit is off when it is 0."""

    per_minute: float = PER_MINUTE
    burst: float = BURST
    contacts_per_hour: float = CONTACTS_PER_HOUR
    contacts_per_day: float = CONTACTS_PER_DAY
    _all: Bucket = field(init=False)
    _hour: Bucket = field(init=False)
    _day: Bucket = field(init=False)

    def __post_init__(self) -> None:
        self._all = Bucket(self.per_minute / MINUTE, max(1.0, self.burst))
        self._hour = Bucket(self.contacts_per_hour / HOUR, max(1.0, self.contacts_per_hour))
        self._day = Bucket(self.contacts_per_day / DAY, max(1.0, self.contacts_per_day))

    def ask(self, now: float, *, new_contact: bool) -> float:
        """Give the seconds to wait before this send may go; 0.0 = it goes now, and is counted.

        Raises TooManyNewContacts, with the time to wait in words, when a conversation may not be begun now.
        """
        if new_contact and (wait := max(self._hour.wait(now), self._day.wait(now))) > 0:
            raise TooManyNewContacts(
                f"To protect your number, only {self._bound()} new conversations are begun by the bridge. "
                f"Write again in {in_words(wait)}, or begin this one on your phone."
            )
        if (wait := self._all.wait(now)) > 0:
            return wait
        self._all.take(now)
        if new_contact:
            self._hour.take(now)
            self._day.take(now)
        return 0.0

    def _bound(self) -> str:
        bounds = ((self.contacts_per_hour, "an hour"), (self.contacts_per_day, "a day"))
        return " and ".join(f"{count:g} {span}" for count, span in bounds if count > 0)

    def save(self) -> str:
        """Give what was used as text, for the journal's settings: restarts must not refill."""
        return " ".join(f"{b.level:.3f} {b.at!r}" for b in (self._all, self._hour, self._day))

    def load(self, text: str, now: float) -> None:
        """Take up what `save` gave; anything unreadable, or from the future, counts as nothing used."""
        try:
            values = [float(word) for word in text.split()]
            pairs = list(zip(values[::2], values[1::2], strict=True))
            for bucket, (level, at) in zip((self._all, self._hour, self._day), pairs, strict=True):
                bucket.level, bucket.at = (min(level, bucket.burst), at) if at <= now else (-1.0, 0.0)
        except ValueError:
            self.__post_init__()


def in_words(seconds: float) -> str:
    """Give a waiting time as people say it, rounded up.

    >>> in_words(59), in_words(61), in_words(5400)
    ('a minute', '2 minutes', '2 hours')
    """
    minutes = int(-(-seconds // MINUTE))
    if minutes <= 1:
        return "a minute"
    if minutes < 60:  # noqa: PLR2004  # minutes of an hour
        return f"{minutes} minutes"
    hours = -(-minutes // 60)
    return "an hour" if hours == 1 else f"{hours} hours"
