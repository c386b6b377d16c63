"""Build the programs of the box once and keep them, named by a hash of their sources; called by `up` and tests.

Needs Go (at least the version in dns/go.mod). A first build of Kubernetes takes about five minutes of two cores and
4 GiB in Go's own caches; with the program in the cache nothing is run at all.
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import astuple, dataclass
from pathlib import Path

from tests.cluster.box.layout import cache

HERE = Path(__file__).parent
_ENVIRON = {"CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false -trimpath", "GOTOOLCHAIN": "local"}
_TAGS = "providerless,dockerless,selinux"
_KUBERNETES = re.compile(r"^\tk8s\.io/kubernetes v(\d+)\.(\d+)\.(\d+)$", re.MULTILINE)


@dataclass(frozen=True)
class Ours:
    """A program built from sources in this folder."""

    folder: str
    package: str = "."


@dataclass(frozen=True)
class Change:
    """A line of a foreign program that is compiled otherwise; if it is not there exactly once, nothing is built."""

    file: str
    line: str
    instead: str


@dataclass(frozen=True)
class Foreign:
    """A program of somebody else's module; Go's checksum database vouches for its sources."""

    package: str
    version: str
    flags: str = ""
    change: Change | None = None

    @property
    def module(self) -> str:
        """The module that has the package in its folder cmd/."""
        return self.package.partition("/cmd/")[0]


# What Helm believes of a cluster that it does not ask; unstamped, that is the ancient 1.20.
_HELM = "-X helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor=1 -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor=34"

# COMPAT: kwok 0.8 begins each watch anew (every five to ten minutes) with all pods, and looks at each as if it were
# new: 16 s of a core for four thousand, and from eight thousand on it is never done. May go when it goes on from where
# it was.
_FROM_WHERE_IT_WAS = Change(
    "pkg/utils/informer/event.go",
    '\t\topts.ResourceVersion = "0"\n',
    '\t\tif opts.ResourceVersion == "" {\n\t\t\topts.ResourceVersion = "0"\n\t\t}\n',
)

PROGRAMS: dict[str, Ours | Foreign] = {
    "box": Ours("go"),
    "pause": Ours("go", "./pause"),
    "coredns": Ours("dns"),
    "kwok": Foreign("sigs.k8s.io/kwok/cmd/kwok", "v0.8.0", change=_FROM_WHERE_IT_WAS),
    "helm": Foreign("helm.sh/helm/v3/cmd/helm", "v3.22.0", _HELM),
    "kubeconform": Foreign("github.com/yannh/kubeconform/cmd/kubeconform", "v0.8.0"),
}


class BuildFailed(Exception):
    """The compiler refused; the text ends with what it wrote."""


def kubernetes_version(go_mod: str) -> tuple[str, str, str]:
    """Major, minor and patch of Kubernetes as our go.mod asks for it."""
    found = _KUBERNETES.search(go_mod)
    if not found:
        raise ValueError("go.mod requires no k8s.io/kubernetes of the form v1.34.4")
    major, minor, patch = found.groups()
    return major, minor, patch


def stamp(version: tuple[str, str, str]) -> str:
    """Linker flags: small, and answering with its version; unstamped sources call themselves v0.0.0."""
    major, minor, patch = version
    values = {"gitVersion": f"v{major}.{minor}.{patch}", "gitMajor": major, "gitMinor": minor}
    values["buildDate"] = "1970-01-01T00:00:00Z"
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return " ".join(["-s -w", *(f"-X {p}.{name}={value}" for p in packages for name, value in values.items())])


def digest(program: Ours | Foreign) -> str:
    """What the program is made from, as 16 hex digits: our sources, or name and version of foreign ones."""
    if isinstance(program, Foreign):
        change = "".join(astuple(program.change)) if program.change else ""
        return hashlib.sha256(f"{program.package}@{program.version}{program.flags}{change}".encode()).hexdigest()[:16]
    known = hashlib.sha256(f"{program.package} {_ENVIRON} {_TAGS}".encode())
    folder = HERE / program.folder
    for path in sorted(p for p in folder.rglob("*") if p.name in {"go.mod", "go.sum"} or p.suffix == ".go"):
        known.update(f"\0{path.relative_to(folder)}\0".encode() + path.read_bytes())
    return known.hexdigest()[:16]


def program(name: str) -> Path:
    """The path of a built program; builds it when the cache lacks it. Raises BuildFailed."""
    source = PROGRAMS[name]
    path = cache() / "bin" / f"{name}-{digest(source)}"
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with (path.parent / f".{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two test runs shall not compile the same thing side by side
        if not path.exists():
            started = time.monotonic()
            say(f"building {name} ...")
            _build(source, path)
            say(f"built {name} in {time.monotonic() - started:.0f} s: {path}")
    return path


def _build(source: Ours | Foreign, path: Path) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent) as made:
        environ = {**os.environ, **_ENVIRON}
        if isinstance(source, Foreign):
            _build_foreign(source, made, environ)
        else:
            folder = HERE / source.folder
            go_mod = (folder / "go.mod").read_text()
            flags = stamp(kubernetes_version(go_mod)) if source.folder == "go" else "-s -w"
            line = ["build", "-p", "2", "-mod=readonly", "-tags", _TAGS, "-ldflags", flags, "-o", f"{made}/program"]
            _go([*line, source.package], str(folder), environ)
        (built,) = Path(made).iterdir()
        shutil.move(built, path)


def _build_foreign(source: Foreign, made: str, environ: dict[str, str]) -> None:
    flags = ["-p", "2", "-ldflags", f"-s -w {source.flags}"]
    if source.change is None:
        _go(["install", *flags, f"{source.package}@{source.version}"], "/", {**environ, "GOBIN": made})
        return
    with tempfile.TemporaryDirectory() as copied:
        folder = shutil.copytree(_sources(source), f"{copied}/sources")
        changed(Path(folder, source.change.file), source.change)
        package = source.package.removeprefix(source.module)
        _go(["build", *flags, "-o", f"{made}/program", f".{package}"], folder, environ)


def changed(path: Path, change: Change) -> None:
    """Write a file with the changed line; raises BuildFailed when it is of another version."""
    text = path.read_text()
    if text.count(change.line) != 1:
        raise BuildFailed(f"{change.file} does not have the line once that is to be changed")
    path.chmod(0o644)  # Go keeps what it has brought read-only
    path.write_text(text.replace(change.line, change.instead))


def _sources(source: Foreign) -> Path:
    """The folder, read-only, into which Go has brought the module."""
    line = [go(), "mod", "download", "-json", f"{source.module}@{source.version}"]
    return Path(json.loads(subprocess.run(line, check=True, stdout=subprocess.PIPE, cwd="/").stdout)["Dir"])


def go() -> str:
    """The compiler: the one that tests/setup-cluster.sh has brought, else the machine's."""
    own = HERE.parents[2] / ".tools" / "go" / "bin" / "go"
    return str(own) if own.exists() else "go"


def _go(arguments: list[str], folder: str, environ: dict[str, str]) -> None:
    done = subprocess.run([go(), *arguments], cwd=folder, env=environ, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise BuildFailed(f"go {arguments[0]} failed:\n{done.stderr[-4000:]}")


def kwok_stages() -> Path:
    """The life of a fake node and pod, joined from the files of kwok's module: the bare program has none."""
    source = PROGRAMS["kwok"]
    path = cache() / f"kwok-stages-{digest(source)}.yaml"
    if not path.exists() and isinstance(source, Foreign):
        stages = _sources(source) / "kustomize" / "stage"
        folders = (stages / "node/fast", stages / "node/heartbeat-with-lease", stages / "pod/fast")
        files = [f for folder in folders for f in sorted(folder.glob("*.yaml")) if f.name != "kustomization.yaml"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n---\n".join(f.read_text() for f in files))
    return path


def say(text: str) -> None:
    """One line for the person who waits."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - this is a command-line tool
