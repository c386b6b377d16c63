"""Where the portal is in the web, and the parts that its pages use. Made by `programs.portal`."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from ponton_bridge.coordination.client.door import DoorClient
from ponton_bridge.shard.logs import Log
from ponton_operator.cluster.metrics import Metrics
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
