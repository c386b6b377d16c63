"""`ponton operator accounts|gateways|scaler`: one operator on Kubernetes, configured by its environment alone.

The variables are listed in docs/operators.md. Exit codes: 0 ended as told, 64 wrong arguments, 70 a fault of ours, 75
the Lease was lost or the API does not answer, 78 the host has to change something. What the host has to change is said
on stderr in sentences; the rest is logged as events.
"""

import asyncio
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import partial
from importlib import import_module
from importlib.metadata import version
from typing import Final

from ponton_bridge.model.errors import HostError
from ponton_bridge.shard.config import LEVELS
from ponton_bridge.shard.logs import Log, Value
from ponton_operator.cluster.events import OperatorEvent
from ponton_operator.cluster.health import Health
from ponton_operator.cluster.kube_api import WRITES, Client, KubeApi
from ponton_operator.cluster.kube_errors import KubeError
from ponton_operator.cluster.lease import EX_TEMPFAIL, Lease, leave
from ponton_operator.cluster.metrics import Metrics
from ponton_operator.operators.guard import Context, Guard, Settings
from ponton_operator.operators.reach import Reach
from ponton_operator.resources.base import API_VERSION

EX_OK: Final = 0
EX_USAGE: Final = 64  # sysexits.h
EX_SOFTWARE: Final = 70
EX_CONFIG: Final = 78
OPERATORS: Final = ("accounts", "gateways", "scaler")


def read_settings(name: str, environment: Mapping[str, str]) -> Settings:
    """Read the environment. Raises HostError."""

    def number(variable: str, default: float) -> float:
        text = environment.get(variable, "")
        try:
            value = float(text) if text else default
        except ValueError:
            value = -1.0
        if not 0 <= value <= 65535:  # noqa: PLR2004  # the highest port, and more than enough for the rest
            raise HostError(f"{variable} is not a number from 0 to 65535.")
        return value

    level = environment.get("PONTON_LOG_LEVEL", "info")
    if level not in LEVELS:
        raise HostError(f"PONTON_LOG_LEVEL is not one of {', '.join(LEVELS)}.")
    place = environment.get("POD_NAMESPACE", "")
    if not place:
        raise HostError("POD_NAMESPACE is not set: it is the namespace of the Lease, that of the operator's own pod.")
    names = environment.get("PONTON_NAMESPACES", "")
    return Settings(
        name=name,
        namespaces=tuple(part.strip() for part in names.split(",") if part.strip()),
        lease_namespace=place,
        identity=environment.get("POD_ID", "") or f"{socket.gethostname()}-{os.getpid()}",
        port=int(number("PONTON_METRICS_PORT", 9090)),
        image=environment.get("PONTON_SHARD_IMAGE", ""),
        nodes=environment.get("PONTON_WATCH_NODES", "") == "true",
        log_level=level,
        writes=number("PONTON_WRITES_PER_SECOND", WRITES),
    )


class CountingLog(Log):
    """A log whose events are counted, so that an alert can rest on them."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        super().__init__(settings.log_level, bound={"program": f"operator {settings.name}"})
        self._metrics = metrics

    def __call__(self, event: StrEnum, level: str = "info", **fields: Value) -> None:
        """Write and count one event."""
        self._metrics.event(event)
        super().__call__(event, level, **fields)


async def run(settings: Settings) -> int:
    """Serve until told to end. Raises HostError."""
    metrics = Metrics(f"operator {settings.name}", version("ponton"))
    log = CountingLog(settings, metrics)
    client = Client.connect(metrics.call)
    api = KubeApi(client, settings.writes)
    make = import_module(f"ponton_operator.operators.{settings.name}").make
    lease = Lease(
        client, settings.lease_namespace, f"ponton-operator-{settings.name}", settings.identity,
        lost=partial(leave, partial(log, OperatorEvent.LEASE_LOST, "error")),
    )  # fmt: skip
    context = Context(settings, api, log, metrics, Reach(settings.namespaces, log, metrics))
    guard = Guard(make(context), context, lease)
    server = await Health(metrics.text, guard.alive, guard.ready).serve(settings.port)
    try:
        if not await api.served(API_VERSION):
            raise HostError(f"The cluster does not know {API_VERSION}: install the chart's resource definitions first.")
        await guard.run()
    finally:
        server.close()
        api.close()
    return EX_OK


def main(arguments: Sequence[str]) -> int:
    """Run the program; gives its exit code."""
    if len(arguments) != 1 or arguments[0] not in OPERATORS:
        print(f"usage: ponton operator {'|'.join(OPERATORS)}", file=sys.stderr)  # noqa: T201  # for the host, in words
        return EX_USAGE
    name = arguments[0]
    log = Log(bound={"program": f"operator {name}"})
    try:
        settings = read_settings(name, os.environ)
        log = Log(settings.log_level, bound={"program": f"operator {name}"})
        log.catch_libraries()
        return asyncio.run(run(settings))
    except KubeError as problem:  # not answering is no fault of the host's settings
        log.failure(OperatorEvent.OPERATOR_FAILED, problem)
        return EX_TEMPFAIL
    except HostError as problem:
        print(problem.sentence, file=sys.stderr)  # noqa: T201  # the same
        return EX_CONFIG
    except Exception as error:  # noqa: BLE001  # the last words of a crash; the kubelet starts it again
        log.failure(OperatorEvent.OPERATOR_FAILED, error)
        return EX_SOFTWARE
