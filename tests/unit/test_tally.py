"""Counts of accounts by gateway, against counting them anew."""

from hypothesis import given
from hypothesis import strategies as st

from ponton_operator.plan.tally import Counts, Entry, Tally

ENTRIES = st.builds(
    Entry,
    gateway=st.sampled_from(["a/x", "a/y"]),
    phase=st.sampled_from(["Running", "Parked", "Failed", "Starting"]),
    paired=st.booleans(),
)
STEPS = st.lists(st.tuples(st.sampled_from("1234"), st.none() | ENTRIES), max_size=40)


@given(STEPS)
def test_counts_are_those_of_a_fresh_count(steps: list[tuple[str, Entry | None]]) -> None:
    """After any changes the sums are right, and exactly the gateways whose counts may have changed were named."""
    tally, model = Tally(), dict[str, Entry]()
    for name, entry in steps:
        before = model.get(name)
        if entry is None:
            model.pop(name, None)
            touched = tally.drop(name)
        else:
            model[name] = entry
            touched = tally.put(name, entry)
        assert touched == ({e.gateway for e in (before, entry) if e} if before != entry else set())
    for gateway in ("a/x", "a/y", "none"):
        mine = [entry for entry in model.values() if entry.gateway == gateway]
        phases = [entry.phase for entry in mine]
        expected = Counts(
            len(mine),
            phases.count("Running"),
            sum(e.paired for e in mine),
            phases.count("Parked"),
            phases.count("Failed"),
        )
        assert expected == tally.counts(gateway)


def test_what_has_no_account_takes_no_memory() -> None:
    """A gateway whose last account is gone leaves nothing behind."""
    tally = Tally()
    tally.put("1", Entry("a/x", "Running", paired=True))
    assert {"a/x"} == tally.drop("1")
    assert {} == tally._sums
