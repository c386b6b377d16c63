"""Accounts as they are after some life, for tests of plans over many of them: rollouts, scaling, alarms."""

from typing import Any

from ponton_bridge.coordination.contract import Heartbeat
from ponton_bridge.model.states import Phase, Reason
from ponton_operator.resources.account import BridgeAccount, ParkingStatus, ScalingStatus, ShardStatus
from ponton_operator.resources.base import Condition, Truth, moment
from ponton_operator.resources.conditions import Type, phase_of

NOW = 1_800_000_000.0
EPOCH = int(NOW * 1000) - 86_400_000
MIB = 1024 * 1024


def served(name: str = "acc-1", **status: Any) -> BridgeAccount:  # noqa: ANN401  # any field of the status
    """Make a paired account whose shard, started a day ago with r1, is linked; `status` says what is otherwise."""
    shard = ShardStatus(epoch=EPOCH, revision="r1", started=moment(NOW - 86_400))
    usual: dict[str, Any] = {"epoch": EPOCH, "paired": True, "phase": Phase.RUNNING, "reason": Reason.CONNECTED}
    account = BridgeAccount.model_validate({
        "metadata": {"name": name, "creationTimestamp": moment(NOW - 90_000)},
        "spec": {"owner": f"{name}@example.test", "gatewayRef": {"name": "wa"}},
    })  # fmt: skip
    fields = usual | {"shard": shard} | status
    if "phase" not in status:
        fields["phase"] = phase_of(fields["reason"])
    return account.model_copy(update={"status": account.status.model_copy(update=fields)})


def shard(revision: str = "r1", started: float = NOW - 86_400, ended: float | None = None, epoch: int = EPOCH) -> Any:  # noqa: ANN401  # a value for `served`
    """Make the shard of a status."""
    done = None if ended is None else moment(ended)
    return ShardStatus(epoch=epoch, revision=revision, started=moment(started), ended=done)


def parked(reason: str, since: float) -> ParkingStatus:
    """Make the parking of a status."""
    return ParkingStatus(reason=reason, since=moment(since))


def turned(kind: Type, at: float, truth: Truth = Truth.FALSE) -> tuple[Condition, ...]:
    """Make the conditions of a status, of which one turned at a time."""
    return (Condition(type=kind, status=truth, reason="Any", last_transition_time=moment(at)),)


def beat(mib: float, time: float, epoch: int = EPOCH, **rest: Any) -> Heartbeat:  # noqa: ANN401  # any field
    """Make a heartbeat of a shard that takes so much memory."""
    return Heartbeat(epoch=epoch, instance="i", time=time, paired=1, rss=int(mib * 1024), **rest)


def wished(account: BridgeAccount, scaling: ScalingStatus | None) -> BridgeAccount:
    """Let the scaler have written."""
    return account.model_copy(update={"status": account.status.model_copy(update={"scaling": scaling})})


def edited(account: BridgeAccount, **spec: Any) -> BridgeAccount:  # noqa: ANN401  # any field
    """Change the spec, as people and doors do."""
    return account.model_copy(update={"spec": account.spec.model_copy(update=spec)})


def marked(account: BridgeAccount, **metadata: Any) -> BridgeAccount:  # noqa: ANN401  # any field
    """Change the metadata."""
    return account.model_copy(update={"metadata": account.metadata.model_copy(update=metadata)})
