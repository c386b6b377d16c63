"""`ponton crds`: print the custom resource definitions, write them to a folder, or compare a folder with them.

With --wait it waits until a cluster serves them and takes a gateway of --apply, as the chart needs for its sandbox.

Exit codes: 0 done (--check: the folder is up to date), 1 --check: a file is missing or differs, 64 wrong arguments,
75 --wait: not served or not taken in time, 78 a file cannot be read or written. What is wrong is said on stderr, one
sentence a file.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

from ponton_bridge.model.errors import HostError
from ponton_operator.resources.base import API_VERSION
from ponton_operator.resources.crd import KINDS, text

EX_OK: Final = 0
EX_STALE: Final = 1
EX_USAGE: Final = 64  # sysexits.h
EX_TEMPFAIL: Final = 75
EX_CONFIG: Final = 78
MANAGER: Final = "ponton-install"  # who owns what is applied
_LOOK: Final = 0.5  # seconds between two looks; a definition is served some 0.1 s after it was made


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(EX_USAGE, f"{self.prog}: {message}\n")


def parser() -> argparse.ArgumentParser:
    """Make the parser of the command line."""
    made = _Parser(prog="ponton crds", description="Print the custom resource definitions as YAML.")
    way = made.add_mutually_exclusive_group()
    way.add_argument("--check", type=Path, metavar="FOLDER", help="say which files there are not as they would be made")
    way.add_argument("--write", type=Path, metavar="FOLDER", help="write one file for each into this folder")
    way.add_argument("--wait", type=float, metavar="SECONDS", help="wait until the cluster serves them")
    made.add_argument("--apply", type=Path, metavar="FILE", help="with --wait: make or change this gateway (JSON)")
    return made


def main(arguments: Sequence[str]) -> int:
    """Run it; gives the exit code."""
    asked = parser()
    told = asked.parse_args(arguments)
    if told.apply and told.wait is None:
        asked.error("--apply goes with --wait")
    try:
        if told.wait is not None:
            return _wait(told.wait, json.loads(told.apply.read_text(encoding="utf-8")) if told.apply else None)
        if told.check:
            stale = list(_stale(told.check))
            print("".join(f"{sentence}\n" for sentence in stale), end="", file=sys.stderr)  # noqa: T201  # for people
            return EX_STALE if stale else EX_OK
        if told.write:
            for kind in KINDS:
                (told.write / kind.file).write_text(text(kind), encoding="utf-8")
            return EX_OK
    except (OSError, ValueError) as error:
        where = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else "A file there cannot be read"
        print(f"{where}.", file=sys.stderr)  # noqa: T201  # the same
        return EX_CONFIG
    print("---\n".join(text(kind) for kind in KINDS), end="")  # noqa: T201  # this is what it is for
    return EX_OK


def _wait(seconds: float, gateway: dict[str, Any] | None) -> int:
    """Ask the cluster which kinds it serves until all of ours are among them, then give it the gateway."""
    # Who only prints does not pay for the client.
    from ponton_operator.cluster.kube_api import Client, KubeApi  # noqa: PLC0415
    from ponton_operator.cluster.kube_kinds import GATEWAYS, Kind  # noqa: PLC0415

    group, ours, end = Kind(f"apis/{API_VERSION}", ""), {kind.plural for kind in KINDS}, time.monotonic() + seconds
    why = "The cluster does not serve the definitions."
    while True:
        try:
            client = Client.connect()
            answer = client.call("get", group, f"/{group.group}")
            if ours <= {item.get("name") for item in answer.get("resources") or ()}:
                if gateway:
                    meta = gateway["metadata"]
                    asyncio.run(KubeApi(client).apply(GATEWAYS, meta["namespace"], meta["name"], gateway, MANAGER))
                return EX_OK
        except HostError as error:
            why = error.sentence
        if time.monotonic() > end:
            print(why, file=sys.stderr)  # noqa: T201  # for people
            return EX_TEMPFAIL
        time.sleep(_LOOK)


def _stale(folder: Path) -> Iterator[str]:
    for kind in KINDS:
        file = folder / kind.file
        if not file.exists():
            yield f"{file} is missing."
        elif file.read_text(encoding="utf-8") != text(kind):
            yield f"{file} is not what the models say; write it with ponton crds --write {folder}."
