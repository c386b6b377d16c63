"""All that the control plane holds about an owner, as one JSON object. Pure; called by the account service.

What the account's own process keeps (keys, messages on their way, contacts) is in a store that no door can open; the
record names it, so that nobody takes this for everything.
"""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Final

from ponton_bridge.coordination.contract import Heartbeat
from ponton_operator.resources.account import BridgeAccount

ELSEWHERE: Final = (
    "in the store of your bridge, which only its own process opens: keys, messages on their way, ids, contacts' names",
    "on the XMPP server: your contact list, your archive, and messages on their way to the bridge",
    "at WhatsApp: everything that your phone shows",
)


def record(account: BridgeAccount, beat: Heartbeat | None, now: float) -> dict[str, object]:
    """Give the record; `now` in seconds since 1970."""
    return {
        "made": datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds"),
        "account": account.model_dump(mode="json", by_alias=True, exclude_none=True),
        "heartbeat": asdict(beat) if beat else None,
        "stored elsewhere": list(ELSEWHERE),
    }
