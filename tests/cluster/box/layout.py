"""Names, addresses and paths of a cluster in a box; read by every other module of the tool, does nothing itself."""

import json
import os
import re
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

NODE = "node"
"""Name of the one real node."""
NODE_ADDRESS = "10.99.0.1"
"""Of node and API server; a /32 on `lo`, because the service `kubernetes` needs an address beyond loopback."""
SERVICES = "10.96.0.0/16"
API_SERVICE = "10.96.0.1"
DNS_SERVICE = "10.96.0.10"
PODS = "10.244.0.0/16"
API_PORT = 6443
PUBLIC_ADDRESS = "203.0.113.10"
"""A public address (TEST-NET-3) on the node: a test listens there as "something on the internet"."""
METADATA_ADDRESS = "169.254.169.254"
"""Where clouds serve a machine's credentials; on the node too, so that policies can be seen to shut it off."""
DOMAIN = "cluster.local"
READY = "ready"
"""The note whose presence says that tests may begin; its value is the seconds since the start."""

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?")
"""Of a box: part of paths, of cgroups and of the host name."""


@dataclass(frozen=True)
class Options:
    """What a box shall have; written to its folder by `up`, read by everything that runs in it.

    `kwok` is a number of fake nodes, `owner` the process (id) whose end takes the box down, 0 for none.
    """

    name: str = "box"
    node: bool = False
    policy: bool = True
    kwok: int = 0
    audit: bool = False
    owner: int = 0

    def __post_init__(self) -> None:
        """Refuse a name that cannot be a path and a host name: ValueError."""
        if not NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} cannot name a box: up to 20 lower-case letters, digits and hyphens")


@dataclass(frozen=True)
class Folder:
    """The folder of one box: everything that it writes lies below `root`, which `down` removes."""

    root: Path

    @classmethod
    def of(cls, name: str) -> "Folder":
        """The folder of the box `name`; short, because sockets lie in it (a path of 108 bytes at most)."""
        return cls(Path(tempfile.gettempdir()) / f"ponton-box-{name}")

    @property
    def name(self) -> str:
        """The box's name."""
        return self.root.name.removeprefix("ponton-box-")

    @property
    def cgroup(self) -> str:
        """The group below which every pod's groups are, relative to each hierarchy."""
        return f"ponton-box-{self.name}"

    @property
    def pki(self) -> Path:
        """Certificates, keys and a kubeconfig for each program inside."""
        return self.root / "pki"

    @property
    def logs(self) -> Path:
        """One file for each program."""
        return self.root / "logs"

    @property
    def bin(self) -> Path:
        """Links to the tools, first in the PATH of what runs inside."""
        return self.root / "bin"

    @property
    def containerd(self) -> Path:
        """The socket of containerd."""
        return self.root / "containerd.sock"

    @property
    def images(self) -> Path:
        """Archives that the node loads when it starts."""
        return self.root / "images"

    @property
    def volumes(self) -> Path:
        """One folder for each persistent volume."""
        return self.root / "volumes"

    @property
    def audit_log(self) -> Path:
        """One JSON object a line, for every call but the tool's own."""
        return self.logs / "audit.log"

    @property
    def kubeconfig(self) -> Path:
        """For administrators outside, by the forwarder; `inside_kubeconfig` is the one for inside."""
        return self.root / "kubeconfig"

    @property
    def inside_kubeconfig(self) -> Path:
        """For administrators inside."""
        return self.pki / "admin.kubeconfig"

    def write_options(self, options: Options) -> None:
        """Keep them for everything that runs in the box."""
        (self.root / "options.json").write_text(json.dumps(asdict(options)))

    def options(self) -> Options:
        """What `up` was asked for; raises FileNotFoundError when there is no such box."""
        return Options(**json.loads((self.root / "options.json").read_text()))

    def note(self, key: str, value: float | str) -> None:
        """Keep one fact about the running box, such as the seconds until a step was done (one writer a key)."""
        notes = self.root / "notes"
        notes.mkdir(exist_ok=True)
        (notes / f".{key}").write_text(json.dumps(value))
        (notes / f".{key}").replace(notes / key)

    def notes(self) -> dict[str, float | str]:
        """All facts kept so far."""
        notes = self.root / "notes"
        files = sorted(notes.glob("[!.]*"), key=lambda path: path.stat().st_mtime_ns) if notes.exists() else []
        return {path.name: json.loads(path.read_text()) for path in files}


def cache() -> Path:
    """Where built programs and images are kept between runs: $PONTON_BOX_CACHE, or a folder of the user."""
    return Path(os.environ.get("PONTON_BOX_CACHE") or Path.home() / ".cache" / "ponton-box")
