"""What every driver does alike: whatever the outside does, a step has an outcome and a start goes on."""

import asyncio
import io
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from ponton_bridge.model.errors import HostError
from ponton_bridge.shard.logs import Log
from ponton_operator.cluster import deeds
from ponton_operator.cluster.deeds import assign, do_step
from ponton_operator.cluster.prosody import ProsodyControl, ProsodyRefused
from ponton_operator.plan.values import Clean, Outcome, Step
from ponton_operator.resources.account import BridgeAccount

OWNER = "alice@example.test"
ACCOUNT = BridgeAccount.model_validate(
    {"metadata": {"name": "acc-1"}, "spec": {"owner": OWNER, "gatewayRef": {"name": "wa"}}}
)


@dataclass(slots=True)
class Diary:
    """A log that can be read."""

    out: io.StringIO = field(default_factory=io.StringIO)

    def log(self) -> Log:
        """Give the log."""
        return Log(out=self.out, clock=lambda: 0.0)

    def lines(self) -> list[dict[str, Any]]:
        """Give what was written, without what every line has."""
        written = [json.loads(line) for line in self.out.getvalue().splitlines()]
        return [{key: value for key, value in line.items() if key != "time"} for line in written]


@pytest.fixture
def diary() -> Diary:
    """An empty one."""
    return Diary()


@dataclass(frozen=True, slots=True)
class Control(ProsodyControl):
    """A control that notes what is assigned, and fails or hangs when it is told to."""

    assigned: list[tuple[str, int]] = field(default_factory=list)
    fails: Exception | None = None
    hangs: bool = False

    async def assign(self, owner: str, epoch: int) -> None:
        """Note it."""
        if self.hangs:
            await asyncio.Event().wait()
        if self.fails:
            raise self.fails
        self.assigned.append((owner, epoch))


def control(fails: Exception | None = None, *, hangs: bool = False) -> Control:
    """Make one."""
    return Control("http://127.0.0.1:9/shards", "wa.example.test", "t0ken", fails=fails, hangs=hangs)


def giving(answer: str | Exception) -> Callable[[BridgeAccount, float], Awaitable[str]]:
    """Make the doing of a step that ends with this."""

    async def doing(_: BridgeAccount, __: float) -> str:
        if isinstance(answer, Exception):
            raise answer
        return answer

    return doing


async def test_only_the_step_that_is_asked_for_is_done(diary: Diary) -> None:
    """It is given the account and its seconds; done, it is an outcome of that attempt and nothing is logged."""
    given: list[tuple[str, float]] = []

    async def release(account: BridgeAccount, seconds: float) -> str:
        given.append((account.metadata.name, seconds))
        return ""

    steps = {Step.RELEASE: release, Step.STORE: giving(HostError("Not asked for."))}
    outcome = await do_step(steps, ACCOUNT, Clean(Step.RELEASE, 2, 0.0), 5.0, diary.log())
    assert Outcome(Step.RELEASE, 2, ok=True) == outcome
    assert [("acc-1", 5.0)] == given
    assert [] == diary.lines()


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ("The shard did not answer in time.", "The shard did not answer in time."),
        (HostError("Prosody's HTTP view does not answer."), "Prosody's HTTP view does not answer."),
        (PermissionError(1, "Operation not permitted"), "[Errno 1] Operation not permitted"),
        (TimeoutError(), "TimeoutError"),
        (OSError(), "OSError"),
    ],
)
async def test_a_step_that_fails_has_a_sentence(diary: Diary, answer: str | Exception, sentence: str) -> None:
    """Whether it says so or raises, it is an outcome; the log has the step, neither the sentence nor the owner."""
    outcome = await do_step({Step.STORE: giving(answer)}, ACCOUNT, Clean(Step.STORE, 3, 0.0), 5.0, diary.log())
    assert Outcome(Step.STORE, 3, ok=False, sentence=sentence) == outcome
    assert [{"level": "warning", "event": "step_failed", "account": "acc-1", "step": "Store"}] == diary.lines()


async def test_a_step_that_hangs_is_cut_off(diary: Diary, monkeypatch: pytest.MonkeyPatch) -> None:
    """After its seconds and the slack it is given up and cancelled, and that is a failure as any."""
    monkeypatch.setattr(deeds, "SLACK", 0.01)
    ended: list[str] = []

    async def hang(_: BridgeAccount, __: float) -> str:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")
        return ""

    outcome = await do_step({Step.REDIS: hang}, ACCOUNT, Clean(Step.REDIS, 0, 0.0), 0.01, diary.log())
    assert Outcome(Step.REDIS, 0, ok=False, sentence="TimeoutError") == outcome
    assert ["cancelled"] == ended


async def test_a_step_may_use_the_slack(diary: Diary) -> None:
    """One that was told no time at all, and needs a moment, is done."""

    async def slow(_: BridgeAccount, __: float) -> str:
        await asyncio.sleep(0)
        return ""

    assert (await do_step({Step.REDIS: slow}, ACCOUNT, Clean(Step.REDIS, 0, 0.0), 0.0, diary.log())).ok


async def test_a_fault_of_ours_is_no_outcome(diary: Diary) -> None:
    """What the outside cannot do is raised, and the reconciler tells of it."""
    steps = {Step.STORE: giving(ValueError("a fault"))}
    with pytest.raises(ValueError, match="a fault"):
        await do_step(steps, ACCOUNT, Clean(Step.STORE, 0, 0.0), 5.0, diary.log())
    assert [] == diary.lines()


async def test_the_fence_is_raised(diary: Diary) -> None:
    """The owner's fence goes to the epoch, and that is all."""
    prosody = control()
    await assign(lambda: prosody, OWNER, 7, diary.log())
    assert [(OWNER, 7)] == prosody.assigned
    assert [] == diary.lines()


@pytest.mark.parametrize("error", [ProsodyRefused("conflict"), HostError("It is away."), TimeoutError()])
async def test_a_start_goes_on_without_prosody(diary: Diary, error: Exception) -> None:
    """What Prosody refuses or does not answer is told by its kind, without the owner, and nothing is raised."""
    await assign(lambda: control(error), OWNER, 7, diary.log())
    why = type(error).__name__
    assert [{"level": "warning", "event": "prosody_refused", "epoch": 7, "why": why}] == diary.lines()


async def test_a_start_goes_on_without_the_means_to_ask(diary: Diary) -> None:
    """A control that cannot be given, as with an unreadable token, is a Prosody that is away."""

    def unreadable() -> ProsodyControl:
        raise HostError("The token cannot be read.")

    await assign(unreadable, OWNER, 7, diary.log())
    assert [{"level": "warning", "event": "prosody_refused", "epoch": 7, "why": "HostError"}] == diary.lines()


async def test_a_prosody_that_hangs_is_not_waited_for(diary: Diary, monkeypatch: pytest.MonkeyPatch) -> None:
    """A start has its seconds for it, then goes on."""
    monkeypatch.setattr(deeds, "START_SECONDS", 0.01)
    await assign(lambda: control(hangs=True), OWNER, 7, diary.log())
    assert ["TimeoutError"] == [line["why"] for line in diary.lines()]


async def test_a_fault_of_ours_is_not_taken_for_prosody(diary: Diary) -> None:
    """It is raised."""
    with pytest.raises(ValueError, match="a fault"):
        await assign(lambda: control(ValueError("a fault")), OWNER, 7, diary.log())
    assert [] == diary.lines()
