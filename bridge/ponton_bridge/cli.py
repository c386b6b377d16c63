"""The one command line, `ponton`: a table of programs, each imported only when it is asked for.

A shard must not pay for what it does not use (10,000 of them run on one host), so nothing but this table is loaded
here. The control plane's programs are named as text because the data plane never imports it (docs/architecture.md).
"""

import os
import signal
import sys
from importlib import import_module
from typing import Final

EX_USAGE: Final = 64  # sysexits.h
EX_UNAVAILABLE: Final = 69

# name: (where its main(arguments) -> exit code is, the extra that brings its libraries, what it is)
PROGRAMS: Final = {
    "shard": ("ponton_bridge.shard.program:main", "bridge", "serve one account"),
    "frontdesk": ("ponton_operator.programs.frontdesk:main", "operator", "serve everyone who has no shard, over XMPP"),
    "portal": ("ponton_operator.programs.portal:main", "operator", "serve the self-service web pages"),
    "operator": (
        "ponton_operator.programs.operator:main",
        "operator",
        "run a Kubernetes operator: accounts, gateways, scaler",
    ),
    "local": ("ponton_operator.programs.local:main", "operator", "run everything on this machine, without Kubernetes"),
    "uninstall": (
        "ponton_operator.programs.uninstall:main",
        "operator",
        "leave a cluster in order before the operators go",
    ),
    "crds": ("ponton_operator.programs.crds:main", "operator", "print the custom resource definitions"),
}


def main(arguments: list[str] | None = None) -> int:
    """Run the program that the first argument names; gives its exit code."""
    if os.getpid() == 1:
        # The kernel lets the first process of a container ignore what it does not handle: told to end while it is
        # still being imported, it would be waited for until it is killed. The programs bring handlers of their own.
        signal.signal(signal.SIGTERM, lambda number, _: os._exit(128 + number))
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] in ([], ["help"], ["-h"], ["--help"]):
        print(usage())  # noqa: T201 - this is the command line
        return 0 if arguments else EX_USAGE
    name, *rest = arguments
    if name not in PROGRAMS:
        print(f"ponton: there is no program {name!r}.\n\n{usage()}", file=sys.stderr)  # noqa: T201
        return EX_USAGE
    dotted, extra, _ = PROGRAMS[name]
    module, _, function = dotted.partition(":")
    try:
        program = getattr(import_module(module), function)
    except ModuleNotFoundError as missing:
        what = f"needs {missing.name}" if missing.name != module else "is not part of this installation"
        print(f"ponton: {name} {what}. Install ponton[{extra}].", file=sys.stderr)  # noqa: T201
        return EX_UNAVAILABLE
    return int(program(rest))


def usage() -> str:
    """Say what there is."""
    lines = [f"  {name:<10} {what}" for name, (_, _, what) in PROGRAMS.items()]
    return "\n".join(["usage: ponton PROGRAM [arguments]", "", *lines])


if __name__ == "__main__":
    sys.exit(main())
