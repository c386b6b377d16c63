"""The gateway's YAML as the local runtime follows it, and what is needed to serve it: secrets, Prosody, Redis.

Called by `local_runtime` and the program. An edit that cannot be taken changes nothing and is told in the status.
"""

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Final

from ponton_bridge.model.errors import HostError
from ponton_operator.cluster.local_files import Secrets, write_whole
from ponton_operator.cluster.local_folder import FRESH, Stamp
from ponton_operator.cluster.local_layout import Home
from ponton_operator.cluster.prosody import ProsodyControl
from ponton_operator.plan.environment import (
    Places,
    Told,
    front_desk_environment,
    portal_environment,
    portal_references,
    revision,
    shard_environment,
)
from ponton_operator.plan.secrets import front_desk_secret, shard_secret
from ponton_operator.resources.account import BridgeAccount
from ponton_operator.resources.base import SecretRef
from ponton_operator.resources.gateway import BridgeGateway, GatewayStatus
from ponton_operator.resources.yamlfile import BadResource, dump, load

VERSION: Final = version("ponton")


@dataclass(slots=True)
class Gateway:
    """One gateway's file and secrets; `resource` is what was last taken."""

    file: Path
    secrets: Secrets
    resource: BridgeGateway
    problem: str = ""
    status: GatewayStatus = field(default_factory=GatewayStatus)
    _text: bytes = b""
    _stamp: Stamp | None = None
    _written: bool = False

    @classmethod
    def open(cls, file: Path, secrets: Path) -> "Gateway":
        """Read the file and check that all its secrets are there. Raises HostError with a sentence for the host."""
        try:
            text = file.read_bytes()
        except OSError as error:
            raise HostError(f"{file.name}: {error.strerror}.") from None
        gateway = cls(file, Secrets(secrets), _read(file.name, text), _text=text)
        gateway.check()
        return gateway

    def check(self) -> None:
        """Raise SecretUnreadable when a secret that the gateway names cannot be used."""
        spec = self.resource.spec
        optional = (
            spec.secrets.front_desk_ref,
            spec.prosody.ca_ref,
            spec.xmpp.tls.ca_ref if spec.xmpp.tls else None,
            spec.shard.upload.ca_ref if spec.shard.upload else None,
            *portal_references(self.resource).values(),
        )
        refs: list[SecretRef] = [spec.secrets.master_ref, spec.prosody.token_ref, spec.redis.url_ref]
        for ref in refs + [ref for ref in optional if ref]:
            self.secrets.read(ref)

    def refresh(self) -> bool:
        """Read the file again; gives whether there is a new resource. What cannot be taken becomes `problem`."""
        try:
            stat = self.file.stat()
            stamp = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            if stamp == self._stamp:
                return False
            text = self.file.read_bytes()
        except OSError as error:
            self.problem, self._stamp, self._text = f"{self.file.name}: {error.strerror}.", None, b""
            return False
        # As long as the file is fresh its stamp may not tell the next write; see local_folder.
        self._stamp = stamp if time.time() - stat.st_mtime > FRESH else None
        if text == self._text:
            return False
        self._text = text
        try:
            fresh = _read(self.file.name, text)
        except HostError as error:
            self.problem = error.sentence
            return False
        old = self.resource
        if (fresh.metadata.name, fresh.spec.domain) != (old.metadata.name, old.spec.domain):
            self.problem = f"{self.file.name}: name and domain cannot be changed while it runs."
            return False
        self.problem, self.resource, self._written = "", fresh, False
        return fresh != old

    @property
    def revision(self) -> str:
        """What a new shard would run."""
        return revision(self.resource, VERSION)

    @property
    def master(self) -> str:
        """The master secret, as it is now. Raises SecretUnreadable."""
        return self.secrets.read(self.resource.spec.secrets.master_ref)

    @property
    def redis_url(self) -> str:
        """The control plane's own URL. Raises SecretUnreadable."""
        return self.secrets.read(self.resource.spec.redis.url_ref)

    def prosody(self) -> ProsodyControl:
        """Give the control of Prosody. Raises SecretUnreadable."""
        spec = self.resource.spec
        ca = self.secrets.read(spec.prosody.ca_ref) if spec.prosody.ca_ref else ""
        return ProsodyControl(spec.prosody.url, spec.domain, self.secrets.read(spec.prosody.token_ref), ca)

    def tell_shard(self, account: BridgeAccount, epoch: int, instance: str, home: Home, redis_url: str) -> Told:
        """Give what the shard of an epoch is told. Raises SecretUnreadable."""
        spec = self.resource.spec
        authorities = self._authorities(upload=True)
        secret = shard_secret(self.master, spec.domain, account.spec.owner, epoch)
        files = {"owner": account.spec.owner, "component-secret": secret, "redis-url": redis_url}
        places = self._places(home, authorities)
        return Told(shard_environment(self.resource, account, epoch, instance, places), files | authorities)

    def tell_desk(self, epoch: int, instance: str, home: Home, accounts: Path) -> Told:
        """Give what the front desk of an epoch is told. Raises SecretUnreadable."""
        spec = self.resource.spec
        authorities = self._authorities(upload=False)
        own = spec.secrets.front_desk_ref
        secret = self.secrets.read(own) if own else front_desk_secret(self.master, spec.domain, epoch)
        files = {"component-secret": secret, "redis-url": self.redis_url}
        local = {"PONTON_GATEWAY_FILE": str(self.file.absolute()), "PONTON_ACCOUNTS": str(accounts)}
        environment = front_desk_environment(self.resource, epoch, instance, self._places(home, authorities), local)
        return Told(environment, files | authorities)

    def tell_portal(self, epoch: int, instance: str, home: Home, accounts: Path) -> Told:
        """Give what the portal is told. Raises SecretUnreadable."""
        local = {"PONTON_GATEWAY_FILE": str(self.file.absolute()), "PONTON_ACCOUNTS": str(accounts)}
        environment = portal_environment(self.resource, epoch, instance, self._places(home, {}), local)
        own = {name: self.secrets.read(ref) for name, ref in portal_references(self.resource).items()}
        return Told(environment, {"redis-url": self.redis_url} | own)

    def write_status(self, status: GatewayStatus) -> None:
        """Write the status beside the file if it changed; a folder that cannot be written costs the status only."""
        if self._written and status == self.status:
            return
        self._written, self.status = True, status
        text = dump(self.resource.model_copy(update={"status": status}))
        with contextlib.suppress(OSError):
            write_whole(self.file.with_name(f"{self.file.stem}.status.yaml"), text, mode=0o640)

    def _authorities(self, *, upload: bool) -> dict[str, str]:
        """Give the authorities as files of the process, since it cannot read ours."""
        spec = self.resource.spec
        refs = {"xmpp-ca.pem": spec.xmpp.tls.ca_ref if spec.xmpp.tls else None}
        if upload and spec.shard.upload:
            refs["upload-ca.pem"] = spec.shard.upload.ca_ref
        return {name: self.secrets.read(ref) for name, ref in refs.items() if ref}

    def _places(self, home: Home, authorities: Mapping[str, str]) -> Places:
        def path(name: str) -> str:
            return str(home.secrets / name) if name in authorities else ""

        return Places(str(home.store), str(home.secrets), path("xmpp-ca.pem"), path("upload-ca.pem"))


def _read(name: str, text: bytes) -> BridgeGateway:
    try:
        return load(BridgeGateway, text)
    except BadResource as error:
        lines = "\n".join(f"{name}: {line}" for line in error.sentence.splitlines())
        raise HostError(lines) from None
