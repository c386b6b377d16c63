"""`ponton local`: one gateway on this machine, without Kubernetes (docs/local.md).

Exit codes: 0 ended as told, 64 wrong arguments, 70 a fault of ours, 75 another one runs here, 78 the host has to change
something. What the host has to change is said on stderr in sentences; everything else is logged as events.
"""

import argparse
import asyncio
import fcntl
import os
import resource
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

from ponton_bridge.model.errors import HostError
from ponton_bridge.shard.logs import Log
from ponton_operator.cluster.events import Event
from ponton_operator.cluster.local_desk import child_environment
from ponton_operator.cluster.local_gateway import Gateway
from ponton_operator.cluster.local_isolation import DEFAULT, probe
from ponton_operator.cluster.local_layout import Home
from ponton_operator.cluster.local_runtime import LocalRuntime, Settings
from ponton_operator.cluster.local_spawn import Spawn, spawn_child

EX_OK: Final = 0
EX_USAGE: Final = 64  # sysexits.h
EX_SOFTWARE: Final = 70
EX_TEMPFAIL: Final = 75
EX_CONFIG: Final = 78
_FIRST_UID: Final = 1000  # below are the system's own users
_LAST_UID: Final = 2**31 - 2


class AlreadyRunning(HostError):
    """Another runtime holds this state folder."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(EX_USAGE, f"{self.prog}: {message}\n")


def parser() -> argparse.ArgumentParser:
    """Make the parser of the command line."""
    made = _Parser(prog="ponton local", description="Run one gateway on this machine, without Kubernetes.")
    made.add_argument("-f", "--file", type=Path, required=True, metavar="YAML", help="the BridgeGateway")
    made.add_argument("--accounts", type=Path, metavar="FOLDER", help="BridgeAccounts, one a file (default: accounts)")
    made.add_argument("--state", type=Path, metavar="FOLDER", help="stores and process files (default: state)")
    made.add_argument("--secrets", type=Path, metavar="FOLDER", help="secret name/key is a file (default: secrets)")
    made.add_argument(
        "--uids",
        default="auto",
        metavar="FIRST-LAST|auto|none",
        help="user ids of accounts; auto: a range of ours if we are root and it works here",
    )
    made.add_argument("--log", choices=("files", "stderr"), default="files", help="where children's output goes")
    return made


def main(arguments: Sequence[str]) -> int:
    """Run the program; gives its exit code."""
    return run(arguments, spawn_child)


def run(arguments: Sequence[str], spawn: Spawn) -> int:
    """Run the program with a way to spawn; `main` has the only one of the product."""
    try:
        told = parser().parse_args(arguments)
    except SystemExit as end:
        return int(end.code or 0)
    log = Log(bound={"program": "local"})
    log.catch_libraries()
    try:
        return asyncio.run(_serve(told, spawn, log))
    except AlreadyRunning as problem:
        print(problem.sentence, file=sys.stderr)  # noqa: T201  # for the host, in words
        return EX_TEMPFAIL
    except HostError as problem:
        print(problem.sentence, file=sys.stderr)  # noqa: T201  # the same
        return EX_CONFIG
    except Exception as error:  # noqa: BLE001  # the last words of a crash; its children end with it
        log.failure(Event.RUNTIME_CRASHED, error)
        return EX_SOFTWARE


async def _serve(told: argparse.Namespace, spawn: Spawn, log: Log) -> int:
    base = told.file.parent
    accounts, state = told.accounts or base / "accounts", told.state or base / "state"
    gateway = Gateway.open(told.file, told.secrets or base / "secrets")
    wanted = read_uids(told.uids)
    _more_files()
    lock = _prepare(accounts, state, open_to_others=bool(wanted) and os.geteuid() == 0)
    try:
        uids, reduced = await _isolation(wanted, spawn, state, must=told.uids not in {"auto", "none"})
        if reduced:
            log(Event.ISOLATION_REDUCED, "warning", why=reduced)
        settings = Settings(accounts.absolute(), state.absolute(), uids, reduced, through=told.log == "stderr")
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await LocalRuntime(settings, gateway, spawn, log).run(stop)
    finally:
        os.close(lock)
    return EX_OK


def read_uids(text: str) -> range:
    """Read the range of user ids; empty for none.

    >>> read_uids("300000-300099")
    range(300000, 300100)

    Raises HostError.
    """
    if text in {"auto", "none"}:
        return DEFAULT if text == "auto" else range(0)
    first, _, last = text.partition("-")
    if not (first.isascii() and first.isdigit() and last.isascii() and last.isdigit()):
        raise HostError(f"--uids {text}: two numbers are expected, for example 300000-300999.")
    if not _FIRST_UID <= int(first) <= int(last) <= _LAST_UID:
        raise HostError(f"--uids {text}: the range has to lie between {_FIRST_UID} and {_LAST_UID}.")
    return range(int(first), int(last) + 1)


def _prepare(accounts: Path, state: Path, *, open_to_others: bool) -> int:
    """Make the folders and take the lock of the state; gives the descriptor that holds it. Raises HostError."""
    try:
        accounts.mkdir(mode=0o750, parents=True, exist_ok=True)
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        (state / "shards").mkdir(exist_ok=True)
        for folder in (state, state / "shards"):
            folder.chmod(0o711 if open_to_others else 0o700)  # accounts' users pass through, and see nothing
        lock = os.open(state / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise HostError(f"{error.filename}: {error.strerror}.") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise AlreadyRunning(f"Another ponton local runs with {state}.") from None
    return lock


def _more_files() -> None:
    """Take as many file descriptors as we may have: each child costs two."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _isolation(wanted: range, spawn: Spawn, state: Path, *, must: bool) -> tuple[range, str]:
    """Find out how accounts are kept apart; gives the range of user ids, and what speaks against it. Raises HostError.

    An account's process must be able to run our program and to reach its folder, which a trial process shows.
    """
    if not wanted:
        return range(0), "--uids none"
    wrong = "not started as root" if os.geteuid() else ""
    if not wrong:
        wrong = await probe(spawn, child_environment(Home(state / "probe")), state, wanted[0])
    if wrong and must:
        raise HostError(f"--uids: {wrong}.")
    return (range(0), wrong) if wrong else (wanted, "")
