"""The front desk as one of several pods: one is active, the others stand by, as a Lease says. Called by `frontdesk`.

Whoever takes the Lease spends the next epoch of the stock that the gateways operator issues (docs/adr/0005), in the
same write; Prosody refuses every older one from then on. Who stands by opens no stream. Losing the Lease ends the
process.
"""

import asyncio
import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path

from ponton_bridge.model.errors import HostError
from ponton_bridge.shard.config import EX_OK, EX_SOFTWARE
from ponton_bridge.shard.logs import Log
from ponton_operator.cluster.health import Health
from ponton_operator.cluster.kube_accounts import KubeAccounts
from ponton_operator.cluster.kube_api import Client, KubeApi
from ponton_operator.cluster.kube_errors import KubeError
from ponton_operator.cluster.lease import Lease, leave
from ponton_operator.cluster.metrics import Metrics
from ponton_operator.plan.desk_epochs import read_stock, spend
from ponton_operator.plan.manifests_desk import EPOCHS
from ponton_operator.plan.manifests_door import HEALTH_PORT
from ponton_operator.programs.frontdesk import BadConfiguration, Config, read_config, refuse, run
from ponton_operator.selfservice.xmpp.events import DeskEvent


class EpochsSpent(KubeError):
    """The stock has no epoch left: the gateways operator has to issue more before anybody may be active."""

    text = "No epoch is left for the front desk"


@dataclass(frozen=True, slots=True)
class Place:
    """Where this pod is; `lease` is the name of the Lease, `pod` our name in it."""

    namespace: str
    pod: str
    lease: str
    secrets: Path
    port: int = HEALTH_PORT


def read_place(environment: Mapping[str, str]) -> Place:
    """Read what only a cluster tells. Raises BadConfiguration."""

    def get(name: str) -> str:
        value = environment.get(name, "")
        if not value:
            raise BadConfiguration(f"{name} is not set.")
        return value

    port = environment.get("PONTON_METRICS_PORT") or str(HEALTH_PORT)
    if not (port.isascii() and port.isdigit()):
        raise BadConfiguration("PONTON_METRICS_PORT is not a number.")
    secrets = Path(get("PONTON_SECRETS"))
    return Place(get("PONTON_NAMESPACE"), get("PONTON_POD"), get("PONTON_LEASE"), secrets, int(port))


@dataclass(slots=True)
class Stock:
    """The epochs in a mounted file, read anew for each taking; `secret` is that of the epoch that was issued last."""

    file: Path
    log: Log
    secret: str = field(default="", repr=False)
    _told: bool = False

    def issue(self, last: int) -> int:
        """Choose the epoch after the last one. Raises EpochsSpent when there is none."""
        try:
            secrets = read_stock(self.file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError):
            secrets = {}
        epoch = spend(secrets, last)
        if epoch is None:
            if not self._told:
                self.log(DeskEvent.EPOCHS_SPENT, "warning")
            self._told = True
            raise EpochsSpent
        self._told, self.secret = False, secrets[epoch]
        return epoch


async def serve(environment: Mapping[str, str], place: Place, log: Log) -> int:
    """Stand by, serve once the Lease is ours, and give it up at the end; gives the exit code. Raises HostError."""
    metrics = Metrics("frontdesk", version("ponton"))
    client = Client.connect(metrics.call)
    api = KubeApi(client)
    stock = Stock(place.secrets / EPOCHS, log)
    plain = not stock.file.exists()  # the host gave the front desk a secret of its own, which binds no epoch
    lease = Lease(
        client, place.namespace, place.lease, place.pod, issue=None if plain else stock.issue,
        lost=partial(leave, partial(log, DeskEvent.LEASE_LOST, "error")),
    )  # fmt: skip
    following: list[KubeAccounts] = []  # the one store, once there is one

    def alive() -> str:
        return "the watch of accounts has ended" if any(accounts.broken for accounts in following) else ""

    health = await Health(metrics.text, alive, ready=lambda: "").serve(place.port)
    try:
        if not await _hold(lease, partial(log, DeskEvent.STANDS_BY)):
            return EX_OK
        lease.keep()
        client.fence = lease.overdue  # who was frozen and wakes writes nothing more
        try:
            config = read_config(dict(environment) | {"PONTON_EPOCH": str(lease.epoch)}, stock.secret)
            following.append(KubeAccounts(api, config.gateway))
            return await _work(config, following[0])
        finally:
            await asyncio.shield(asyncio.to_thread(lease.release))
    finally:
        health.close()
        api.close()


async def _hold(lease: Lease, say: Callable[[], None]) -> bool:
    """Wait for the Lease, and say so when signals count; False when we were told to end before."""
    told, loop = threading.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    say()
    return await asyncio.to_thread(lease.hold, told)


async def _work(config: Config, accounts: KubeAccounts) -> int:
    log = Log(config.log_level, bound={"program": "frontdesk", "epoch": config.stream.epoch})
    accounts.start()
    try:
        return await run(config, accounts, log)
    finally:
        await accounts.close()


def main(environment: Mapping[str, str]) -> int:
    """Run the program; gives its exit code."""
    log = Log(environment.get("PONTON_LOG_LEVEL", "info"), bound={"program": "frontdesk"})
    log.catch_libraries()
    try:
        place = read_place(environment)
        return asyncio.run(serve(environment, place, log))
    except KubeError as error:
        log.failure(DeskEvent.CRASHED, error)
        return EX_SOFTWARE
    except HostError as problem:
        return refuse(problem, log)
    except Exception as error:  # noqa: BLE001  # the last words of a crash; the kubelet starts it again
        log.failure(DeskEvent.CRASHED, error)
        return EX_SOFTWARE
