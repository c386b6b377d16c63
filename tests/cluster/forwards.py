"""`kubectl port-forward` for tests: a port on loopback that leads to a Service's pod, ended with its block."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tests.cluster.reach import Cluster

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
