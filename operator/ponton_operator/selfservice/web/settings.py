"""Where the portal is in the web, and the parts that its pages use. Made by `programs.portal`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlsplit

from ponton_bridge.coordination.client.door import DoorClient
from ponton_bridge.shard.logs import Log
from ponton_operator.cluster.metrics import Metrics
from ponton_operator.resources.oidc import Oidc
from ponton_operator.selfservice.accounts import AccountStore
from ponton_operator.selfservice.service import AccountService, Limits
from ponton_operator.selfservice.web.keep import Keep
from ponton_operator.selfservice.web.live import Live
from ponton_operator.selfservice.web.pages import Pages


@dataclass(frozen=True, slots=True)
class Site:
    """Where browsers find the portal.

    >>> Site("https://example.org/whatsapp", "gw").origin
    'https://example.org'
    """

    url: str
    gateway: str
    hosts: frozenset[str] = frozenset()  # bare JIDs
    xmpp_login: bool = True
    server: str = ""  # what the login page calls the host's login server; '' without one

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def prefix(self) -> str:
        """The path below which all pages are; '' at the top."""
        return urlsplit(self.url).path

    @property
    def secure(self) -> bool:
        """Whether browsers come by TLS; it is so everywhere but on loopback."""
        return self.url.startswith("https:")

    @property
    def cookie(self) -> str:
        """The name of the one cookie that says who somebody is; `__Host-` ones cannot be set by neighbours."""
        return ("__Host-" if self.secure else "") + f"ponton-{self.gateway}"

    def path(self, path: str) -> str:
        """Give a path of ours as browsers know it."""
        return self.prefix + path


@dataclass(frozen=True, slots=True)
class Begun:
    """A login at a login server that is under way: what has to be known when the browser comes back; all random."""

    state: str
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)


class Server(Protocol):
    """A login server as the pages use it; `provider.Provider` is one."""

    settings: Oidc

    async def address(self, begun: Begun) -> str:
        """Give the address to which the browser goes. Raises PontonError."""

    async def is_named(self, issuer: str) -> bool:
        """Whether the answer that the browser brought is this server's, as far as it says so. Raises PontonError."""

    async def claims(self, code: str, begun: Begun) -> Mapping[str, object]:
        """Take a code for what the server says of who logged in. Raises PontonError."""


@dataclass(frozen=True, slots=True)
class Portal:
    """Everything that a page may use."""

    site: Site
    limits: Limits
    accounts: AccountStore
    service: AccountService
    keep: Keep
    live: Live
    door: DoorClient
    pages: Pages
    log: Log
    metrics: Metrics
    server: Server | None = None
