"""How tests reach a cluster, ours or one that was given: kubectl, namespaces of their own, waiting for a condition."""

import json
import shutil
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.cluster.box.box import Box
from tests.cluster.looks import Looks

Object = dict[str, Any]
_STEP = 0.2  # seconds between two looks
_ANSWER = 120  # seconds for one call of kubectl


class NotYet(Exception):
    """A condition did not come true in its time; the text says what was seen last."""


@dataclass(frozen=True)
class Cluster:
    """A cluster under test; `box` is None when somebody else runs it."""

    kubeconfig: Path
    box: Box | None

    @classmethod
    def of(cls, box: Box) -> "Cluster":
        """The cluster in a box."""
        return cls(box.kubeconfig, box)

    @cached_property
    def _kubectl(self) -> str:
        return str(self.box.folder.bin / "kubectl") if self.box else shutil.which("kubectl") or "kubectl"

    @cached_property
    def _looks(self) -> Looks:
        return Looks(self.kubeconfig)

    def command(self, *line: str) -> list[str]:
        """Give a command line of kubectl as administrator."""
        return [self._kubectl, f"--kubeconfig={self.kubeconfig}", *line]

    def kubectl(self, *line: str, text: str | None = None) -> str:
        """Run kubectl as administrator with `text` as its input; gives its output, raises CalledProcessError."""
        done = subprocess.run(
            self.command(*line), input=text, capture_output=True, text=True, check=False, timeout=_ANSWER
        )
        if done.returncode:
            # The error itself shows neither output.
            raise subprocess.CalledProcessError(done.returncode, [*line, done.stderr], done.stdout, done.stderr)
        return done.stdout

    def get(self, *line: str) -> Object:
        """Read one object, or a list of them; raises CalledProcessError with kubectl's words."""
        found = self._looks.get(*line)
        return dict(json.loads(self.kubectl("get", "-o", "json", *line))) if found is None else found

    def apply(self, *objects: Object) -> None:
        """Apply objects (each names its own namespace)."""
        items = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self.kubectl("apply", "-f", "-", text=json.dumps(items))

    @contextmanager
    def namespace(self, security: str = "restricted") -> Iterator[str]:
        """A namespace of the test's own, with a level of Pod Security; deleted afterwards without waiting for it."""
        name = f"test-{uuid.uuid4().hex[:8]}"
        labels = {"pod-security.kubernetes.io/enforce": security}
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
        try:
            until(f"a service account in {name}", lambda: self._exists("serviceaccount", "default", name), 30)
            yield name
        finally:
            self.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")

    def _exists(self, kind: str, name: str, namespace: str) -> bool:
        return bool(self.kubectl("get", kind, name, "-n", namespace, "--ignore-not-found", "-o", "name"))


def until(what: str, condition: Callable[[], object], seconds: float) -> None:
    """Wait until `condition` gives something true; raises NotYet naming `what`."""
    deadline = time.monotonic() + seconds
    while not (seen := condition()):
        if time.monotonic() > deadline:
            raise NotYet(f"not within {seconds:g} s: {what} (seen: {seen!r})")
        time.sleep(_STEP)
