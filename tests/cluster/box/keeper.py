"""Keeps one box: starts its namespaces and the forwarder, and cleans up whatever way it ends.

Started by `box.up` as `python -m tests.cluster.box.keeper FOLDER`, detached; ends on SIGTERM, with its owner, or when
the first process inside does. If it is killed itself the kernel kills the namespaces with it, and the next `up` or
`down` of that name removes what is left of folder and control groups.
"""

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.cluster.box import cgroups, programs
from tests.cluster.box.layout import API_PORT, NODE_ADDRESS, READY, Folder

_UNSHARE = "unshare --mount --net --pid --uts --ipc --fork --kill-child --mount-proc --propagation private"
_DIE_WITH_ME = ("setpriv", "--pdeathsig", "KILL")
_STEP = 0.02  # seconds
_END = 20.0  # seconds for hundreds of processes to end
_START = 20.0  # seconds until the namespaces and the forwarder are there; it takes 0.1


class Keeper:
    """One box from its first to its last process."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._options = folder.options()
        self._running: list[subprocess.Popen[bytes]] = []
        self._inside = 0
        self._wake, wake = socket.socketpair()
        wake.settimeout(0)
        self._kept = wake
        signal.set_wakeup_fd(wake.fileno())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)  # the byte in the socket is the message

    def run(self) -> None:
        """Start everything, wait for an end, clean up."""
        self._folder.note("keeper", os.getpid())
        try:
            self._start()
            self._wait()
        finally:
            self._clean()

    def _start(self) -> None:
        folder = self._folder
        if self._options.node:
            cgroups.make(folder.cgroup)
        subprocess.run([str(folder.bin / "certs"), *programs.certs(folder)], check=True)
        first = [sys.executable, "-m", "tests.cluster.box.first", str(folder.root)]
        self._running.append(self._popen(_UNSHARE.split() + first, "first"))
        inside = self._child_of(self._running[0].pid)
        self._inside = os.pidfd_open(inside)
        folder.note("inside", inside)
        port = folder.root / "port"
        line = ["-pid", str(inside), "-to", f"{NODE_ADDRESS}:{API_PORT}", "-port-file", str(port)]
        self._running.append(self._popen([str(folder.bin / "forward"), *line], "forward"))
        self._until(port.exists)
        self._write_kubeconfig(int(port.read_text()))

    def _write_kubeconfig(self, port: int) -> None:
        known = json.loads(self._folder.inside_kubeconfig.read_text())
        known["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{port}"
        self._folder.kubeconfig.write_text(json.dumps(known))
        self._folder.kubeconfig.chmod(0o600)
        self._folder.note("port", port)

    def _popen(self, line: list[str], name: str) -> subprocess.Popen[bytes]:
        with (self._folder.logs / f"{name}.log").open("ab") as log:
            return subprocess.Popen([*_DIE_WITH_ME, *line], stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def _child_of(self, parent: int) -> int:
        """The process that unshare has forked, which is the first one inside."""
        children = Path(f"/proc/{parent}/task/{parent}/children")
        self._until(lambda: bool(children.read_text()))
        return int(children.read_text().split()[0])

    def _until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _START
        while not condition():
            if any(process.poll() is not None for process in self._running) or time.monotonic() > deadline:
                raise TimeoutError("the namespaces or the forwarder did not start; see the logs")
            time.sleep(_STEP)

    def _wait(self) -> None:
        """Until a signal, the owner's end, or the end of anything that was started."""
        watched = [self._wake.fileno(), *(os.pidfd_open(process.pid) for process in self._running)]
        if self._options.owner:
            with contextlib.suppress(ProcessLookupError):
                watched.append(os.pidfd_open(self._options.owner))
        select.select(watched, [], [])

    def _clean(self) -> None:
        if self._inside:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._inside, signal.SIGKILL)  # the kernel ends everything in there first
            select.select([self._inside], [], [], _END)
        for process in self._running:
            process.kill()
            process.wait()
        if self._options.node:
            cgroups.remove(self._folder.cgroup)
        if READY in self._folder.notes():  # else `up` still waits: it shows the logs and removes the folder itself
            shutil.rmtree(self._folder.root, ignore_errors=True)


if __name__ == "__main__":
    Keeper(Folder(Path(sys.argv[1]))).run()
