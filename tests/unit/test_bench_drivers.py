"""How the bench of the two drivers judges the core."""

import pytest

from tests.bench.drivers import judged
from tests.bench.pace import REFERENCE, Pace

GOOD: dict[str, object] = {
    "inbound_per_s": 400,
    "outbound_per_s": 250,
    "inbound_cpu_ms": 4.0,
    "outbound_cpu_ms": 4.0,
    "start_to_code_s": 0.6,
    "stored_link_to_connected_s": {"median": 0.1, "min": 0.0, "max": 9.0},
    "crash_to_connected_s": {"median": 0.1, "min": 0.0, "max": 9.0},
    "pss_idle_mib": 48.0,
    "pss_after_messages_mib": 60.0,
    "pss_grown_over_more_messages_mib": 3.0,
    "contacts_lost_in_kills": 0,
}
BAD = {
    "inbound_per_s": 399,
    "outbound_per_s": 249,
    "inbound_cpu_ms": 4.1,
    "outbound_cpu_ms": 4.1,
    "start_to_code_s": 0.61,
    "stored_link_to_connected_s": {"median": 0.11},
    "crash_to_connected_s": {"median": 0.11},
    "pss_idle_mib": 48.1,
    "pss_after_messages_mib": 60.1,
    "pss_grown_over_more_messages_mib": 3.1,
    "contacts_lost_in_kills": 1,
}
USUAL = Pace(REFERENCE)


def test_all_that_is_just_reached_is_met() -> None:
    """Of several rounds the median counts."""
    assert [] == [line for line in judged(GOOD, USUAL) if not line.met]


@pytest.mark.parametrize("name", BAD)
def test_each_figure_can_miss(name: str) -> None:
    """A little too much or too little of one makes that line, and no other, a missed one."""
    assert 1 == sum(not line.met for line in judged(GOOD | {name: BAD[name]}, USUAL))


def test_memory_knows_no_pace() -> None:
    """A slower machine makes rates and times easier; what is kept, in memory or for good, is the same everywhere."""
    missed = [line.figure for line in judged(BAD, Pace(2 * REFERENCE)) if not line.met]
    assert [
        "core: 200 contacts after 60 kills",
        "core: PSS idle",
        "core: PSS after messages",
        "core: PSS grown over 10,000 more",
    ] == missed
