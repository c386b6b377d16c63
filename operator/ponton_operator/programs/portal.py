"""`ponton portal`: the self-service pages of one gateway. Configured by environment and files alone (docs/portal.md).

With PONTON_CLUSTER=1 it is one of several pods (`portal_cluster`); what it serves then is the same. Exit codes: 0 told
to end, 70 a fault of ours, 78 the host has to change something, which is said on stderr in words.
"""

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

import uvicorn

from ponton_bridge.coordination.client.door import DoorClient
from ponton_bridge.model.errors import HostError, OwnerError
from ponton_bridge.model.jid import prepare_bare
from ponton_bridge.shard.config import EX_CONFIG, EX_OK, EX_SOFTWARE, LEVELS
from ponton_bridge.shard.logs import Log
from ponton_operator.cluster.health import Health
from ponton_operator.cluster.local_accounts import LocalAccounts
from ponton_operator.cluster.metrics import Metrics
from ponton_operator.plan.environment import OIDC_CA, OIDC_SECRET
from ponton_operator.resources import yamlfile
from ponton_operator.resources.gateway import BridgeGateway
from ponton_operator.resources.gateway import Portal as PortalSpec
from ponton_operator.resources.oidc import Oidc
from ponton_operator.selfservice.accounts import AccountStore
from ponton_operator.selfservice.service import AccountService, read_limits
from ponton_operator.selfservice.web.app import make
from ponton_operator.selfservice.web.events import PortalEvent
from ponton_operator.selfservice.web.keep import Keep
from ponton_operator.selfservice.web.live import Live
from ponton_operator.selfservice.web.pages import Pages
from ponton_operator.selfservice.web.settings import Portal, Site
from ponton_operator.selfservice.web.settings import Server as LoginServer

GRACE = 5  # seconds that answers under way have when we are told to end
CONNECTIONS = 4000  # at once; pages that stay open have one each
TELL = 10.0  # seconds between two words on open pages, by which the scaler goes


@dataclass(frozen=True, slots=True)
class Config:
    """What the portal is told; `metrics` is the port of the health view, 0 for none.

    `accounts` is the folder on one machine, None on a cluster, where `replica` names this pod among its like.
    """

    gateway: BridgeGateway
    spec: PortalSpec
    accounts: Path | None
    redis_url: str = field(repr=False)
    oidc_secret: str = field(default="", repr=False)
    oidc_ca: Path | None = None
    address: str = "127.0.0.1"
    metrics: int = 0
    log_level: str = "info"
    replica: str = ""


def _well() -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Around:
    """What a cluster adds: why the pod is not alive or not ready ('' it is), and seconds to serve on when it shall end.

    Until all the cluster knows that a pod is ending, visitors are still sent to it.
    """

    alive: Callable[[], str] = _well
    ready: Callable[[], str] = _well
    linger: float = 0.0


ALONE = Around()


def read_config(environment: Mapping[str, str]) -> Config:
    """Read environment and files. Raises HostError with a sentence for the host."""

    def get(name: str) -> str:
        value = environment.get(name, "")
        if not value:
            raise HostError(f"{name} is not set.")
        return value

    def content(path: Path) -> str:
        try:
            return path.read_text(encoding="utf-8")
        except OSError as error:
            raise HostError(f"The file {path.name} cannot be read: {error.strerror}.") from error

    gateway = yamlfile.load(BridgeGateway, content(Path(get("PONTON_GATEWAY_FILE"))))
    if gateway.spec.selfservice.portal is None:
        raise HostError("spec.selfservice.portal of the gateway is not set: it says where browsers find the page.")
    port = environment.get("PONTON_METRICS_PORT") or "0"
    if not (port.isascii() and port.isdigit()):
        raise HostError("PONTON_METRICS_PORT is not a number.")
    level = environment.get("PONTON_LOG_LEVEL") or "info"
    if level not in LEVELS:
        raise HostError(f"PONTON_LOG_LEVEL is not one of {', '.join(LEVELS)}.")
    on_cluster = bool(environment.get("PONTON_CLUSTER"))
    secrets, oidc = Path(get("PONTON_SECRETS")), gateway.spec.selfservice.portal.oidc
    return Config(
        gateway=gateway,
        spec=gateway.spec.selfservice.portal,
        accounts=None if on_cluster else Path(get("PONTON_ACCOUNTS")),
        redis_url=content(secrets / "redis-url").strip(),
        oidc_secret=content(secrets / OIDC_SECRET).strip("\r\n") if oidc and oidc.client_secret_ref else "",
        oidc_ca=secrets / OIDC_CA if oidc and oidc.ca_ref else None,
        address=environment.get("PONTON_LISTEN") or "127.0.0.1",
        metrics=int(port),
        log_level=level,
        replica=get("PONTON_INSTANCE") if on_cluster else "",
    )


class Server(uvicorn.Server):
    """Ends in order when told to: after `linger` seconds, and pages that stay open are let go first."""

    def __init__(self, config: uvicorn.Config, live: Live, linger: float) -> None:
        super().__init__(config)
        self._live = live
        self._linger = linger
        self.ending = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002  # the library calls it so
        """Be told to end."""
        self.ending = True
        if self._linger:
            asyncio.get_running_loop().call_later(self._linger, self._end)
        else:
            self._end()

    def _end(self) -> None:
        self._live.stop()
        self.should_exit = True


def _prepared(jids: Iterable[str]) -> frozenset[str]:
    """Prepare the addresses of the host's people. Raises HostError."""
    try:
        return frozenset(map(prepare_bare, jids))
    except OwnerError as problem:
        raise HostError(f"spec.selfservice.portal.hosts: {problem.sentence}") from None


def build(config: Config, accounts: AccountStore, log: Log, metrics: Metrics) -> Portal:
    """Put the parts together. Raises ValueError when the URL of Redis is none."""
    gateway = config.gateway
    oidc = config.spec.oidc
    site = Site(
        config.spec.url,
        gateway.metadata.name,
        _prepared(config.spec.hosts),
        xmpp_login=config.spec.xmpp_login,
        server=(oidc.title or urlsplit(oidc.issuer).hostname or "") if oidc else "",
    )
    limits = read_limits(gateway)
    door = DoorClient(config.redis_url, gateway.metadata.name)

    def failed(error: Exception) -> None:
        log.failure(PortalEvent.FOLLOW_FAILED, error, "warning")

    return Portal(
        site=site,
        limits=limits,
        accounts=accounts,
        service=AccountService(limits, accounts, door),
        keep=Keep(config.redis_url, gateway.metadata.name),
        live=Live(limits.domain, accounts, door, failed),
        door=door,
        pages=Pages(site.path, limits.domain),
        log=log,
        metrics=metrics,
        server=_login_server(config, oidc, site) if oidc else None,
    )


def _login_server(config: Config, oidc: Oidc, site: Site) -> LoginServer:
    """Make the client of the host's login server. Raises HostError."""
    from ponton_operator.cluster.fetch import Fetcher  # noqa: PLC0415  # 18 MiB that few gateways need
    from ponton_operator.selfservice.web.provider import Provider  # noqa: PLC0415

    fetcher = Fetcher(config.oidc_ca, private=oidc.private_network, plain=oidc.issuer.startswith("http:"))
    return Provider(oidc, config.oidc_secret, site.url + "/login/oidc/back", fetcher)


def serving(config: Config, portal: Portal, linger: float = 0.0) -> Server:
    """Make the HTTP server."""
    told = uvicorn.Config(
        make(portal),
        host=config.address,
        port=config.spec.port,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(config.spec.proxies),
        forwarded_allow_ips=list(config.spec.proxies),
        limit_concurrency=CONNECTIONS,
        timeout_graceful_shutdown=GRACE,
        h11_max_incomplete_event_size=16384,
        ws="none",
    )
    return Server(told, portal.live, linger)


async def run(config: Config, accounts: AccountStore, log: Log, metrics: Metrics, around: Around = ALONE) -> int:
    """Serve until SIGTERM; gives the exit code."""
    portal = build(config, accounts, log, metrics)
    server = serving(config, portal, around.linger)

    def ready() -> str:
        return around.ready() if server.started and not server.ending else "starting, or ending"

    def text() -> bytes:
        metrics.state("open pages", config.gateway.metadata.name, portal.live.watched)
        return metrics.text()

    health = None
    if config.metrics:
        health = await Health(text, around.alive, ready).serve(config.metrics)
    beside = [asyncio.create_task(portal.live.run())]
    if config.replica:
        beside.append(asyncio.create_task(_tell(portal, config.replica)))
    log(PortalEvent.STARTED)
    try:
        await server.serve()
    finally:
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        if health:
            health.close()
        with contextlib.suppress(OSError):
            await portal.keep.close()
            await portal.door.close()
    log(PortalEvent.ENDED)
    return EX_OK


async def _tell(portal: Portal, replica: str) -> None:
    """Say again and again how many pages are open here; while Redis is away nobody hears it."""
    while True:
        with contextlib.suppress(HostError):
            await portal.door.tell_pages(replica, portal.live.watched)
        await asyncio.sleep(TELL)


async def _on_one_machine(config: Config, log: Log) -> int:
    accounts = LocalAccounts(config.accounts or Path(), config.gateway)
    return await run(config, accounts, log, Metrics("portal", version("ponton")))


def main(_argv: Sequence[str] = ()) -> int:
    """Run the program; gives its exit code."""
    serve = _on_one_machine
    if os.environ.get("PONTON_CLUSTER"):
        from ponton_operator.programs import portal_cluster  # noqa: PLC0415  # one machine has no cluster's libraries

        serve = portal_cluster.serve
    log = Log(bound={"program": "portal"})
    try:
        config = read_config(os.environ)
        log = Log(config.log_level, bound={"program": "portal"})
        log.catch_libraries()
        return asyncio.run(serve(config, log))
    except HostError as problem:
        print(problem.sentence, file=sys.stderr)  # noqa: T201  # for the host, in words
        log(PortalEvent.CONFIG_REFUSED, "error")
        return EX_CONFIG
    except Exception as error:  # noqa: BLE001  # the last words of a crash; it is started again
        log.failure(PortalEvent.CRASHED, error)
        return EX_SOFTWARE
