"""One look at all accounts of a gateway: decide (`plan.scaling`), write `status.scaling`, resize pods, raise alarms.

Called by the scaler every few seconds for each gateway. What one look leaves undone, because it is too much at once or
the API server is away, the next one finds again: everything is decided anew from what is seen.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from ponton_bridge.coordination.contract import Happening, Heartbeat
from ponton_bridge.shard.logs import Log
from ponton_operator.cluster.events import OperatorEvent
from ponton_operator.cluster.kube_api import KubeApi
from ponton_operator.cluster.kube_beats import Beats
from ponton_operator.cluster.kube_errors import KubeError
from ponton_operator.cluster.kube_fleet import Fleet, Key
from ponton_operator.cluster.kube_kinds import ACCOUNTS, GATEWAYS
from ponton_operator.cluster.kube_resize import Resizer
from ponton_operator.cluster.metrics import Metrics
from ponton_operator.plan.alarms import OWN, alarm_findings, find_alarms, read_alarms, read_turns
from ponton_operator.plan.manifests_shard import tier_of
from ponton_operator.plan.merge import conditions_patch
from ponton_operator.plan.resizing import Sized
from ponton_operator.plan.scaling import Decision, plan_scaling
from ponton_operator.plan.tiers import Size, Use, sizes
from ponton_operator.resources.account import BridgeAccount, ScalingStatus
from ponton_operator.resources.base import is_paused
from ponton_operator.resources.conditions_gateway import put_findings
from ponton_operator.resources.gateway import BridgeGateway
from ponton_operator.resources.running import Tier

WRITES_MOST: Final = 100  # of one look at one gateway: at 20 writes a second the next look is not late
RECREATES_MOST: Final = 5  # pods made anew by one look: half a pod a second, each quiet


@dataclass(slots=True)
class _Budget:
    """What one look may still do, and the sizes that it gave."""

    writes: int = WRITES_MOST
    recreates: int = RECREATES_MOST
    given: list[tuple[str, Happening]] = field(default_factory=list)


@dataclass(slots=True)
class Sweep:
    """The sweep of all gateways; `clock` gives seconds since 1970."""

    api: KubeApi
    fleet: Fleet
    beats: Beats
    resizer: Resizer
    metrics: Metrics
    log: Log
    clock: Callable[[], float]
    _uses: dict[Key, Use] = field(default_factory=dict)

    async def look(self, key: Key) -> None:
        """Look at a gateway's accounts once. KubeErrors of single writes are left to the next look."""
        gateway = self.fleet.gateways.get(key)
        if gateway is None or is_paused(gateway.metadata):
            return
        accounts = {account.metadata.name: account for account in self.fleet.accounts(key)}
        tiers, budget = sizes(gateway.spec.scaling.tiers), _Budget()
        beating = 0
        async for names, found in self.beats.pages(gateway, list(accounts)):
            beating += len(found)
            for name in names:
                await self._account(gateway, accounts[name], tiers, found.get(name), budget)
        await self.beats.record(gateway, budget.given)
        await self._alarms(key, gateway, list(accounts.values()))
        for what, value in (("accounts", len(accounts)), ("heartbeats", beating)):
            self.metrics.state(what, "/".join(key), value)

    def forget(self) -> None:
        """Drop what is remembered of accounts that are gone."""
        there = {
            (a.metadata.namespace, a.metadata.name) for key in self.fleet.gateways for a in self.fleet.accounts(key)
        }
        for key in self._uses.keys() - there:
            del self._uses[key]

    # ---- inside --------------------------------------------------------------------------------------------

    async def _account(
        self,
        gateway: BridgeGateway,
        account: BridgeAccount,
        tiers: tuple[Size, ...],
        beat: Heartbeat | None,
        budget: _Budget,
    ) -> None:
        key, now = (account.metadata.namespace, account.metadata.name), self.clock()
        pod, tier = self.fleet.pods.get(key), tier_of(gateway, account)
        seen = None
        if pod and tiers:  # without a size to move to, nothing is to be made anew
            seen = pod.seen(now, refused=not pod.has(tier) and self.resizer.cannot(pod, tier))
        use = self._uses.get(key, Use())
        decision = plan_scaling(account, tiers, gateway.spec.scaling.parking, beat, use, seen, now)
        if decision.status is None:
            self._uses[key] = decision.use
        elif await self._write(account, decision, decision.status, budget):
            self._uses[key] = decision.use
            status = account.status.model_copy(update={"scaling": decision.status})
            account = account.model_copy(update={"status": status})
        if pod and tiers and not is_paused(account.metadata):
            await self._resize(pod, tier_of(gateway, account), budget)

    async def _resize(self, pod: Sized, tier: Tier, budget: _Budget) -> None:
        if not pod.running or pod.has(tier) or budget.writes < 1 or self.resizer.waits(pod, tier):
            return
        budget.writes -= 1
        if changed := await self.resizer.resize(pod, tier):
            self.fleet.put_pod(changed)

    async def _write(self, account: BridgeAccount, decision: Decision, status: ScalingStatus, budget: _Budget) -> bool:
        """Write what was decided; gives whether it was. Else it is decided again in the next look."""
        before = account.status.scaling or ScalingStatus()
        anew = status.recreate not in {0, before.recreate}
        if budget.writes < 1 or (anew and budget.recreates < 1) or is_paused(account.metadata):
            return False
        budget.writes -= 1
        budget.recreates -= anew
        body = {"status": {"scaling": status.model_dump(mode="json", by_alias=True)}}
        namespace, name = account.metadata.namespace, account.metadata.name
        try:
            answer = await self.api.patch(ACCOUNTS, namespace, name, body, "status")
        except KubeError:
            return False
        self.fleet.take(ACCOUNTS, answer, gone=False)
        if status.tier != before.tier:
            self.log(OperatorEvent.TIER_CHANGED, account=name, tier=status.tier, bytes=decision.use.memory)
            budget.given.append((name, Happening(time=self.clock(), tier=status.tier)))
        if status.park and not before.park:
            self.log(OperatorEvent.ACCOUNT_IDLE, account=name, why=status.park)
        return True

    async def _alarms(self, key: Key, gateway: BridgeGateway, accounts: list[BridgeAccount]) -> None:
        """Write the alarms into the gateway's conditions when they change; with its version, as others write, too."""
        before, now = read_alarms(gateway.status.conditions), self.clock()
        alarms = find_alarms(map(read_turns, accounts), before, now)
        self.metrics.state("reconnecting", "/".join(key), alarms.reconnecting)
        self.metrics.state("banned", "/".join(key), alarms.banned)
        if (alarms.storm, alarms.bans) == (before.storm, before.bans):
            return
        conditions = put_findings(
            gateway.status.conditions, alarm_findings(alarms), OWN, now, gateway.metadata.generation
        )
        try:
            answer = await self.api.patch(GATEWAYS, *key, conditions_patch(gateway, conditions), "status")
        except KubeError:  # somebody else has written: the next look reads that first
            return
        self.fleet.take(GATEWAYS, answer, gone=False)
        self.log(
            OperatorEvent.ALARM_CHANGED, "warning", gateway=key[1], storm=alarms.storm, bans=alarms.bans,
            reconnecting=alarms.reconnecting, banned=alarms.banned,
        )  # fmt: skip
