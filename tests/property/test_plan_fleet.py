"""The index of owners against brute force, and deletions that must end whatever happens."""

from dataclasses import dataclass, replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ponton_operator.plan.account import plan_account
from ponton_operator.plan.deletion import DEADLINE, ORDER
from ponton_operator.plan.fleet import Owners
from ponton_operator.plan.values import Action, Clean, Forget, Observed, Outcome, Process, Start, Stop, WriteStatus
from ponton_operator.resources.account import AccountStatus, BridgeAccount, ParkingStatus, ShardStatus
from ponton_operator.resources.base import moment

NOW = 1_800_000_000.0
EPOCH = int(NOW * 1000)
NAMES = ["a", "b", "c", "d"]

accounts = st.builds(
    lambda name, owner, made, gateway: BridgeAccount.model_validate({
        "metadata": {"name": name, "creationTimestamp": None if made is None else moment(made)},
        "spec": {"owner": f"{owner}@example.test", "gatewayRef": {"name": gateway}},
    }),
    st.sampled_from(NAMES),
    st.sampled_from("xy"),
    st.none() | st.integers(0, 3),
    st.sampled_from(["wa", "wb"]),
)  # fmt: skip


def oldest(account: BridgeAccount, everything: dict[str, BridgeAccount]) -> str:
    """Find by looking at all who the account that counts is; '' for the account itself."""
    same = [
        other
        for other in everything.values()
        if (other.spec.owner, other.spec.gateway_ref) == (account.spec.owner, account.spec.gateway_ref)
    ]

    def age(other: BridgeAccount) -> tuple[float, str]:
        made = other.metadata.creation_timestamp
        return (made.timestamp() if made else float("inf"), other.metadata.name)

    first = min(same, key=age).metadata.name
    return "" if first == account.metadata.name else first


@given(st.lists(accounts | st.sampled_from(NAMES), max_size=30))
def test_the_index_is_right_and_tells_whom_it_concerns(script: list[BridgeAccount | str]) -> None:
    """After any puts and drops each twin is that of brute force, and who got another one was named."""
    owners, everything, before = Owners(), dict[str, BridgeAccount](), dict[str, str]()
    for step in script:
        if isinstance(step, str):
            everything.pop(step, None)
            touched = owners.drop(step)
        else:
            everything[step.metadata.name] = step
            touched = owners.put(step)
        after = {name: owners.twin(name) for name in everything}
        assert {name: oldest(account, everything) for name, account in everything.items()} == after
        assert {name for name in after if before.get(name, after[name]) != after[name]} <= touched
        before = after


@dataclass(frozen=True, slots=True)
class Moment:
    """What happens before the next plan: time, word of the last attempt (None: none), a fate of the process."""

    seconds: float
    ok: bool | None
    fate: str


MOMENTS = st.builds(
    Moment,
    st.sampled_from([0.0, 0.5, 5.0, 31.0, 200.0]),
    st.sampled_from([None, True, False]),
    st.sampled_from(["", "ends", "vanishes", "lost"]),
)


class Deleting:
    """An account that is being deleted, and the little that a driver would do."""

    def __init__(self, status: AccountStatus, processes: dict[int, Process]) -> None:
        made = BridgeAccount.model_validate({
            "metadata": {"name": "acc-1", "deletionTimestamp": moment(NOW)},
            "spec": {"owner": "alice@example.test", "gatewayRef": {"name": "wa"}},
        })  # fmt: skip
        self.account = made.model_copy(update={"status": status})
        self.processes = processes
        self.now = NOW
        self.seen = Observed(permit=True, revision="r1")
        self.asked: list[Clean] = []
        self.gone = False

    def happens(self, what: Moment) -> None:
        """Let time pass and things happen, then plan and act."""
        self.now += what.seconds
        if self.asked and what.ok is not None:
            last = self.asked[-1]
            self.seen = replace(self.seen, outcome=Outcome(last.step, last.tries, ok=what.ok))
        if what.fate == "vanishes":
            self.processes = {}
        elif what.fate:
            fate: dict[str, Any] = {"ended": what.fate == "ends", "lost": what.fate == "lost"}
            self.processes = {epoch: replace(p, **fate) for epoch, p in self.processes.items()}
        for action in plan_account(
            self.account, replace(self.seen, processes=tuple(self.processes.values())), self.now
        ):
            self.act(action)

    def act(self, action: Action) -> None:
        """Do what the plan asks for."""
        match action:
            case WriteStatus(status):
                self.account = self.account.model_copy(update={"status": status})
            case Start(epoch):
                assert not any(not p.ended for p in self.processes.values())
                self.processes = {epoch: Process(epoch)}
            case Stop(epoch):
                self.processes[epoch] = replace(self.processes[epoch], told=True, ended=True)
            case Clean():
                self.asked.append(action)
            case Forget():
                assert not [p for p in self.processes.values() if not (p.ended or p.lost or p.told)]
                self.gone = True


@given(
    paired=st.booleans(),
    alive=st.booleans(),
    parked=st.sampled_from(["", "LoggedOut", "Banned", "CodesUsedUp"]),
    script=st.lists(MOMENTS),
)
def test_every_deletion_ends(*, paired: bool, alive: bool, parked: str, script: list[Moment]) -> None:
    """However the steps go and whatever becomes of the process, after all deadlines the account is forgotten.

    The steps only go forward, tries of a step only up, and nothing is forgotten while a process runs that could have
    been told to end.
    """
    status = AccountStatus(
        epoch=EPOCH,
        paired=paired,
        shard=ShardStatus(epoch=EPOCH, revision="r1", started=moment(NOW)),
        parking=ParkingStatus(reason=parked, since=moment(NOW)) if parked else None,
    )
    deleting = Deleting(status, {EPOCH: Process(EPOCH)} if alive else {})
    quiet = Moment(sum(DEADLINE.values()) + 60, ok=None, fate="")
    for what in [*script, *[quiet] * (2 * len(ORDER))]:
        if not deleting.gone:
            deleting.happens(what)
    assert deleting.gone
    order = [(ORDER.index(clean.step), clean.tries) for clean in deleting.asked]
    assert sorted(order) == order
