"""A cluster in a box as Python sees it: up, down, run something inside, load an image; used by tests and `__main__`."""

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.cluster.box import build, cgroups, leftovers, node, system_images
from tests.cluster.box.layout import READY, Folder, Options

ROOT = Path(__file__).parents[3]
"""The checkout, from which everything inside is run too."""
_UP = 180.0  # seconds until a box must be ready; with a node it takes 10
_DOWN = 120.0  # seconds until everything must be gone; a quiet machine takes 3
_STEP = 0.05  # seconds
_INSIDE = ("etcd", "certs", "forward", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
_TOOLS = ("kubectl", "kubelet", "kube-proxy")


class BoxFailed(Exception):
    """The box did not come up or did not go away; the text says what was seen."""


@dataclass(frozen=True)
class Box:
    """One running box."""

    folder: Folder
    keeper: subprocess.Popen[bytes] | None = None  # our child, when this process has brought the box up
    _loaded: set[Path] = field(default_factory=set, compare=False)  # archives, whose names tell what is in them

    @classmethod
    def up(cls, options: Options) -> "Box":
        """Bring a box up and wait until tests may begin. Raises BoxFailed, also when one of that name runs already."""
        if os.geteuid() != 0:
            raise BoxFailed("a cluster in a box needs root: it makes namespaces")
        folder = Folder.of(options.name)
        if _keeper(folder):
            raise BoxFailed(f"the box {options.name} is up already")
        _sweep(folder)
        _furnish(folder, options)
        with (folder.logs / "keeper.log").open("ab") as log:
            keeper = subprocess.Popen(
                [sys.executable, "-m", "tests.cluster.box.keeper", str(folder.root)],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + _UP
        while not {READY, "port"} <= set(folder.notes()):
            if keeper.poll() is not None or time.monotonic() > deadline:
                keeper.terminate()
                keeper.wait()
                text = _last_words(folder)
                _sweep(folder)
                raise BoxFailed(f"the box {options.name} did not come up\n{text}")
            time.sleep(_STEP)
        return cls(folder, keeper)

    @classmethod
    def named(cls, name: str) -> "Box":
        """The running box of that name; raises BoxFailed when there is none."""
        folder = Folder.of(name)
        if not _keeper(folder):
            raise BoxFailed(f"there is no box {name}")
        return cls(folder)

    @property
    def kubeconfig(self) -> Path:
        """For an administrator outside."""
        return self.folder.kubeconfig

    @property
    def inside(self) -> int:
        """The first process inside, as numbered outside: its namespaces are the box's."""
        return int(self.folder.notes()["inside"])

    def command(self, *line: str) -> list[str]:
        """The command that runs `line` inside, with this folder as its own."""
        environ = {
            "PATH": f"{self.folder.bin}:{os.environ['PATH']}",
            "KUBECONFIG": str(self.folder.inside_kubeconfig),
            "CONTAINERD_ADDRESS": str(self.folder.containerd),
            "CONTAINERD_NAMESPACE": "k8s.io",
        }
        settings = [f"{name}={value}" for name, value in environ.items()]
        enter = [
            "nsenter",
            f"--target={self.inside}",
            "--mount",
            "--net",
            "--uts",
            "--ipc",
            "--pid",
            f"--wd={Path.cwd()}",
        ]
        return [*enter, "--", "env", *settings, *line]

    def run(self, *line: str, text: str | None = None, seconds: float = 60.0) -> str:
        """Run `line` inside with `text` as its input and return what it printed; raises CalledProcessError."""
        done = subprocess.run(
            self.command(*line), input=text, stdout=subprocess.PIPE, text=True, check=True, timeout=seconds
        )
        return done.stdout

    def load(self, archive: Path) -> None:
        """Give the node an image, unless it has it: an OCI archive, named as its index says."""
        if archive not in self._loaded:
            self.run(*node.load(self.folder, archive), seconds=300)
            self._loaded.add(archive)

    def process(self, name: str) -> int:
        """The process of one of its programs, such as kubelet, as the machine counts processes."""
        own = os.fsencode(self.folder.bin / name)
        for line in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):  # it has ended meanwhile
                if line.read_bytes().split(b"\0")[0] == own:
                    return int(line.parent.name)
        raise BoxFailed(f"no {name} runs in the box {self.folder.name}")

    def name_image(self, image: str, other: str) -> None:
        """Give an image of the node a second name."""
        self.run(*node.tag(self.folder, image, other))

    def down(self, logs: Path | None = None) -> list[str]:
        """End it and return what it left behind, which is nothing; `logs` is a folder to which its logs are copied."""
        left = down(self.folder.name, logs)
        if self.keeper:
            self.keeper.wait()
        return left


def down(name: str, logs: Path | None = None) -> list[str]:
    """End the box `name`, or clean up after one that was killed; returns what is left behind."""
    folder = Folder.of(name)
    if logs and folder.logs.exists():
        shutil.copytree(folder.logs, logs, dirs_exist_ok=True)
    before = folder.root / "machine.json"
    machine = json.loads(before.read_text()) if before.exists() else None
    if keeper := _keeper(folder):
        process = os.pidfd_open(keeper)
        os.kill(keeper, signal.SIGTERM)
        if not select.select([process], [], [], _DOWN)[0]:
            raise BoxFailed(f"the keeper of the box {name} (process {keeper}) does not end")
        os.close(process)
    _sweep(folder)
    return leftovers.of_box(folder) + (leftovers.changed(machine, leftovers.machine()) if machine else [])


def _keeper(folder: Folder) -> int:
    """The process that keeps the box now, 0 when none does (an old number may have gone to a stranger)."""
    number = int(folder.notes().get("keeper", 0)) if folder.root.exists() else 0
    try:
        line = Path(f"/proc/{number}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return 0
    return number if b"tests.cluster.box.keeper" in line and str(folder.root).encode() in line else 0


def _furnish(folder: Folder, options: Options) -> None:
    """Make the folder with everything that the box needs before its namespaces exist."""
    built = build.program("box")
    kwok = build.program("kwok") if options.kwok else None
    archives = system_images.archives() if options.node else []
    folder.root.mkdir(mode=0o700)
    for part in (folder.logs, folder.bin, folder.images):
        part.mkdir()
    for tool in _INSIDE + _TOOLS:
        (folder.bin / tool).symlink_to(built)
    if kwok:
        (folder.bin / "kwok").symlink_to(kwok)
        build.kwok_stages()
    for archive in archives:
        (folder.images / archive.name).symlink_to(archive)
    folder.write_options(options)
    (folder.root / "machine.json").write_text(json.dumps(leftovers.machine()))


def _sweep(folder: Folder) -> None:
    """Remove what a box whose keeper was killed has left."""
    if folder.root.exists():
        cgroups.remove(folder.cgroup)
        shutil.rmtree(folder.root)


def _last_words(folder: Folder) -> str:
    """The ends of the logs that say why."""
    names = ("keeper", "first")
    paths = [folder.logs / f"{name}.log" for name in names]
    return "\n".join(path.read_text(errors="replace")[-4000:] for path in paths if path.exists())
