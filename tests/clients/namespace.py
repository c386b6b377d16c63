"""Enter the lab: re-run this program where loopback is the only network and nothing outlives it.

Called first by `__main__` and by experiment scripts. `enter()` replaces the process by one inside new
network, mount and process namespaces; inside, `furnish()` makes the names resolve and the CA trusted. When
the first process in there ends, however it ends, the kernel kills the rest: no stray client, no stray port.
"""

import os
import subprocess
import sys
from pathlib import Path

from tests.clients import layout

_MARK = "CLIENTS_LAB"  # not PONTON_: the programs under test refuse what they do not know
_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")

ROOT = Path("/mnt")
"""The lab's folder: a tmpfs mounted there for us alone, gone with the namespace even after kill -9."""


def command(arguments: list[str]) -> list[str]:
    """The command line that runs `arguments` in namespaces of its own.

    --kill-child: when unshare itself is killed, so is everything inside.
    """
    return ["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child", *arguments]


def inside() -> bool:
    """Whether this process is the first one of a lab."""
    return os.environ.get(_MARK) == "inside" and os.getpid() == 1


def enter() -> None:
    """Return inside the lab; outside, replace this process by one that is inside.

    Raises PermissionError when not run by root.
    """
    if inside():
        return
    if os.geteuid() != 0:
        raise PermissionError("the client lab needs root: it makes namespaces and runs clients as nobody")
    environ = {**os.environ, _MARK: "inside"}
    line = command([sys.executable, *sys.orig_argv[1:]])
    os.execvpe(line[0], line, environ)  # noqa: S606 - our own command line


def _run(*arguments: str) -> None:
    subprocess.run(arguments, check=True, stdin=subprocess.DEVNULL)


def furnish(root: Path = ROOT) -> None:
    """Bring loopback up, make `root`, and let the lab's names resolve, for us only."""
    _run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", str(root))
    _run("ip", "link", "set", "lo", "up")
    _run("ip", "address", "add", f"{layout.EXTRA_ADDRESS}/32", "dev", "lo")
    _bind(root / "hosts", layout.hosts_file().encode(), Path("/etc/hosts"))
    sockets = Path("/tmp/.X11-unix")  # noqa: S108 - the name is X11's; ours alone once it is mounted over
    sockets.mkdir(mode=0o1777, exist_ok=True)
    _run("mount", "-t", "tmpfs", "-o", "mode=1777", "tmpfs", str(sockets))


def trust(authority: Path, root: Path = ROOT) -> None:
    """Let every program of the lab trust this CA (PEM) beside the system's own."""
    _bind(root / "bundle.crt", _BUNDLE.read_bytes() + authority.read_bytes(), _BUNDLE)


def _bind(own: Path, content: bytes, system: Path) -> None:
    own.write_bytes(content)
    own.chmod(0o644)
    _run("mount", "--bind", str(own), str(system))
