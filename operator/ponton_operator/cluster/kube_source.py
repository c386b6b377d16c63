"""A gateway on a cluster: the BridgeGateway as it was seen last, and the Secrets that it names, read when needed.

Called by `kube_shards` for each start. Secrets are read one by one by their names and kept for a short time, so the
operator may not list any.
"""

import base64
import binascii
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Final

from ponton_bridge.model.errors import HostError
from ponton_operator.cluster.kube_api import KubeApi
from ponton_operator.cluster.kube_errors import NotFound
from ponton_operator.cluster.kube_kinds import SECRETS
from ponton_operator.cluster.prosody import ProsodyControl
from ponton_operator.plan.environment import revision
from ponton_operator.plan.manifests_shard import UPLOAD_CA, XMPP_CA, Launch
from ponton_operator.plan.secrets import shard_secret
from ponton_operator.resources.account import BridgeAccount
from ponton_operator.resources.gateway import BridgeGateway, GatewaySpec, SecretRef

VERSION: Final = version("ponton")
FRESH: Final = 30.0  # seconds that a Secret is believed to be as it was


class SecretMissing(HostError):
    """A Secret that the gateway names is not there, or has no such key."""


@dataclass(slots=True)
class KubeGateway:
    """One gateway; `resource` None: there is no BridgeGateway of this name. `image`: for those that name none."""

    api: KubeApi
    namespace: str
    name: str
    image: str
    resource: BridgeGateway | None = None
    clock: Callable[[], float] = time.monotonic
    _values: dict[tuple[str, str], str] = field(default_factory=dict)  # of the Secrets, by name and key
    _read: float = 0.0

    @property
    def revision(self) -> str:
        """What a new shard would run."""
        return revision(self.resource, f"{VERSION} {self.image}") if self.resource else ""

    def use(self, resource: BridgeGateway | None) -> bool:
        """Take the resource as it was seen; gives whether that changes anything for shards."""
        before, self.resource = self.resource, resource
        if before is not None and resource is not None and before.spec == resource.spec:
            return False
        self._values.clear()
        return before is not resource

    async def load(self) -> BridgeGateway:
        """Have the secrets at hand; gives the gateway. Raises KubeError, or SecretMissing with a sentence."""
        if self.resource is None:
            raise SecretMissing("There is no such gateway.")
        if not self._values or self.clock() - self._read > FRESH:
            self._values = await self._fetch(self.resource)
            self._read = self.clock()
        return self.resource

    @property
    def master(self) -> str:
        """The master secret; after `load`."""
        return self._value(self._spec.secrets.master_ref)

    @property
    def redis_url(self) -> str:
        """The control plane's own URL; after `load`."""
        return self._value(self._spec.redis.url_ref)

    def prosody(self) -> ProsodyControl:
        """Give the control of Prosody; after `load`."""
        spec = self._spec
        ca = self._value(spec.prosody.ca_ref) if spec.prosody.ca_ref else ""
        return ProsodyControl(spec.prosody.url, spec.domain, self._value(spec.prosody.token_ref), ca)

    def launch(self, account: BridgeAccount, epoch: int) -> Launch:
        """Give what is to be started; after `load`."""
        if self.resource is None:
            raise SecretMissing("There is no such gateway.")
        return Launch(self.resource, account, epoch, self.revision, self.image)

    def files(self, account: BridgeAccount, epoch: int, redis_url: str) -> dict[str, str]:
        """Give the secret files of a shard; after `load`."""
        spec = self._spec
        secret = shard_secret(self.master, spec.domain, account.spec.owner, epoch)
        files = {"owner": account.spec.owner, "component-secret": secret, "redis-url": redis_url}
        upload = spec.shard.upload
        authorities = {
            XMPP_CA: spec.xmpp.tls.ca_ref if spec.xmpp.tls else None,
            UPLOAD_CA: upload.ca_ref if upload else None,
        }
        return files | {name: self._value(ref) for name, ref in authorities.items() if ref}

    # ---- inside --------------------------------------------------------------------------------------------

    @property
    def _spec(self) -> GatewaySpec:
        if self.resource is None:
            raise SecretMissing("There is no such gateway.")
        return self.resource.spec

    def _value(self, ref: SecretRef) -> str:
        try:
            return self._values[ref.name, ref.key]
        except KeyError:
            raise SecretMissing(f"The Secret {ref.name} has no key {ref.key}.") from None

    async def _fetch(self, resource: BridgeGateway) -> dict[tuple[str, str], str]:
        refs = secret_refs(resource)
        values: dict[tuple[str, str], str] = {}
        for name in dict.fromkeys(ref.name for ref in refs):
            try:
                found = await self.api.get(SECRETS, self.namespace, name)
            except NotFound:
                raise SecretMissing(f"There is no Secret {name}.") from None
            for key, text in (found.get("data") or {}).items():
                try:
                    values[name, key] = base64.b64decode(text).decode().strip()
                except (binascii.Error, ValueError):
                    continue  # no text: of no use to us, unless it is named, which is told below
        for ref in refs:
            if not values.get((ref.name, ref.key)):
                raise SecretMissing(f"The Secret {ref.name} has no text under its key {ref.key}.")
        return {(ref.name, ref.key): values[ref.name, ref.key] for ref in refs}


def secret_refs(resource: BridgeGateway) -> list[SecretRef]:
    """Give everything of a Secret that starting shards needs."""
    spec = resource.spec
    refs = (
        spec.secrets.master_ref,
        spec.prosody.token_ref,
        spec.redis.url_ref,
        spec.prosody.ca_ref,
        spec.xmpp.tls.ca_ref if spec.xmpp.tls else None,
        spec.shard.upload.ca_ref if spec.shard.upload else None,
    )
    return [ref for ref in refs if ref]
