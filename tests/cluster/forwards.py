"""Ways into a cluster for tests: ports on loopback that lead to a pod, or to a Service; they end with their block."""

import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tests.cluster.reach import Cluster, until

_LINE = re.compile(r"^Forwarding from 127\.0\.0\.1:(\d+) -> \d+$")


@contextmanager
def forwarded(cluster: Cluster, namespace: str, what: str, *ports: int) -> Iterator[tuple[int, ...]]:
    """Give ports of loopback, in the order of `ports`, that lead to `what` (such as svc/NAME or deploy/NAME).

    The way ends with the pod that is behind it now: who restarts it forwards anew.
    """
    wanted = [f":{port}" for port in ports]
    line = cluster.command("port-forward", "--address=127.0.0.1", "-n", namespace, what, *wanted)
    child = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert child.stdout
        given: list[int] = []
        seen: list[str] = []
        while len(given) < len(ports):
            seen.append(text := child.stdout.readline())
            if not text:
                raise AssertionError(f"no way to {what}: {''.join(seen)}")
            if found := _LINE.match(text.strip()):
                given.append(int(found[1]))
        yield tuple(given)
    finally:
        child.kill()
        child.communicate()


@contextmanager
def reached(cluster: Cluster, namespace: str, service: str, port: int, local: int) -> Iterator[None]:
    """Let the port `local` of loopback lead to a Service by its own address, as pods come to it, whichever pod answers.

    Where the cluster is not ours kubectl leads to one pod of it.
    """
    if box := cluster.box:
        address = cluster.get("-n", namespace, "service", service)["spec"]["clusterIP"]
        line = [str(box.folder.bin / "forward"), f"-pid={box.inside}", f"-to={address}:{port}"]
        line.append(f"-listen=127.0.0.1:{local}")
    else:
        way = f"svc/{service}", f"{local}:{port}"
        line = cluster.command("port-forward", "--address=127.0.0.1", "-n", namespace, *way)
    child = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(f"a way to the Service {service}", lambda: _answers(local), 20)
        yield
    finally:
        child.kill()
        child.communicate()


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
