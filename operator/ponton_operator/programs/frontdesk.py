"""`ponton frontdesk`: the XMPP door of one gateway. Configured by environment and files alone (docs/local.md).

With PONTON_CLUSTER=1 it is one of several pods (docs/operators.md, `frontdesk_cluster`); what it does then is the same.
Exit codes are a shard's: 0 told to end or replaced by a newer one, 75 try again, 78 configuration.
"""

import asyncio
import contextlib
import os
import random
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element

from ponton_bridge.coordination.client.desk import DeskInbox
from ponton_bridge.coordination.client.door import DoorClient
from ponton_bridge.model.errors import HostError
from ponton_bridge.shard.config import EX_CONFIG, EX_OK, EX_SOFTWARE
from ponton_bridge.shard.logs import Log
from ponton_bridge.xmpp.stream import NotOpen, ShardStream
from ponton_operator.cluster.local_accounts import LocalAccounts
from ponton_operator.resources import yamlfile
from ponton_operator.resources.gateway import BridgeGateway
from ponton_operator.selfservice.accounts import AccountStore
from ponton_operator.selfservice.service import AccountService, read_limits
from ponton_operator.selfservice.xmpp.announce import Announcer, announce
from ponton_operator.selfservice.xmpp.confirm import Confirms
from ponton_operator.selfservice.xmpp.desk import Desk
from ponton_operator.selfservice.xmpp.events import DeskEvent
from ponton_operator.selfservice.xmpp.orders import Orders
from ponton_operator.selfservice.xmpp.stream import DeskSettings, serve


class BadConfiguration(HostError):
    """The environment or a file of it is not as it has to be."""


@dataclass(frozen=True, slots=True)
class Config:
    """What the front desk is told; `accounts` is the folder on one machine, None on a cluster."""

    gateway: BridgeGateway
    accounts: Path | None
    stream: DeskSettings
    redis_url: str
    log_level: str


def read_config(environment: Mapping[str, str], secret: str = "") -> Config:
    """Read environment and files; `secret` of the stream, if it is in no file of its own.

    Raises BadConfiguration (or BadResource) with a sentence for the host.
    """

    def get(name: str) -> str:
        value = environment.get(name, "")
        if not value:
            raise BadConfiguration(f"{name} is not set.")
        return value

    def number(name: str) -> int:
        value = get(name)
        if not (value.isascii() and value.isdigit()):
            raise BadConfiguration(f"{name} is not a number.")
        return int(value)

    def content(path: Path) -> str:
        try:
            return path.read_text(encoding="utf-8")
        except OSError as error:
            raise BadConfiguration(f"The file {path.name} cannot be read: {error.strerror}.") from error

    secrets = Path(get("PONTON_SECRETS"))
    ca = environment.get("PONTON_XMPP_CA", "")
    on_cluster = bool(environment.get("PONTON_CLUSTER"))
    return Config(
        gateway=yamlfile.load(BridgeGateway, content(Path(get("PONTON_GATEWAY_FILE")))),
        accounts=None if on_cluster else Path(get("PONTON_ACCOUNTS")),
        stream=DeskSettings(
            domain=get("PONTON_DOMAIN"),
            owner="",
            epoch=number("PONTON_EPOCH"),
            instance=get("PONTON_INSTANCE"),
            secret=secret or content(secrets / "component-secret").strip(),
            host=get("PONTON_XMPP_HOST"),
            port=number("PONTON_XMPP_PORT"),
            ca=Path(ca) if ca else None,
        ),
        redis_url=content(secrets / "redis-url").strip(),
        log_level=environment.get("PONTON_LOG_LEVEL", "info"),
    )


async def run(config: Config, accounts: AccountStore, log: Log) -> int:
    """Serve until SIGTERM or until a newer front desk takes over."""
    gateway = config.gateway
    doors = DoorClient(config.redis_url, gateway.metadata.name)
    service = AccountService(read_limits(gateway), accounts, doors)
    stream = ShardStream(config.stream, ("", 0), covered=lambda _seq: None, random=random.random)

    def report(event: DeskEvent, error: BaseException | None) -> None:
        if error is None:
            log(event)
        else:
            log.failure(event, error)

    def announced(stanza: Element) -> bool:
        try:
            stream.write(stanza)
        except NotOpen:
            return False
        return True

    def send(stanza: Element) -> None:
        if not announced(stanza):  # the server keeps what was not answered for the next stream, so it comes again
            log(DeskEvent.ANSWER_DROPPED, "warning")

    loop = asyncio.get_running_loop()
    ending: set[asyncio.Task[None]] = set()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, lambda: ending.add(loop.create_task(stream.close())))
    log(DeskEvent.STARTED)
    domain, confirms = gateway.spec.domain, Confirms()
    inbox = DeskInbox(config.redis_url, gateway.metadata.name, Orders(domain, service, announced, confirms).handle)
    beside = [
        loop.create_task(announce(accounts, Announcer(domain), announced, report)),
        loop.create_task(inbox.run()),
    ]
    try:
        served = await serve(stream, Desk(domain, service, send, confirms=confirms, report=report), report)
    finally:
        for task in beside:
            task.cancel()
        with contextlib.suppress(OSError):
            await doors.close()
    log(DeskEvent.ENDED if served else DeskEvent.REPLACED)
    return EX_OK


def main(_argv: Sequence[str] = ()) -> int:
    """Run the program; gives its exit code."""
    if os.environ.get("PONTON_CLUSTER"):
        from ponton_operator.programs import frontdesk_cluster  # noqa: PLC0415  # one machine has no cluster's libraries

        return frontdesk_cluster.main(os.environ)
    log = Log(bound={"program": "frontdesk"})
    try:
        config = read_config(os.environ)
    except HostError as problem:
        return refuse(problem, log)
    log = Log(config.log_level, bound={"program": "frontdesk", "epoch": config.stream.epoch})
    log.catch_libraries()
    accounts = LocalAccounts(config.accounts or Path(), config.gateway)
    try:
        return asyncio.run(run(config, accounts, log))
    except Exception as error:  # noqa: BLE001 - the last words of a crash; the runtime starts it again
        log.failure(DeskEvent.CRASHED, error)
        return EX_SOFTWARE


def refuse(problem: HostError, log: Log) -> int:
    """Tell the host what has to change; gives the exit code."""
    print(problem.sentence, file=sys.stderr)  # noqa: T201 - for the host, in words
    log(DeskEvent.CONFIG_REFUSED, "error")
    return EX_CONFIG
