"""The copy of what is stored about an owner: all that the control plane holds, as one object that JSON can carry."""

import json
from datetime import UTC, datetime

from ponton_bridge.coordination.contract import Happening, Heartbeat
from ponton_bridge.core.day import BUCKET, BUCKETS, Day
from ponton_operator.resources.account import AccountSpec, BridgeAccount, GatewayRef
from ponton_operator.resources.base import Metadata
from ponton_operator.selfservice.export import record

NOON = 1_795_996_800.0
ACCOUNT = BridgeAccount(
    metadata=Metadata(name="acc-1"), spec=AccountSpec(owner="alice@example.org", gateway_ref=GatewayRef(name="gw"))
)


def test_holds_the_resource_the_heartbeat_and_the_day() -> None:
    """Figures stand as lines of 288, oldest first, with '-' where the bridge did not run."""
    day = Day()
    beat = Heartbeat(1, "i", NOON, reason="Connected", sent=3, queue_out=2, rss=70 * 1024)
    day.note(beat)
    made = json.loads(json.dumps(record(ACCOUNT, beat, day, [], NOON + BUCKET)))
    assert "alice@example.org" == made["account"]["spec"]["owner"]
    assert "Connected" == made["heartbeat"]["reason"]
    figures = made["last day"]
    for name, value in (("messages", "3"), ("waiting at most", "2"), ("memory at most, KiB", str(70 * 1024))):
        assert ["-"] * (BUCKETS - 1) + [value] == figures[name].split(" ")
    first = datetime.fromisoformat(figures["from"])
    assert first == datetime.fromtimestamp(NOON + BUCKET - BUCKETS * BUCKET, UTC)


def test_says_what_is_not_there_and_what_is_elsewhere() -> None:
    """An account that never ran has no figures; the store of its own process is named, since no door can open it."""
    made = record(ACCOUNT, None, None, [], NOON)
    assert (None, None, []) == (made["heartbeat"], made["last day"], made["what happened"])
    assert "store of your bridge" in str(made["stored elsewhere"])


def test_tells_what_happened_but_not_who_of_the_host_did_it() -> None:
    """A line each, newest first, with what it says and nothing else."""
    deed = Happening(NOON + 60, deed="stop", by="acc-of-somebody")
    start = Happening(NOON, state="Starting Starting", started=17)
    lines = record(ACCOUNT, None, None, [deed, start], NOON + 120)["what happened"]
    assert [
        "2026-11-30T00:01:00+00:00 deed: stop",
        "2026-11-30T00:00:00+00:00 state: Starting Starting started: 17",
    ] == lines
