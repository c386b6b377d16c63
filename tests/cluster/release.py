"""The chart installed with all that it bundles, as the tests of this folder and `make demo CLUSTER=1` use it.

    with installed(cluster, folder, ["alice"]) as release:
        release.cluster.apply(release.account("alice"))

Images are built when something in them has changed, and loaded into our own cluster; a cluster that KUBECONFIG names
must have them already.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.cluster import chart_kit
from tests.cluster.box import images
from tests.cluster.place import READY, Place
from tests.cluster.reach import Cluster, Object, until
from tests.harness.redis import free_port

NAME = "wa"
FULL = f"{NAME}-ponton"
GATEWAY = f"{FULL}-sandbox"
PORTAL = f"{GATEWAY}-portal"
DOMAIN = "example.test"
SERVED = f"sandbox.{DOMAIN}"
"""The domain of that gateway."""


@dataclass
class Release(Place):
    """One installation in a namespace of its own; `users` are the owners' names and passwords at its Prosody."""

    folder: Path
    users: dict[str, str]
    values: dict[str, Any] = field(default_factory=dict)

    @property
    def page(self) -> str:
        """Where browsers find the self-service page of its gateway, '' when it has none."""
        return str(self.values["sandbox"]["portalUrl"])

    @property
    def ca_file(self) -> Path:
        """The authority of its Prosody, which is written when it is asked for first."""
        file = self.folder / "ca.crt"
        if not file.exists():
            file.write_text(self.secret(f"{FULL}-xmpp-tls")["ca.crt"])
        return file

    def helm(self, *line: str, values: Mapping[str, Any] | None = None) -> str:
        """Run Helm on it."""
        place = (f"--kubeconfig={self.cluster.kubeconfig}", "--namespace", self.namespace)
        return chart_kit.helm(*line, *place, values=values)

    def upgrade(self, *line: str, **values: Any) -> str:  # noqa: ANN401  # parts of values
        """Upgrade it, with values changed at the top."""
        return self.helm("upgrade", NAME, str(chart_kit.CHART), *line, values={**self.values, **values})

    def ready(self, what: str = f"bg/{GATEWAY}", seconds: float = READY) -> None:
        """Wait until an object is Ready, the gateway unless another one is named."""
        self.until_ready(what, seconds)

    def account(self, owner: str, **spec: Any) -> Object:  # noqa: ANN401  # parts of a resource
        """Give an account of an owner as kubectl makes it."""
        return {
            "apiVersion": "ponton.im/v1alpha1",
            "kind": "BridgeAccount",
            "metadata": {"name": owner, "namespace": self.namespace},
            "spec": {"owner": f"{owner}@{DOMAIN}", "gatewayRef": {"name": GATEWAY}, **spec},
        }

    def redis(self, *command: str) -> list[str]:
        """Ask the bundled Redis as the control plane; gives the lines of its answer."""
        line = 'REDISCLI_AUTH=$(cat /run/ponton/password) exec redis-cli --user ponton "$@"'
        return self.kubectl("exec", f"{FULL}-redis-0", "--", "sh", "-c", line, "sh", *command).split("\n")[:-1]


@contextmanager
def installed(
    cluster: Cluster,
    folder: Path,
    owners: list[str],
    *,
    page: bool = False,
    **values: Any,  # noqa: ANN401
) -> Iterator[Release]:
    """Install the chart in a new namespace at the restricted level, and wait until its gateway is Ready.

    `page`: with the self-service page, on a port of loopback that is free now (`scene.ways` leads from there).
    """
    if cluster.box:
        for name in images.IMAGES:
            cluster.box.load(images.archive(name))
    with cluster.namespace() as namespace:
        release = Release(cluster, namespace, folder, {owner: f"{owner}-password" for owner in owners})
        release.values = {**usual(), **values}
        release.values["sandbox"]["portalUrl"] = f"http://127.0.0.1:{free_port()}" if page else ""
        users = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "users", "namespace": namespace}}
        cluster.apply({**users, "stringData": release.users})
        release.values |= chart_kit.definitions(cluster)
        release.helm("install", NAME, str(chart_kit.CHART), values=release.values)
        try:
            release.ready()
            if page:
                running = f"{PORTAL} runs"
                until(running, lambda: release.condition(f"bg/{GATEWAY}", "PortalRunning")[0] == "True", READY)
            yield release
        finally:
            if NAME in release.helm("list", "--short"):
                release.helm("uninstall", NAME)


def usual() -> dict[str, Any]:
    """Give values for all that is bundled, with the images of this checkout."""

    def image(name: str) -> dict[str, str]:
        repository, _, tag = images.reference(name).rpartition(":")
        return {"repository": repository, "tag": tag, "pullPolicy": "Never"}

    bundled = {name: {"enabled": True, "image": image(name)} for name in ("redis", "prosody", "sandbox")}
    bundled["prosody"] |= {"usersSecret": "users", "domain": DOMAIN}
    return {"images": {name: image(name) for name in ("operator", "bridge")}, **bundled}
