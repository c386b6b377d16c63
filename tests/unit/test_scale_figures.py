"""The arithmetic of the test of scale: writes, pace and reactions from an audit log."""

from tests.cluster.box.audit import Call, writing
from tests.cluster.scale_figures import Change, fastest, of_each, reactions, seconds


def call(verb: str, resource: str, name: str, second: int, *, code: int = 200) -> Call:
    """A call that came and was answered at a second of the first minute of 1970."""
    at = f"1970-01-01T00:00:{second:02d}.000000Z"
    return Call("us", verb, resource, "a", name, code, at, at)


START = [
    call("patch", "bridgeaccounts/status", "acc-1", 1),
    call("create", "persistentvolumeclaims", "acc-1", 2),
    call("create", "secrets", "acc-1-17", 2),
    call("create", "pods", "acc-1-17", 3),
    call("update", "leases", "ponton-operator-accounts", 3),
    call("patch", "bridgegateways/status", "wa", 3),
    call("get", "secrets", "gw", 3),
]


def test_writes_are_counted_for_each_account() -> None:
    """Whatever their object is called; reads, Leases and gateways are nobody's."""
    assert {"a/acc-1": 4, "a/acc-2": 1} == of_each([*START, call("create", "pods", "acc-2-9", 4)])
    assert 5 == len(writing(START))


def test_the_pace_is_that_of_the_busiest_window() -> None:
    """Not of the whole time."""
    calls = [call("create", "pods", f"acc-{number}-1", number // 4) for number in range(40)]
    assert 4.0 == fastest(calls, 9.0) * 9.0 / 10  # ten seconds, both ends included, hold 40
    assert 0.0 == fastest([])


def test_a_reaction_ends_with_the_first_write_that_was_done_afterwards() -> None:
    """One that was refused is none; without any it never came."""
    calls = [*START, call("delete", "pods", "acc-1-17", 9, code=409), call("delete", "pods", "acc-1-17", 10)]
    changes = [Change("a/acc-1", 0.5), Change("a/acc-1", 4.0), Change("a/acc-1", 11.0)]
    assert [0.5, 6.0, float("inf")] == reactions(calls, changes)


def test_times_of_the_log_are_read() -> None:
    """With their microseconds."""
    assert 1.000001 == seconds("1970-01-01T00:00:01.000001Z")
