"""How the benches of the two drivers judge the core."""

import pytest

from tests.bench import driver_memory
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


def test_what_is_kept_for_good_knows_no_pace() -> None:
    """A slower machine makes rates and times easier, and loses no more contacts."""
    missed = [line.figure for line in judged(BAD, Pace(2 * REFERENCE)) if not line.met]
    assert ["core: 200 contacts after 60 kills"] == missed


def _kept(linked: float, resumed: float, after: float, large: float, grown: float) -> dict[str, object]:
    states = {"linked": linked, "resumed": resumed, "after_messages": after, "after_large_messages": large}
    medians: dict[str, object] = {f"pss_{name}_mib": {"median": mib, "max": 99.0} for name, mib in states.items()}
    return medians | {"pss_grown_over_more_messages_mib": grown}


def test_memory_is_judged_by_the_median_process() -> None:
    """One that has more than the others misses nothing."""
    assert [] == [line for line in driver_memory.judged(_kept(48.0, 48.0, 60.0, 60.0, 3.0)) if not line.met]


@pytest.mark.parametrize("which", range(5))
def test_each_state_of_memory_can_miss(which: int) -> None:
    """A tenth of a MiB too much in one state is that one's missed line."""
    good = [48.0, 48.0, 60.0, 60.0, 3.0]
    good[which] += 0.1
    lines = driver_memory.judged(_kept(*good))
    assert [which] == [number for number, line in enumerate(lines) if not line.met]
