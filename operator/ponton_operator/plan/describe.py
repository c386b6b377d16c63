"""Phase, reason and conditions of an account, from its status and what is seen. Called by `plan.account`.

One reason explains the account as a whole (the column Reason); each condition has its own besides.
"""

from collections.abc import Iterator

from ponton_bridge.coordination.contract import StateChange
from ponton_bridge.model.states import TABLE, Phase, Reason
from ponton_operator.plan.ends import CRASHING_FROM, EX_CONFIG
from ponton_operator.plan.starting import current_state
from ponton_operator.plan.values import Observed, Process
from ponton_operator.resources.account import AccountStatus
from ponton_operator.resources.base import Condition, Truth, moment
from ponton_operator.resources.conditions import KNOWN, Own, Type, phase_of, sentence_of

Row = tuple[Type, Truth, str]


def running_reason(status: AccountStatus, observed: Observed) -> str:
    """Explain an account that should have a process."""
    shard = status.shard
    process = observed.process(shard.epoch) if shard else None
    if process and process.lost:
        return Own.WAITING_FOR_NODE
    if process and not process.ended:
        return _alive_reason(status, observed, process)
    if observed.obstacle:
        return observed.obstacle
    if shard is None:
        return Own.WAITING_FOR_TURN
    if shard.exit_code == EX_CONFIG:
        return Reason.FAILED
    return starting_reason(status)


def _alive_reason(status: AccountStatus, observed: Observed, process: Process) -> str:
    state = current_state(status, observed)
    if process.trouble:
        return Reason.CRASHING if process.trouble == Own.CRASH_LOOP else process.trouble
    if state is None:
        return starting_reason(status)
    return state.reason if state.reason in TABLE else Reason.FAILED  # it came over the wire


def parked_reason(status: AccountStatus) -> str:
    """Explain an account that the operator or the scaler keeps without a process."""
    if status.parking:
        return status.parking.reason
    why = status.scaling.park if status.scaling else ""
    return why if why in KNOWN else Reason.PARKED  # another program wrote it


def starting_reason(status: AccountStatus) -> str:
    """Explain an account whose shard has said nothing yet: it starts, or it crashes again and again."""
    return Reason.CRASHING if status.retry.failures >= CRASHING_FROM else Reason.STARTING


def describe(
    status: AccountStatus, observed: Observed, reason: str, now: float, *, frozen: bool, generation: int
) -> AccountStatus:
    """Write phase, reason and conditions into the status; a condition that did not turn keeps its time."""
    before = {c.type: c for c in status.conditions}
    conditions = []
    for kind, truth, why in _rows(status, observed, reason, frozen=frozen):
        old = before.get(kind)
        since = old.last_transition_time if old and old.status == truth else moment(now)
        conditions.append(
            Condition(
                type=kind,
                status=truth,
                reason=why,
                message=sentence_of(why),
                last_transition_time=since,
                observed_generation=generation,
            )
        )
    news = {
        "phase": phase_of(reason),
        "reason": str(reason),
        "conditions": tuple(conditions),
        "observed_generation": generation,
    }
    return status.model_copy(update=news)


def _rows(status: AccountStatus, observed: Observed, reason: str, *, frozen: bool) -> Iterator[Row]:
    process = found = observed.process(status.shard.epoch) if status.shard else None
    if process and process.ended:
        process = None
    # What a process that does not get on has told is of before: a crash loop keeps the last state of its epoch.
    state = current_state(status, observed) if process and not (process.lost or process.trouble) else None
    linked = state is not None and phase_of(state.reason) is Phase.RUNNING
    stream = state is not None and bool(state.xmpp)
    yield Type.READY, _truth(linked and stream), reason
    trouble = Own(found.trouble) if found and found.trouble else None
    yield Type.POD_SCHEDULED, *_either(bool(process) and not trouble, Own.RUNS, trouble or Own.NO_PROCESS)
    yield Type.XMPP_CONNECTED, *_stream(process, state)
    yield Type.PAIRED, *_either(status.paired, Own.PAIRED, Own.NOT_PAIRED)
    yield Type.WHATSAPP_CONNECTED, _truth(linked), reason
    yield Type.PHONE_SEEN, *_phone(state, linked=linked)
    yield Type.UP_TO_DATE, *_current(status, observed, process)
    yield from _abnormal(status, observed, reason, frozen=frozen)


def _abnormal(status: AccountStatus, observed: Observed, reason: str, *, frozen: bool) -> Iterator[Row]:
    why = status.parking.reason if status.parking else reason
    rows = (
        (Type.BANNED, why == Reason.BANNED, Reason.BANNED),
        (Type.FENCED, why == Reason.FENCED, Reason.FENCED),
        (Type.STALE_STORE, why == Reason.STALE_STORE, Reason.STALE_STORE),
        (Type.PAUSED, frozen, Own.RECONCILE_DISABLED),
        (Type.DUPLICATE, bool(observed.twin), Own.DUPLICATE),
        (Type.WAITING_FOR_NODE, any(p.lost and not p.ended for p in observed.processes), Own.WAITING_FOR_NODE),
    )
    for kind, true, own in rows:
        if true:
            yield kind, Truth.TRUE, own


def _truth(value: bool) -> Truth:  # noqa: FBT001  # that is all there is to say
    return Truth.TRUE if value else Truth.FALSE


def _either(value: bool, yes: Own, no: Own) -> tuple[Truth, str]:  # noqa: FBT001  # the same
    return (Truth.TRUE, yes) if value else (Truth.FALSE, no)


def _stream(process: Process | None, state: StateChange | None) -> tuple[Truth, str]:
    if process and state is None:
        return Truth.UNKNOWN, Own.NOT_KNOWN
    return _either(state is not None and bool(state.xmpp), Own.STREAM_OPEN, Own.STREAM_CLOSED)


def _phone(state: StateChange | None, *, linked: bool) -> tuple[Truth, str]:
    if state is None or not linked:
        return Truth.UNKNOWN, Own.NOT_KNOWN
    quiet = state.reason == Reason.PHONE_QUIET
    return (Truth.FALSE, Reason.PHONE_QUIET) if quiet else (Truth.TRUE, Own.PHONE_SEEN)


def _current(status: AccountStatus, observed: Observed, process: Process | None) -> tuple[Truth, str]:
    if process is None or status.shard is None:
        return Truth.UNKNOWN, Own.NO_PROCESS
    return _either(status.shard.revision == observed.revision, Own.CURRENT, Own.ROLLOUT_PENDING)
