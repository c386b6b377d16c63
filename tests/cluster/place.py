"""A namespace of a cluster under test, with a gateway in it: kubectl, conditions, shards, and what is left of accounts.

Called by `release` (everything bundled) and `outside` (servers of the host's own).
"""

import base64
from collections.abc import Iterable
from dataclasses import dataclass

from tests.cluster.reach import Cluster, Object, until

READY = 120.0  # seconds from the installation to a gateway that is Ready; it takes about 20
_SHARDS = "app.kubernetes.io/component=shard"


@dataclass
class Place:
    """One namespace."""

    cluster: Cluster
    namespace: str

    def kubectl(self, *line: str, text: str | None = None) -> str:
        """Run kubectl in the namespace."""
        return self.cluster.kubectl("-n", self.namespace, *line, text=text)

    def get(self, *line: str) -> Object:
        """Read one object of the namespace, or a list."""
        return self.cluster.get("-n", self.namespace, *line)

    def secret(self, name: str) -> dict[str, str]:
        """Give what a Secret holds."""
        return {key: base64.b64decode(text).decode() for key, text in self.get("secret", name)["data"].items()}

    def condition(self, what: str, kind: str) -> tuple[str, str]:
        """Give status and reason of a condition of an object (ba/alice), ('', '') without it."""
        found = self.get(what).get("status", {}).get("conditions", [])
        return next(((one["status"], one["reason"]) for one in found if one["type"] == kind), ("", ""))

    def until_ready(self, what: str, seconds: float = READY) -> None:
        """Wait until an object is Ready."""
        until(f"{what} is Ready", lambda: self.condition(what, "Ready")[0] == "True", seconds)

    def pods(self, account: str = "") -> list[Object]:
        """Give the shards' pods, or those of one account."""
        return list(self.get("pods", "-l", f"ponton.im/account={account}" if account else _SHARDS)["items"])

    def accounts_left(self, gateway: str, keys: Iterable[str], users: Iterable[str], streams: int) -> list[str]:
        """Name what there is of accounts: resources, pods, volumes, secrets, and of what Redis and Prosody told.

        `keys` below `a:` and all `users` of Redis: the doors' names have a dot, which no account's has.
        """
        found = self.kubectl("get", "pods,secrets,pvc", "-l", _SHARDS, "-o", "name").split()
        found += self.kubectl("get", "bridgeaccounts", "-o", "name").split()
        found += [key for key in keys if "." not in key.split(":")[3]]
        found += [user for user in users if user.startswith(f"ponton-{gateway}-")]
        return found + ["streams"] * streams
