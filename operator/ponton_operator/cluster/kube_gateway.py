"""What the shards of a gateway are started from: the BridgeGateway as it was seen last, its Secrets as read last.

Called by `kube_shards` for each start and by `kube_runtime`. Secrets are not watched; they are read again when what was
read is no longer fresh.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final

from ponton_bridge.model.errors import HostError
from ponton_operator.cluster.gateway_secrets import GatewaySecrets, read_secrets
from ponton_operator.cluster.kube_api import KubeApi
from ponton_operator.plan.environment import revision
from ponton_operator.plan.manifests_shard import UPLOAD_CA, XMPP_CA, Launch
from ponton_operator.plan.secrets import shard_secret
from ponton_operator.resources.account import BridgeAccount
from ponton_operator.resources.base import Metadata
from ponton_operator.resources.gateway import BridgeGateway, GatewaySpec

VERSION: Final = version("ponton")
FRESH: Final = 30.0  # seconds that Secrets are believed to be as they were


class NoGateway(HostError):
    """There is no BridgeGateway of the name that accounts refer to, or nothing of it could be read yet."""


@dataclass(slots=True)
class KubeGateway:
    """One gateway by its name; `resource` None: there is none. `image`: for a gateway that names none."""

    api: KubeApi
    name: str
    image: str
    resource: BridgeGateway | None = None
    clock: Callable[[], float] = time.monotonic
    revision: str = ""  # what a new shard would run
    _secrets: GatewaySecrets | None = None
    _at: float = 0.0

    def use(self, resource: BridgeGateway | None) -> bool:
        """Take the resource as it was seen; gives whether shards should be planned anew."""
        before = self.resource
        if before and resource and _older(resource.metadata, before.metadata):
            return False
        self.resource = resource
        same = before is not None and resource is not None and _counts(before) == _counts(resource)
        if same or before is resource:
            return False
        self._secrets = None
        self.revision = revision(resource, f"{VERSION} {self.image}".strip()) if resource else ""
        return True

    async def load(self) -> GatewaySecrets:
        """Give the secrets, read again if they are not fresh. Raises NoGateway, KubeError."""
        if self.resource is None:
            raise NoGateway("There is no gateway of this name.")
        secrets = self._secrets
        if secrets is None or self.clock() - self._at > FRESH:
            self._at = self.clock()
            secrets = self._secrets = await read_secrets(self.api, self.resource)
        return secrets

    def launch(self, account: BridgeAccount, epoch: int) -> Launch:
        """Give what is to be started. Raises NoGateway."""
        if self.resource is None:
            raise NoGateway("There is no gateway of this name.")
        return Launch(self.resource, account, epoch, self.revision, self.image)


def shard_files(secrets: GatewaySecrets, account: BridgeAccount, epoch: int, redis_url: str) -> dict[str, str]:
    """Give the files of a shard's Secret. Raises SecretUnusable."""
    spec, owner = secrets.resource.spec, account.spec.owner
    files = {
        "owner": owner,
        "component-secret": shard_secret(secrets.master, spec.domain, owner, epoch),
        "redis-url": redis_url,
    }
    authorities = {
        XMPP_CA: spec.xmpp.tls.ca_ref if spec.xmpp.tls else None,
        UPLOAD_CA: spec.shard.upload.ca_ref if spec.shard.upload else None,
    }
    return files | {name: secrets.read(ref) for name, ref in authorities.items() if ref}


def _older(one: Metadata, other: Metadata) -> bool:
    """Whether it is an earlier version of the same object: a watch may lag behind an answer."""
    texts = one.resource_version, other.resource_version
    return one.uid == other.uid and all(map(str.isdigit, texts)) and int(texts[0]) < int(texts[1])


def _counts(resource: BridgeGateway) -> tuple[GatewaySpec, dict[str, str]]:
    """Give what of a gateway counts for its shards: the annotations may hold the brake."""
    return resource.spec, resource.metadata.annotations
