"""A stand-in for the programs that `ponton local` starts: does what files say, and writes down what it was told.

Run by the tests' own way to spawn as `python stand_in.py FOLDER PROGRAM`; only the standard library, so that it starts
fast and under any user id. It writes a line of JSON to FOLDER/started and, every 10 ms, obeys FOLDER/NAME.do:
`exit N`, `say REASON` (last-state.json), `deaf` (ignore TERM), `print N` (bytes), `pulse` (as a shard at work). A
store that is locked by another process is FOLDER/overlaps and exit code 75.
"""

import fcntl
import json
import os
import signal
import sys
import time
from pathlib import Path


def main(folder: Path, program: str) -> int:
    """Run until told to end; gives the exit code."""
    env = os.environ
    if program == "help":  # a trial process
        return 0
    name = env.get("PONTON_ACCOUNT", program)
    secrets = Path(env["PONTON_SECRETS"])
    store = Path(env.get("PONTON_STORE", env["HOME"]))
    lock = os.open(store / "lock", os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        (folder / "overlaps").touch()
        return 75
    told = {
        "name": name,
        "program": program,
        "pid": os.getpid(),
        "uid": os.getuid(),
        "epoch": int(env["PONTON_EPOCH"]),
        "instance": env["PONTON_INSTANCE"],
        "environment": dict(env),
        "secrets": {f.name: f.read_text() for f in secrets.iterdir()},
        "modes": {f.name: f.stat().st_mode & 0o7777 for f in (*secrets.iterdir(), secrets, store)},
        "kept": (store / "kept").exists(),
        "cwd": str(Path.cwd()),
    }
    (store / "kept").touch()
    line = (json.dumps(told) + "\n").encode()
    number = os.open(folder / "started", os.O_WRONLY | os.O_APPEND)
    os.write(number, line)
    os.close(number)
    ending: list[int] = []
    pulses: list[int] = []  # descriptors to touch again and again
    signal.signal(signal.SIGTERM, lambda *_: ending.append(1))
    orders = folder / f"{name}.do"
    while not ending:
        for order in _take(orders):
            word, _, rest = order.partition(" ")
            match word:
                case "exit":
                    return int(rest)
                case "pulse":
                    pulses.append(lock)
                case _:
                    _obey(word, rest, store, told)
        for touched in pulses:
            os.utime(touched)
        time.sleep(0.01)
    return 0


def _obey(word: str, rest: str, store: Path, told: dict[str, object]) -> None:
    if word == "say":
        _say(store, told, rest)
    elif word == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    elif word == "print":
        print("x" * int(rest), flush=True)  # noqa: T201  # what a child writes is the point


def _take(orders: Path) -> list[str]:
    try:
        text = orders.read_text()
        orders.unlink()
    except OSError:
        return []
    return text.splitlines()


def _say(store: Path, told: dict[str, object], reason: str) -> None:
    state = {"epoch": told["epoch"], "instance": told["instance"], "reason": reason, "since": time.time(), "until": 0}
    draft = store / "last-state.new"
    draft.write_text(json.dumps(state | {"paired": 0}))
    draft.replace(store / "last-state.json")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
