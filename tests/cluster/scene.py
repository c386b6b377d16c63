"""An installed chart as the scene of the demo's story: clients, pictures and phones reach it over forwarded ports.

Called by the story's tests and by `make demo CLUSTER=1`.
"""

import asyncio
import http.client
import json
import os
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

from tests.cluster.forwards import forwarded, reached
from tests.cluster.reach import Object
from tests.cluster.release import DOMAIN, FULL, GATEWAY, PORTAL, SERVED, Release
from tests.demo import picture
from tests.harness.xmpp import Client, logged_in
from tests.sandbox.client import SandboxClient

_C2S, _HTTPS, _CONTROL = 5222, 5281, 8095  # ports in the pods


@dataclass(frozen=True)
class Ways:
    """Ports of loopback that lead to Prosody, and the sandbox's phones; `release.page` leads to the portal, if any."""

    release: Release
    c2s: int
    https: int
    sandbox: SandboxClient

    @property
    def ca_file(self) -> Path:
        """The authority of its certificate."""
        return self.release.ca_file

    @property
    def domain(self) -> str:
        """Of the XMPP server."""
        return DOMAIN

    @property
    def ports(self) -> Any:  # noqa: ANN401  # what a client of the harness looks at
        """Where clients connect."""
        return SimpleNamespace(c2s=self.c2s)

    @property
    def upload(self) -> str:
        """What links of the upload service begin with."""
        return f"https://{FULL}-xmpp.{self.release.namespace}.svc:{_HTTPS}/"

    def client(self, user: str, resource: str) -> AbstractAsyncContextManager[Client]:
        """Log an owner in, with carbons."""
        return logged_in(self, user, self.release.users[user], resource=resource, carbons=True)

    def fetch(self, url: str) -> bytes:
        """Fetch a picture from the upload service; only from there."""
        if not url.startswith(self.upload):
            raise ValueError("this is not an address of the bundled upload service")
        return self._https(url)

    def view(self) -> Object:
        """What Prosody's module shows of the gateway: streams, waiting stanzas and so on."""
        token = self.release.secret(f"{FULL}-xmpp")["token"]
        headers = {"Host": SERVED, "Authorization": f"Bearer {token}"}
        found: Object = json.loads(self._https(f"{self.upload}shards", headers))
        return found

    def _https(self, url: str, headers: Mapping[str, str] | None = None) -> bytes:
        """Ask over the forwarded port, by the name that the certificate has."""
        parts = urlsplit(url)
        trust = trusted(self.release)
        connection = http.client.HTTPSConnection(str(parts.hostname), _HTTPS, timeout=10)
        plain = socket.create_connection(("127.0.0.1", self.https), 10)
        connection.sock = trust.wrap_socket(plain, server_hostname=parts.hostname)
        try:
            connection.request("GET", parts.path, headers=headers or {})
            return connection.getresponse().read(picture.MAX_BYTES)
        finally:
            connection.close()


@asynccontextmanager
async def ways(release: Release) -> AsyncIterator[Ways]:
    """Open the ways into an installation."""
    with ExitStack() as stack:
        c2s, https = stack.enter_context(
            forwarded(release.cluster, release.namespace, f"svc/{FULL}-xmpp", _C2S, _HTTPS)
        )
        if port := urlsplit(release.page).port:
            stack.enter_context(reached(release.cluster, release.namespace, PORTAL, 80, port))
        (control,) = stack.enter_context(forwarded(release.cluster, release.namespace, f"deploy/{GATEWAY}", _CONTROL))
        async with SandboxClient(f"http://127.0.0.1:{control}") as sandbox:
            yield Ways(release, c2s, https, sandbox)


def trusted(release: Release) -> ssl.SSLContext:
    """Trust the authority of the bundled Prosody."""
    return ssl.create_default_context(cafile=str(release.ca_file))


@dataclass(frozen=True)
class ClusterScene:
    """One owner in an installation where no other has an account (see `tests.demo.story.Scene`)."""

    ways: Ways
    user: str

    @property
    def domain(self) -> str:
        """Of the XMPP server."""
        return DOMAIN

    @property
    def gateway(self) -> str:
        """The gateway's domain."""
        return SERVED

    @property
    def page(self) -> str:
        """The self-service page."""
        return self.ways.release.page

    def client(self, resource: str) -> AbstractAsyncContextManager[Client]:
        """Log the owner in."""
        return self.ways.client(self.user, resource)

    def fetch(self, url: str) -> bytes:
        """Fetch a picture."""
        return self.ways.fetch(url)

    async def kill(self) -> None:
        """Kill the one shard (kill -9) where its node is ours; elsewhere delete its pod without grace."""
        (pod,) = self.ways.release.pods()
        if self.ways.release.cluster.box:
            (pid,) = processes(pod["metadata"]["uid"], "shard")
            os.kill(pid, signal.SIGKILL)
            return
        line = ("delete", "pod", pod["metadata"]["name"], "--grace-period=0", "--force")
        await asyncio.to_thread(self.ways.release.kubectl, *line)

    async def left(self) -> list[str]:
        """Name what there is of accounts: resources, pods, volumes, secrets, Redis keys and users, streams."""
        return await asyncio.to_thread(self._left)

    def _left(self) -> list[str]:
        release = self.ways.release
        keys = release.redis("--scan", "--pattern", f"ponton:{GATEWAY}:a:*")
        return release.accounts_left(GATEWAY, keys, release.redis("ACL", "USERS"), self.ways.view()["connected"])


def processes(uid: str, word: str) -> list[int]:
    """Give the processes of a pod on our own node whose command line has a word."""
    found: list[int] = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            inside = uid.replace("-", "_") in (text := (folder / "cgroup").read_text()) or uid in text
            if inside and word in (folder / "cmdline").read_bytes().decode().split("\0"):
                found.append(int(folder.name))
        except OSError:
            continue  # it has ended meanwhile
    return found
