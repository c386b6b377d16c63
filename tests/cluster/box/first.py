"""The first process inside a box: furnishes the namespaces, starts every program in order, then reaps and watches.

Started by `keeper` as `python -m tests.cluster.box.first FOLDER`. Its end is the end of everything inside.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.cluster.box import build, node, objects, private, programs
from tests.cluster.box.api import Api, Object, Refused
from tests.cluster.box.children import Children
from tests.cluster.box.layout import NODE, READY, Folder, Options

_SERVER = 60.0  # seconds for the API server; it takes 3, on a busy machine 20 were seen
_NODE = 90.0  # seconds for the node; it takes 5
_REST = 0.2  # seconds between two rounds of reaping


class First:
    """One start of a box; `run` returns only when something that it needs has ended."""

    def __init__(self, folder: Folder, options: Options) -> None:
        self._folder = folder
        self._options = options
        self._started = time.monotonic()
        self._environ = {
            "PATH": f"{folder.bin}:{os.environ['PATH']}",
            "HOME": str(folder.root),
            "PYTHONDONTWRITEBYTECODE": "1",
            # Memory for time: at Go's own setting (100) the API server spends a quarter of its time on garbage.
            "GOGC": "400",
        }
        self._children = Children(folder.logs, self._environ)

    def run(self) -> None:
        """Bring everything up and look after it; raises Ended or TimeoutError with the reason of the end."""
        private.network(node=self._options.node)
        if self._options.node:
            private.mounts(self._folder)
        self._control_plane()
        if self._options.node:
            self._node()
        if self._options.kwok:
            self._fake_nodes()
        self._until("the default service account", self._has("/api/v1/namespaces/default/serviceaccounts/default"))
        self._note(READY)
        while True:
            self._children.look()
            time.sleep(_REST)

    def _control_plane(self) -> None:
        folder = self._folder
        (folder.root / "audit-policy.json").write_text(json.dumps(programs.audit_policy()))
        self._start("etcd", programs.etcd(folder))
        (folder.root / "admission.json").write_text(json.dumps(programs.few_events()))
        many, only_fake = bool(self._options.kwok), bool(self._options.kwok and not self._options.node)
        self._start("kube-apiserver", programs.api_server(folder, audit=self._options.audit, few_events=many))
        # The others end at once when their rights have not been made yet, which is part of being ready.
        self._until("the API server's readiness", self._has("/readyz"), _SERVER)
        self._note("api server")
        self._start("kube-controller-manager", programs.controller_manager(folder, fake_nodes=only_fake))
        self._start("kube-scheduler", programs.scheduler(folder))
        self._api().create(objects.STORAGE_CLASSES, objects.storage_class())
        self._loop("claims" if only_fake else "volumes")

    def _node(self) -> None:
        root = self._folder.root
        (root / "containerd.toml").write_text(node.containerd(self._folder))
        (root / "cni").mkdir()
        (root / "cni" / "10-box.conflist").write_text(json.dumps(node.cni(self._folder)))
        (root / "resolv.conf").write_text("# nothing beyond the cluster\n")
        (root / "kubelet.json").write_text(json.dumps(node.kubelet(self._folder)))
        (root / "kube-proxy.json").write_text(json.dumps(node.kube_proxy(self._folder)))
        self._children.start("containerd", ["/usr/bin/containerd", *programs.containerd(self._folder)])
        self._start("kube-proxy", programs.kube_proxy(self._folder))
        if self._options.policy:
            self._loop("enforcer")
        self._until("containerd", self._folder.containerd.exists)
        for archive in sorted(self._folder.images.iterdir()):
            subprocess.run(node.load(self._folder, archive), check=True, stdout=subprocess.DEVNULL)
        self._note("images loaded")
        self._start("kubelet", programs.kubelet(self._folder))
        for collection, found in objects.dns():
            self._api().create(collection, found)
        self._until("the node", self._holds(f"/api/v1/nodes/{NODE}", objects.node_is_ready))
        self._note("node ready")
        self._until("the name server", self._holds(objects.DNS_DEPLOYMENT, objects.is_available))
        self._note("names ready")

    def _fake_nodes(self) -> None:
        self._start("kwok", programs.kwok(self._folder, str(build.kwok_stages())))
        api = self._api()
        for number in range(self._options.kwok):
            api.create(objects.NODES, objects.fake_node(number, shunned=self._options.node))
        self._note("fake nodes")

    def _start(self, name: str, arguments: list[str]) -> None:
        self._children.start(name, [str(self._folder.bin / name), *arguments])

    def _loop(self, name: str) -> None:
        module = f"tests.cluster.box.{name}"
        self._children.start(name, [sys.executable, "-m", module, str(self._folder.root)])

    def _api(self) -> Api:
        return Api(self._folder.pki)

    def _has(self, path: str) -> Callable[[], bool]:
        return self._holds(path, lambda _: True)

    def _holds(self, path: str, what: Callable[[Object], bool]) -> Callable[[], bool]:
        """A condition: the API server answers with an object of which `what` is true."""
        api = self._api()

        def there() -> bool:
            try:
                return what(api.get(path))
            except (Refused, OSError):
                return False

        return there

    def _until(self, what: str, condition: Callable[[], bool], seconds: float = _NODE) -> None:
        self._children.until(what, condition, seconds)

    def _note(self, key: str) -> None:
        self._folder.note(key, round(time.monotonic() - self._started, 2))


if __name__ == "__main__":
    its = Folder(Path(sys.argv[1]))
    First(its, its.options()).run()
