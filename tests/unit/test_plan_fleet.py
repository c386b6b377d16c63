"""Plans over all accounts: the limit on starts, and two resources of one owner."""

from hypothesis import given
from hypothesis import strategies as st

from ponton_operator.plan.fleet import Ask, Owners, Rations, admit
from ponton_operator.plan.values import Urgency
from ponton_operator.resources.account import BridgeAccount
from ponton_operator.resources.base import moment
from ponton_operator.resources.running import Rollout, Scaling

SCALING = Scaling(starts_per_second=5, starts_burst=2)
ROLLOUT = Rollout(restarts_per_minute=60)


def asks(urgency: Urgency, *names: str) -> list[Ask]:
    """Make asks, the first the oldest."""
    return [Ask(name, urgency, float(i)) for i, name in enumerate(names)]


def account(
    name: str, owner: str = "alice@example.test", made: float | None = 0.0, gateway: str = "wa"
) -> BridgeAccount:
    """Make an account that was made at a time."""
    return BridgeAccount.model_validate({
        "metadata": {"name": name, "creationTimestamp": None if made is None else moment(made)},
        "spec": {"owner": owner, "gatewayRef": {"name": gateway}},
    })  # fmt: skip


def test_people_go_first_then_who_waited_longest() -> None:
    """Of many that wait, the burst goes to those somebody waits for, then to the oldest."""
    waiting = [*asks(Urgency.RESTART, "r1", "r2"), *asks(Urgency.PERSON, "p1")]
    admission = admit(waiting, Rations.full(SCALING, 0.0), SCALING, ROLLOUT, 0.0)
    assert ("p1", "r1") == admission.names
    assert 0.2 == admission.again


def test_rollouts_have_a_limit_of_their_own() -> None:
    """One restart a second comes through although many starts are left, and none while paused."""
    many = Scaling(starts_per_second=100, starts_burst=1000)
    waiting = asks(Urgency.ROLLOUT, "a", "b", "c")
    first = admit(waiting, Rations.full(many, 0.0), many, ROLLOUT, 0.0)
    assert (("a",), 1.0) == (first.names, first.again)
    assert ("b",) == admit(waiting[1:], first.rations, many, ROLLOUT, 1.0).names
    paused = admit(waiting, Rations.full(many, 0.0), many, Rollout(paused=True), 0.0)
    assert ((), None) == (paused.names, paused.again)


def test_a_rollout_leaves_the_last_start_to_others() -> None:
    """Without a start left, nothing is restarted for a rollout."""
    waiting = [*asks(Urgency.RESTART, "x", "y"), *asks(Urgency.ROLLOUT, "a")]
    assert ("x", "y") == admit(waiting, Rations.full(SCALING, 0.0), SCALING, ROLLOUT, 0.0).names


@given(st.lists(st.floats(0, 3), max_size=60), st.integers(1, 50))
def test_never_more_than_the_rate(pauses: list[float], crowd: int) -> None:
    """Whatever the moments of asking, no more start than burst plus rate times the time that went by."""
    rations, now, started = Rations.full(SCALING, 0.0), 0.0, 0
    for pause in pauses:
        now += pause
        admission = admit(asks(Urgency.RESTART, *map(str, range(crowd))), rations, SCALING, ROLLOUT, now)
        rations, started = admission.rations, started + len(admission.names)
        assert started <= 2 + 5 * now + 1e-6


@given(st.integers(1, 40))
def test_everybody_gets_a_turn(crowd: int) -> None:
    """Looking again when told to, all who wait start in the order of their waiting, without an idle look."""
    waiting, rations, now = asks(Urgency.RESTART, *(f"{i:02}" for i in range(crowd))), Rations.full(SCALING, 0.0), 0.0
    order: list[str] = []
    while waiting:
        admission = admit(waiting, rations, SCALING, ROLLOUT, now)
        assert admission.names
        order += admission.names
        rations, waiting = admission.rations, [a for a in waiting if a.name not in admission.names]
        now = admission.again or now
    assert sorted(order) == order


def test_a_clock_going_back_gives_nothing() -> None:
    """A step back in time neither fills nor drains the buckets."""
    empty = admit(asks(Urgency.RESTART, "a", "b"), Rations.full(SCALING, 100.0), SCALING, ROLLOUT, 100.0).rations
    assert () == admit(asks(Urgency.RESTART, "c"), empty, SCALING, ROLLOUT, 50.0).names
    assert () == admit(asks(Urgency.RESTART, "c"), empty, SCALING, ROLLOUT, 100.1).names


def test_the_oldest_resource_of_an_owner_counts() -> None:
    """Of several resources of one owner the oldest is nobody's twin; equal age is decided by name."""
    owners = Owners()
    assert {"b"} == owners.put(account("b", made=2))
    assert {"a", "b"} == owners.put(account("a", made=5))
    assert ("", "b") == (owners.twin("b"), owners.twin("a"))
    assert {"a", "b", "c"} == owners.put(account("c", made=2))
    assert ("", "b", "b") == (owners.twin("b"), owners.twin("a"), owners.twin("c"))
    assert {"a", "c"} == owners.drop("b")
    assert ("", "c") == (owners.twin("c"), owners.twin("a"))


def test_other_owners_and_gateways_are_no_twins() -> None:
    """One owner may have an account on each gateway."""
    owners = Owners()
    owners.put(account("a"))
    owners.put(account("b", owner="bob@example.test"))
    owners.put(account("c", gateway="other"))
    assert [""] * 3 == [owners.twin(name) for name in "abc"]


def test_a_changed_owner_moves_on() -> None:
    """A resource that comes back with another owner frees the others; one without a time is the youngest."""
    owners = Owners()
    owners.put(account("a"))
    owners.put(account("b", made=None))
    assert "a" == owners.twin("b")
    assert {"a", "b"} == owners.put(account("a", owner="bob@example.test"))
    assert "" == owners.twin("b")
    assert set() == owners.drop("never-seen")
