"""Starts a program of the product so that its WhatsApp library trusts the sandbox instead of WhatsApp.

This file and the core's build for tests hold the trust swap, and they are never part of a release. It has two faces:
`sandboxed` turns the command line and environment that a parent would use into sandboxed ones (tests, the demo, the
local runtime), and run as a script it is the program in between: it checks the environment, arranges for the
library's pinned root key to be swapped in memory when the library is loaded, and then becomes the program it was
asked for.

    python -P launch.py CONFIG [python] [-m] PROGRAM [ARGUMENT ...]

PROGRAM is a module after `-m`, `module:function`, or the path of a script. Only the standard library is used
here: the script runs before anything else in a process that belongs to the product. `-P` keeps this folder off
the module path, where our package `signal` would hide the standard one.
"""

import ctypes
import dataclasses
import importlib
import json
import os
import runpy
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

# The root key of WhatsApp's Noise certificates as whatsmeow pins it; sits once in the library's writable memory.
WHATSAPP_ROOT = bytes.fromhex("142375574d0a587166aae71ebe516437c4a28b73e3695c6ce1f7f9545da8ee6b")
LIBRARY_FILE = "neonize-linux"  # how the library's file name begins
CONFIG_VARIABLE = "SANDBOX_CONFIG"
# The core as `make core` builds it for tests: it takes the root key of SANDBOX_ROOT, and is found first on the path.
CORE_FOLDER = Path(__file__).resolve().parents[2] / ".tools" / "core-sandbox"
CORE_PROGRAM = "ponton-whatsapp"
ROOT_VARIABLE = "SANDBOX_ROOT"
DRIVER_VARIABLE = "SANDBOX_DRIVER"  # core or neonize: what shards are to use, for a whole run of tests, demo or chaos
OPTIONS_WITH_VALUE = frozenset({"-X", "-W"})  # of the interpreter, when they stand before the program


@dataclasses.dataclass(frozen=True, slots=True)
class Config:
    """What a sandboxed program must know: proxy URL, CA file, root key in hex, control URL (may be empty)."""

    proxy: str
    ca: str
    root: str
    control: str = ""

    @classmethod
    def read(cls, path: str | Path) -> "Config":
        """Load the file that the sandbox wrote; raises OSError, ValueError or TypeError if it is none."""
        return cls(**json.loads(Path(path).read_text(encoding="utf-8")))

    def write(self, path: str | Path) -> None:
        """Write the file, replacing an older one at once and as a whole."""
        target = Path(path)
        draft = target.with_name(target.name + ".new")
        draft.write_text(json.dumps(dataclasses.asdict(self)), encoding="utf-8")
        draft.replace(target)


def sandboxed(argv: Sequence[str], env: Mapping[str, str], config: str | Path) -> tuple[list[str], dict[str, str]]:
    """The command line and environment that run `argv` inside the sandbox described by the file `config`.

    >>> sandboxed(["python3", "-m", "ponton_bridge.cli", "shard"], {}, "sandbox.json")  # doctest: +SKIP
    (['python3', '-P', '.../launch.py', 'sandbox.json', '-m', 'ponton_bridge.cli', 'shard'], {'HTTPS_PROXY': ...})
    """
    interpreter, options, program = _split(argv)
    if program[-1:] == ["shard"]:
        env = {"PONTON_WHATSAPP": driver(), **env}
    return [interpreter, "-P", *options, __file__, str(config), *program], environment(env, config)


def driver() -> str:
    """The WhatsApp driver of this run's shards, where their test says nothing else: the core, if it is built."""
    usual = "core" if (CORE_FOLDER / CORE_PROGRAM).exists() else "neonize"
    return os.environ.get(DRIVER_VARIABLE) or usual


def environment(env: Mapping[str, str], config: str | Path) -> dict[str, str]:
    """`env` with the sandbox's proxy and authority; must be there before exec, Go copies it at that moment.

    A NO_PROXY that matches would lead around the sandbox, so only loopback is left in it.
    """
    loaded = Config.read(config)
    kept = {k: v for k, v in env.items() if k.lower() not in {"no_proxy", "https_proxy", "all_proxy"}}
    path = env.get("PATH", os.defpath).split(os.pathsep)
    return kept | {
        "PATH": os.pathsep.join([str(CORE_FOLDER), *(folder for folder in path if folder != str(CORE_FOLDER))]),
        ROOT_VARIABLE: loaded.root,
        "HTTPS_PROXY": loaded.proxy,
        "NO_PROXY": "localhost,127.0.0.1,::1",
        "SSL_CERT_FILE": loaded.ca,
        CONFIG_VARIABLE: str(Path(config).absolute()),
    }


def swap_pin(new: bytes, old: bytes = WHATSAPP_ROOT, library: str = LIBRARY_FILE) -> int:
    """Overwrite the pinned root key in this process's memory; nothing on disk changes. Returns the hits."""
    hits = 0
    with Path("/proc/self/maps").open(encoding="utf-8") as maps, Path("/proc/self/mem").open("rb", 0) as memory:
        for line in maps:
            span, permissions = line.split()[:2]
            if library not in line or not permissions.startswith("rw"):
                continue
            low, high = (int(edge, 16) for edge in span.split("-"))
            memory.seek(low)
            held = memory.read(high - low)
            at = held.find(old)
            while at >= 0:
                ctypes.memmove(low + at, new, len(new))
                hits += 1
                at = held.find(old, at + 1)
    return hits


def arm(root: bytes) -> None:
    """Make this process swap the pin as soon as it maps the library, by whatever module; refuses to go on without.

    Hooking the mapping itself serves neonize's own binding and any other that maps the same file.
    """
    load = ctypes.CDLL.__init__
    swapped = 0

    # Whatever ctypes takes is passed on.
    def swapping(library: ctypes.CDLL, name: str | None, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        nonlocal swapped
        load(library, name, *args, **kwargs)
        if not Path(str(name)).name.startswith(LIBRARY_FILE) or swapped:
            return
        swapped = swap_pin(root)
        if swapped != 1:
            raise SystemExit(f"the WhatsApp library's pinned key was found {swapped} times, not once: not started")

    ctypes.CDLL.__init__ = swapping  # type: ignore[assignment, method-assign] # on purpose


def _split(argv: Sequence[str]) -> tuple[str, list[str], list[str]]:
    """Interpreter, its options, and the program with its arguments."""
    if not argv:
        raise ValueError("no program to run")
    if not Path(argv[0]).name.startswith("python"):
        return sys.executable, [], list(argv)
    at = 1
    while at < len(argv) and argv[at].startswith("-") and argv[at] != "-m":
        at += 2 if argv[at] in OPTIONS_WITH_VALUE else 1
    options = [option for option in argv[1:at] if option != "-P"]
    if "-c" in options or at >= len(argv):
        raise ValueError("give the sandbox a module, a function or a script to run")
    return argv[0], options, list(argv[at:])


def _become(program: list[str]) -> None:
    """Run the program in this process as the interpreter would have."""
    if program[:1] == ["-m"]:
        sys.path.insert(0, str(Path.cwd()))
        sys.argv = program[1:]
        runpy.run_module(program[1], run_name="__main__", alter_sys=True)
        return
    name, colon, function = program[0].partition(":")
    sys.argv = program
    if colon and not Path(program[0]).exists():
        sys.path.insert(0, str(Path.cwd()))
        raise SystemExit(getattr(importlib.import_module(name), function)())
    sys.path.insert(0, str(Path(program[0]).resolve().parent))
    runpy.run_path(program[0], run_name="__main__")


def main(arguments: Sequence[str]) -> None:
    """The script: `CONFIG PROGRAM ...`. Replaces itself once if the environment was not prepared."""
    if len(arguments) < 2:
        raise SystemExit(__doc__)
    config, argv = arguments[0], arguments[1:]
    wanted = environment(os.environ, config)
    if wanted != dict(os.environ):
        command, _ = sandboxed(argv, wanted, config)
        os.execve(command[0], command, wanted)  # noqa: S606 - replacing this very process is the point
    arm(bytes.fromhex(Config.read(config).root))
    _become(_split(argv)[2])


if __name__ == "__main__":
    main(sys.argv[1:])
