"""All that the control plane holds about an owner, as one JSON object. Pure; called by the account service.

What the account's own process keeps (keys, messages on their way, contacts) is in a store that no door can open; the
record names it, so that nobody takes this for everything.
"""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Final

from ponton_bridge.coordination.contract import Happening, Heartbeat
from ponton_bridge.core.day import BUCKET, BUCKETS, Day
from ponton_operator.resources.account import BridgeAccount

ELSEWHERE: Final = (
    "in the store of your bridge, which only its own process opens: keys, messages on their way, ids, contacts' names",
    "on the XMPP server: your contact list, your archive, and messages on their way to the bridge",
    "at WhatsApp: everything that your phone shows",
)


def record(
    account: BridgeAccount, beat: Heartbeat | None, day: Day | None, history: Sequence[Happening], now: float
) -> dict[str, object]:
    """Give the record; `now` in seconds since 1970."""
    return {
        "made": _time(now),
        "account": account.model_dump(mode="json", by_alias=True, exclude_none=True),
        "heartbeat": asdict(beat) if beat else None,
        "last day": _figures(day, now) if day else None,
        "what happened": [_told(each) for each in history],
        "stored elsewhere": list(ELSEWHERE),
    }


def _figures(day: Day, now: float) -> dict[str, str]:
    """Give the ring as lines that a person can read in a chat, too; '-' where the bridge did not run."""
    buckets = day.buckets(now)
    return {
        "from": _time((now // BUCKET - BUCKETS) * BUCKET),
        "each figure is of": f"{BUCKET} seconds",
        "messages": " ".join(str(bucket.messages) if bucket else "-" for bucket in buckets),
        "waiting at most": " ".join(str(bucket.queue) if bucket else "-" for bucket in buckets),
        "memory at most, KiB": " ".join(str(bucket.rss) if bucket else "-" for bucket in buckets),
    }


def _told(happening: Happening) -> str:
    """Give one line; who of the host did something is theirs to say."""
    said = {name: value for name, value in asdict(happening).items() if value and name not in {"time", "by"}}
    return " ".join([_time(happening.time), *(f"{name}: {value}" for name, value in said.items())])


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
