"""What the accounts operator does about a namespace that it may not see: tell its gateways, and let its accounts go.

When a namespace is removed, the operator's Role in it may go before our finalizer is off the accounts, and the
namespace would stay for ever. Two rights of the cluster are left then: to read whether a namespace is being removed,
and to read and patch an account whose name one knows (docs/adr/0009). Called by `operators.accounts`, again and again.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from pydantic import ValidationError

from ponton_bridge.shard.logs import Log
from ponton_operator.cluster.events import OperatorEvent
from ponton_operator.cluster.kube_api import KubeApi
from ponton_operator.cluster.kube_errors import Conflict, KubeError, NotFound
from ponton_operator.cluster.kube_kinds import ACCOUNTS, GATEWAYS, NAMESPACES
from ponton_operator.plan.merge import conditions_patch
from ponton_operator.plan.reach import is_going, is_held_up
from ponton_operator.plan.uninstall import release
from ponton_operator.resources.conditions_gateway import Finding, GatewayType, put_findings
from ponton_operator.resources.gateway import BridgeGateway

ROUNDS: Final = 5  # looks at the accounts of a namespace that goes: most are deleted within seconds
APART: Final = 1.0  # seconds between them


@dataclass(slots=True)
class Leaving:
    """A namespace that may not be seen, and what was known of it when it could be."""

    api: KubeApi
    log: Log
    namespace: str
    gateways: dict[str, BridgeGateway] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)  # of accounts that may still have our finalizer
    _quiet: bool = False  # that accounts hold the namespace up needs no word (any more): they are known, or it was told

    def take(self, gateway: BridgeGateway | None, accounts: Iterable[str]) -> None:
        """Take over what one gateway's runtime knew."""
        self.names.update(accounts)
        self._quiet = self._quiet or bool(self.names)
        if gateway:
            self.gateways[gateway.metadata.name] = gateway

    async def look(self, now: float) -> None:
        """Do what can be done without rights in the namespace; what fails is tried the next time."""
        try:
            found = await self.api.find(NAMESPACES, "", self.namespace)
        except KubeError:
            found = {}
        if found is None:
            self.names.clear()
            self.gateways.clear()
        elif is_going(found):
            for _ in range(ROUNDS):
                await self._let_go()
                if not self.names:
                    break
                await asyncio.sleep(APART)
            if not self._quiet and is_held_up(found):
                self._quiet = True
                self.log(OperatorEvent.NAMESPACE_HELD_UP, "warning", namespace=self.namespace)
        else:
            for name, gateway in list(self.gateways.items()):
                self.gateways[name] = await tell_rights(self.api, gateway, now, missing=True) or gateway

    async def _let_go(self) -> None:
        """Take our finalizer off all accounts that are being deleted with the namespace."""
        done = 0
        for name in sorted(self.names):
            try:
                done += await self._release(name)
            except KubeError:
                continue
        if done:
            self.log(OperatorEvent.NAMESPACE_LET_GO, namespace=self.namespace, accounts=done)

    async def _release(self, name: str) -> bool:
        """Let one account go, and know it no more; gives whether there was anything to do. Raises KubeError."""
        account = await self.api.find(ACCOUNTS, self.namespace, name)
        if account and not is_going(account):
            return False  # its turn comes
        patch = release(account) if account else None
        if patch:
            try:
                await self.api.patch(ACCOUNTS, self.namespace, name, patch)
            except Conflict:
                return False
            except NotFound:
                patch = None
        self.names.discard(name)
        return patch is not None


async def tell_rights(
    api: KubeApi, gateway: BridgeGateway | None, now: float, *, missing: bool
) -> BridgeGateway | None:
    """Write or take back the condition that the namespace is left out, where we may write it.

    Gives the gateway as it is then, None when nothing was written.
    """
    if gateway is None:
        return None
    meta, before = gateway.metadata, gateway.status.conditions
    findings = [Finding.ACCOUNTS_LEFT_OUT] if missing else []
    conditions = put_findings(before, findings, {GatewayType.RIGHTS_MISSING}, now, meta.generation)
    if conditions == before:
        return None
    body = conditions_patch(gateway, conditions)
    try:
        return BridgeGateway.model_validate(await api.patch(GATEWAYS, meta.namespace, meta.name, body, "status"))
    except (KubeError, ValidationError):
        return None
