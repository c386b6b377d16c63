"""Plans over all accounts: the limit on starts, and two resources of one owner."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from ponton_operator.plan.fleet import CALM, Ask, Owners, Rations, admit, ask
from ponton_operator.plan.rollout import Turn
from ponton_operator.plan.values import Urgency
from ponton_operator.resources.account import BridgeAccount
from ponton_operator.resources.base import moment
from ponton_operator.resources.running import Rollout, Scaling

SCALING = Scaling(starts_per_second=5, starts_burst=2)
ROLLOUT = Rollout(restarts_per_minute=60)
OPEN = Turn("Wave1", "r2", open=True)


def asks(urgency: Urgency, *names: str) -> list[Ask]:
    """Make asks, the first the oldest."""
    return [Ask(name, urgency, float(i)) for i, name in enumerate(names)]


def paired(urgency: Urgency, *names: str) -> list[Ask]:
    """Make asks of accounts that have a link."""
    return [replace(ask, paired=True) for ask in asks(urgency, *names)]


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
    admission = admit(waiting, Rations.full(SCALING, 0.0), SCALING, ROLLOUT, OPEN, 0.0)
    assert ("p1", "r1") == admission.names
    assert 0.2 == admission.again


def test_rollouts_have_a_limit_of_their_own() -> None:
    """One restart a second comes through although many starts are left, and none while paused."""
    many = Scaling(starts_per_second=100, starts_burst=1000)
    waiting = asks(Urgency.ROLLOUT, "a", "b", "c")
    first = admit(waiting, Rations.full(many, 0.0), many, ROLLOUT, OPEN, 0.0)
    assert (("a",), 1.0) == (first.names, first.again)
    assert ("b",) == admit(waiting[1:], first.rations, many, ROLLOUT, OPEN, 1.0).names
    paused = admit(waiting, Rations.full(many, 0.0), many, ROLLOUT, Turn("Wave1", "r2"), 0.0)
    assert ((), None) == (paused.names, paused.again)


def test_a_rollout_waits_for_its_wave() -> None:
    """Paired accounts go when the turn names them, before those that have no link; a closed turn says when to look."""
    many = Scaling(starts_per_second=100, starts_burst=1000, logins_per_second=100)
    fast = Rollout(restarts_per_minute=6000)
    waiting = [*asks(Urgency.ROLLOUT, "u"), *paired(Urgency.ROLLOUT, "p1", "p2")]
    turn = Turn("Wave1", "r2", names=frozenset({"p2"}), open=True, again=7.0)
    first = admit(waiting, Rations.full(many, 0.0), many, fast, turn, 0.0)
    assert (("p2",), 0.01) == (first.names, first.again)
    second = admit(waiting[:2], first.rations, many, fast, turn, 0.01)
    assert (("u",), 7.0) == (second.names, second.again)


def test_logins_at_whatsapp_have_a_limit_of_their_own() -> None:
    """Starts are left, but only so many paired accounts log in; those who are not paired pass them by."""
    many = Scaling(starts_per_second=100, starts_burst=1000, logins_per_second=1, egress_addresses=2)
    waiting = [*paired(Urgency.RESTART, "a", "b", "c"), *asks(Urgency.RESTART, "x")]
    first = admit(waiting, Rations.full(many, 0.0), many, ROLLOUT, OPEN, 0.0)
    assert (("a", "x", "b"), 0.5) == (first.names, first.again)
    assert ("c",) == admit(waiting[2:3], first.rations, many, ROLLOUT, OPEN, 0.5).names


def test_a_rollout_takes_no_login_from_others() -> None:
    """Without a login left, no paired account is restarted, as each would only wait for its start."""
    few = Scaling(starts_burst=10, logins_per_second=1)
    turn = Turn("Wave1", "r2", names=frozenset({"p"}), open=True)
    waiting = [*paired(Urgency.RESTART, "a"), *paired(Urgency.ROLLOUT, "p"), *asks(Urgency.ROLLOUT, "u")]
    assert ("a", "u") == admit(waiting, Rations.full(few, 0.0), few, ROLLOUT, turn, 0.0).names


def test_a_wave_of_bans_lets_nothing_new_link() -> None:
    """While numbers are being banned, links that are there start again, and nobody new begins."""
    waiting = [*asks(Urgency.PERSON, "new"), *paired(Urgency.RESTART, "old")]
    admission = admit(waiting, Rations.full(SCALING, 0.0), SCALING, ROLLOUT, OPEN, 0.0, bans=True)
    assert (("old",), CALM) == (admission.names, admission.again)


def test_asking_again_keeps_the_place() -> None:
    """The time of waiting goes on, with what is known by now; a new purpose waits from its beginning."""
    waiting: dict[str, Ask] = {}
    ask(waiting, "a", Urgency.RESTART, 1.0, paired=False)
    ask(waiting, "a", Urgency.RESTART, 2.0, paired=True)
    assert Ask("a", Urgency.RESTART, 1.0, paired=True) == waiting["a"]
    ask(waiting, "a", Urgency.PERSON, 3.0, paired=True)
    assert Ask("a", Urgency.PERSON, 3.0, paired=True) == waiting["a"]


def test_a_rollout_leaves_the_last_start_to_others() -> None:
    """Without a start left, nothing is restarted for a rollout."""
    waiting = [*asks(Urgency.RESTART, "x", "y"), *asks(Urgency.ROLLOUT, "a")]
    assert ("x", "y") == admit(waiting, Rations.full(SCALING, 0.0), SCALING, ROLLOUT, OPEN, 0.0).names


@settings(deadline=None)
@given(st.lists(st.floats(0, 3), max_size=60), st.integers(1, 50), st.integers(1, 9), st.integers(1, 3))
def test_never_more_than_the_rates(pauses: list[float], crowd: int, logins: int, addresses: int) -> None:
    """Whatever the moments of asking, no more start, or log in, than burst plus rate times the time that went by."""
    scaling = Scaling(starts_per_second=5, starts_burst=2, logins_per_second=logins, egress_addresses=addresses)
    rations, now, started, logged = Rations.full(scaling, 0.0), 0.0, 0, 0
    for pause in pauses:
        now += pause
        waiting = [replace(a, paired=i % 3 > 0) for i, a in enumerate(asks(Urgency.RESTART, *map(str, range(crowd))))]
        admission = admit(waiting, rations, scaling, ROLLOUT, OPEN, now)
        rations, started = admission.rations, started + len(admission.names)
        logged += sum(int(name) % 3 > 0 for name in admission.names)
        assert started <= 2 + 5 * now + 1e-6
        assert logged <= logins * addresses * (1 + now) + 1e-6


@given(st.integers(1, 40))
def test_everybody_gets_a_turn(crowd: int) -> None:
    """Looking again when told to, all who wait start in the order of their waiting, without an idle look."""
    waiting, rations, now = asks(Urgency.RESTART, *(f"{i:02}" for i in range(crowd))), Rations.full(SCALING, 0.0), 0.0
    order: list[str] = []
    while waiting:
        admission = admit(waiting, rations, SCALING, ROLLOUT, OPEN, now)
        assert admission.names
        order += admission.names
        rations, waiting = admission.rations, [a for a in waiting if a.name not in admission.names]
        now = admission.again or now
    assert sorted(order) == order


def test_a_clock_going_back_gives_nothing() -> None:
    """A step back in time neither fills nor drains the buckets."""
    empty = admit(asks(Urgency.RESTART, "a", "b"), Rations.full(SCALING, 100.0), SCALING, ROLLOUT, OPEN, 100.0).rations
    assert () == admit(asks(Urgency.RESTART, "c"), empty, SCALING, ROLLOUT, OPEN, 50.0).names
    assert () == admit(asks(Urgency.RESTART, "c"), empty, SCALING, ROLLOUT, OPEN, 100.1).names


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
