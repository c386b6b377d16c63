"""What a plan sees and what it asks for. Drivers (`cluster/`) make the first and carry out the second."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum

from ponton_bridge.coordination.contract import StateChange
from ponton_operator.resources.account import AccountStatus

# ---- what is seen ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Process:
    """A process (or pod) of the account, known by the epoch with which it was started.

    `told` = somebody of us asked it to end. `exit_code` counts once `ended`: negative for a signal, None unknown.
    `lost` = its node does not answer: it may run or not, nobody knows. `trouble` = why it does not get on, a reason of
    `resources.conditions.Own`, '' for nothing known.
    """

    epoch: int
    ended: bool = False
    exit_code: int | None = None
    told: bool = False
    lost: bool = False
    trouble: str = ""


class Step(StrEnum):
    """The steps of a deletion, in their order."""

    UNLINK = "Unlink"
    STOP = "Stop"
    RELEASE = "Release"
    REDIS = "Redis"
    STORE = "Store"
    SECRET = "Secret"  # noqa: S105  # the name of a step
    DONE = "Done"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the attempt number `tries` of a deletion's step went; `sentence` says what was wrong."""

    step: Step
    tries: int
    ok: bool
    sentence: str = ""


@dataclass(frozen=True, slots=True)
class Observed:
    """What a driver knows of one account, besides the resource.

    `settled` is False while the view may lack our own last start: nothing is started then.
    `state` is the newest that a shard told, of whatever epoch. `twin` names an older resource of the same owner.
    `permit`: the fleet lets this account start (or be restarted) now. `revision` is what a new shard would run.
    `obstacle`: why no shard can be started at all now, a reason of `resources.conditions.Own`; '' for nothing.
    `paused`: the host keeps our hands off the whole gateway. `terminating`: all that there is around the account is
    being removed, so nothing can be unlinked any more.
    """

    processes: tuple[Process, ...] = ()
    settled: bool = True
    state: StateChange | None = None
    twin: str = ""
    permit: bool = False
    revision: str = ""
    outcome: Outcome | None = None
    obstacle: str = ""
    paused: bool = False
    terminating: bool = False

    def process(self, epoch: int) -> Process | None:
        """Find a process by its epoch."""
        return next((p for p in self.processes if p.epoch == epoch), None)

    @property
    def alive(self) -> tuple[Process, ...]:
        """Processes that have not ended, as far as is known."""
        return tuple(p for p in self.processes if not p.ended)


# ---- what is asked for ----------------------------------------------------------------------------------------


class Urgency(IntEnum):
    """Who goes first when starts are rationed."""

    PERSON = 0  # somebody waits: a new account, a wake, an unlink
    RESTART = 1
    ROLLOUT = 2


@dataclass(frozen=True, slots=True)
class WriteStatus:
    """Write the status before anything that follows; `urgent` False may be put together with later ones."""

    status: AccountStatus
    urgent: bool


@dataclass(frozen=True, slots=True)
class AskPermit:
    """Queue for the fleet's start limit; the account is planned again with `permit` when it is its turn."""

    urgency: Urgency


@dataclass(frozen=True, slots=True)
class Start:
    """Start the shard of this epoch: secrets, Redis user, fence at Prosody, process. `wipe` empties the store first."""

    epoch: int
    wipe: bool = False


@dataclass(frozen=True, slots=True)
class Stop:
    """Tell the process to end (TERM, and KILL after its grace)."""

    epoch: int


@dataclass(frozen=True, slots=True)
class Collect:
    """Forget a process whose end is recorded (delete the pod object, drop the reaped child)."""

    epoch: int


@dataclass(frozen=True, slots=True)
class Clean:
    """Do one step of the deletion, at most until `deadline` (seconds since 1970); the outcome is observed.

    UNLINK asks the running shard by its command stream; the same attempt asked twice is one command.
    """

    step: Step
    tries: int
    deadline: float


@dataclass(frozen=True, slots=True)
class Forget:
    """The account is gone: remove the resource's last trace. `problems` is what could not be done."""

    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Again:
    """Plan again at this time (seconds since 1970) at the latest."""

    at: float


Action = WriteStatus | AskPermit | Start | Stop | Collect | Clean | Forget | Again
