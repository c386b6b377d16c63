"""`ponton uninstall`: before the chart's objects go, releases the accounts and ends what the operators started.

Run by the chart's pre-delete hook, with a service account of its own. Exit codes: 0 done (what could not be done is in
the list on standard output), 64 wrong arguments, 75 the Kubernetes API does not answer or refuses.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from typing import Final

from ponton_bridge.model.errors import HostError
from ponton_operator.cluster.kube_api import Client, KubeApi
from ponton_operator.cluster.kube_uninstall import Uninstall, Wanted

EX_OK: Final = 0
EX_USAGE: Final = 64  # sysexits.h
EX_TEMPFAIL: Final = 75
_WRITES: Final = 50.0  # a second: a host waits for this, and the operators write no more


def read_arguments(arguments: Sequence[str]) -> Wanted:
    """Read the command line; ends the process with its own words when it cannot."""
    parser = argparse.ArgumentParser(prog="ponton uninstall", description="Leave the cluster in order.")
    parser.add_argument("--namespaces", required=True, help="where accounts are, separated by commas")
    parser.add_argument("--home", required=True, help="namespace of the operators")
    parser.add_argument("--operator", action="append", default=[], help="name of a Deployment; may be repeated")
    parser.add_argument("--selector", required=True, help="labels of the operators' pods")
    parser.add_argument("--unlink", action="store_true", help="delete all accounts, which unlinks their devices")
    parser.add_argument("--seconds", type=float, default=300.0, help="for unlinking (default 300)")
    said = parser.parse_args(arguments)
    return Wanted(
        namespaces=tuple(name.strip() for name in said.namespaces.split(",") if name.strip()),
        home=said.home,
        operators=tuple(said.operator),
        selector=said.selector,
        seconds=said.seconds if said.unlink else 0.0,
    )


async def run(api: KubeApi, wanted: Wanted) -> int:
    """Do it and tell what was done."""
    work = Uninstall(api, wanted)
    try:
        await work.run()
    except HostError as error:
        _say([*work.report.sentences(), error.sentence])
        return EX_TEMPFAIL
    finally:
        api.close()
    _say(list(work.report.sentences()))
    return EX_OK


def main(arguments: Sequence[str]) -> int:
    """Run the program; gives its exit code."""
    try:
        wanted = read_arguments(arguments)
    except SystemExit as end:
        return EX_OK if not end.code else EX_USAGE
    try:
        api = KubeApi(Client.connect(), _WRITES)
    except HostError as error:
        _say([error.sentence])
        return EX_TEMPFAIL
    return asyncio.run(run(api, wanted))


def _say(lines: Sequence[str]) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()
