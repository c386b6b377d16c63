"""Build the project's images without a registry and without a network; called by `python -m tests.cluster.box image`.

Three layers, each kept in the cache until what it is made from changes: a Debian with Python (mmdebstrap), the wheels
of uv.lock, and an image from its Containerfile (buildah, isolated by chroot, so that it needs no daemon).
"""

import fcntl
import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.box.build import BuildFailed, say
from tests.cluster.box.layout import cache

ROOT = Path(__file__).parents[3]
_SUITE = "bookworm"
_PYTHON = "python3,python3-pip,python3-venv,ca-certificates,libmagic1"
_SERVERS = "prosody,prosody-modules,redis-server,ca-certificates"


@dataclass(frozen=True)
class Recipe:
    """How one image is made: its Containerfile, what its base has beside a bare Debian, whether it takes our wheels.

    `core` is the folder of .tools with the WhatsApp core that it takes: the one that is shipped, or the sandbox's.
    """

    containerfile: str
    packages: str
    wheels: bool
    core: str = ""


IMAGES = {
    "bridge": Recipe("bridge/Containerfile", _PYTHON, wheels=True, core="core"),
    "operator": Recipe("operator/Containerfile", _PYTHON, wheels=True),
    "sandbox": Recipe("tests/sandbox/Containerfile", _PYTHON, wheels=True, core="core-sandbox"),
    "prosody": Recipe("tests/cluster/images/prosody.Containerfile", _SERVERS, wheels=False),
    "redis": Recipe("tests/cluster/images/redis.Containerfile", _SERVERS, wheels=False),
}
"""Every image by its name; it is called localhost/ponton-NAME:test."""
_SECONDS = 3600  # one step at most, on a machine that is busy with other things
# In namespaces of its own on a /tmp in memory: however it ends, no mount, process or half a system is left.
_APART = "unshare --mount --pid --fork --kill-child --mount-proc sh -c"
_IN_MEMORY = 'mount -t tmpfs tmpfs /tmp && exec mmdebstrap "$@"'


def reference(name: str, tag: str = "test") -> str:
    """What pods call the image."""
    return f"localhost/ponton-{name}:{tag}"


@functools.cache  # to see whether anything has changed our wheel is built, which takes seconds
def archive(name: str) -> Path:
    """Build one image of IMAGES if anything in it has changed; gives the OCI archive that `ctr` imports."""
    recipe = IMAGES[name]
    with _locked():
        wheels = [*_wheels().glob("*.whl"), _own_wheel()] if recipe.wheels else []
        core = _core(recipe.core)
        path = cache() / "images" / f"{name}-{_digest(name, wheels, core)}.tar"
        if path.exists():
            return path
        base = _base(recipe.packages)
        say(f"building {reference(name)} ...")
        with tempfile.TemporaryDirectory(dir=cache()) as context:
            _lay(Path(context), wheels, core)
            # The core is built already, so its stage needs no Go.
            line = [
                "bud",
                "--pull-never",
                "--timestamp",
                "0",
                "--build-arg",
                f"BASE={base}",
                "--build-arg",
                f"GO={base}",
            ]
            _buildah([*line, "-f", str(ROOT / recipe.containerfile), "-t", reference(name), context])
        _push(reference(name), path)
        return path


def base_reference() -> str:
    """What pods call the bare image with Python, for tests that need some program to run."""
    return _base_reference(_PYTHON)


def base_archive() -> Path:
    """The OCI archive of that image."""
    with _locked():
        path = cache() / "images" / f"{base_reference().rpartition(':')[2]}.tar"
        if not path.exists():
            _push(_base(_PYTHON), path)
        return path


def _push(name: str, path: Path) -> None:
    """Write an image of buildah's store as an archive, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        made = Path(folder) / "image.tar"
        # Uncompressed: the archive goes no further than this machine's node.
        _buildah(["push", "--quiet", "--disable-compression", name, f"oci-archive:{made}:{name}"])
        made.replace(path)


def _lay(context: Path, wheels: list[Path], core: Path | None) -> None:
    """Fill the build's context: the wheels, the core, and the sources of the sandbox, which is in no wheel."""
    (context / "wheels").mkdir()
    for wheel in wheels:
        os.link(wheel, context / "wheels" / wheel.name)
    if core:
        shutil.copytree(core.parent, context / "bridge" / "whatsapp-core" / core.parent.name)
    (context / "tests").mkdir()
    shutil.copy(ROOT / "tests" / "__init__.py", context / "tests")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "tests" / "sandbox", context / "tests" / "sandbox", ignore=ignored)


def _digest(name: str, wheels: list[Path], core: Path | None) -> str:
    """What the image is made from; wheels of others are known by name and folder, which the lock decides."""
    known = hashlib.sha256(_base_reference(IMAGES[name].packages).encode())
    known.update((ROOT / IMAGES[name].containerfile).read_bytes())
    for wheel in wheels:
        known.update(wheel.read_bytes() if wheel.name.startswith("ponton-") else str(wheel).encode())
    if core:
        known.update(core.read_bytes())
    if name == "sandbox":
        for path in sorted((ROOT / "tests" / "sandbox").rglob("*.py")):
            known.update(f"\0{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return known.hexdigest()[:16]


def _wheels() -> Path:
    """The folder of every locked wheel but our own; the one step that asks the package index."""
    known = hashlib.sha256((ROOT / "uv.lock").read_bytes() + _recipe().encode()).hexdigest()[:16]
    path = cache() / "wheels" / known
    if not path.exists():
        say("fetching the locked wheels ...")
        _run(["make", "-C", str(ROOT), "wheels"])
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as made:
            for wheel in (ROOT / "wheels").glob("*.whl"):
                if not wheel.name.startswith("ponton-"):
                    shutil.copy(wheel, made)
            shutil.copytree(made, path)
    return path


def _recipe() -> str:
    """The lines of the Makefile that say which wheels are wanted."""
    text = (ROOT / "Makefile").read_text()
    return text[text.find("UNUSED") :]


def _own_wheel() -> Path:
    """Our own wheel of this checkout, the same bytes for the same sources."""
    folder = cache() / "wheels" / "ponton"
    shutil.rmtree(folder, ignore_errors=True)
    uv = shutil.which("uv") or str(ROOT / ".tools" / "bin" / "uv")
    _run([uv, "build", "--quiet", "--wheel", "--out-dir", str(folder)])
    (wheel,) = folder.glob("*.whl")
    return wheel


def _core(folder: str) -> Path | None:
    """The WhatsApp core of this checkout in a folder of .tools, built when its sources have changed."""
    if not folder:
        return None
    path = ROOT / ".tools" / folder / "ponton-whatsapp"
    _run(["make", "-C", str(ROOT), "--no-print-directory", str(path)])
    return path


def _base_reference(packages: str) -> str:
    return f"localhost/base:{hashlib.sha256(f'{_SUITE} {packages}'.encode()).hexdigest()[:16]}"


def _base(packages: str) -> str:
    """The reference of a small Debian with these packages, in buildah's store; made when it is not there."""
    made = _base_reference(packages)
    if _buildah(["images", "--quiet", "--filter", f"reference={made}"]).strip():
        return made
    say(f"building a base with {packages} ...")
    with tempfile.TemporaryDirectory(dir=cache()) as folder:
        tree = Path(folder) / "base.tar"
        # As in images of Python: pip may install, as nothing else does.
        hooks = ["--customize-hook=rm -f $1/usr/lib/python3.11/EXTERNALLY-MANAGED"]
        slim = ["--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*"]
        options = ["--quiet", "--variant=minbase", f"--include={packages}", *slim, *hooks]
        with tree.open("wb") as output:
            line = [*_APART.split(), _IN_MEMORY, "mmdebstrap", *options, _SUITE, "-"]
            subprocess.run(line, cwd="/", stdout=output, check=True, timeout=_SECONDS)
        container = _buildah(["from", "scratch"]).strip()
        _buildah(["add", "--quiet", container, str(tree), "/"])
        _buildah(["commit", "--quiet", "--rm", "--timestamp", "0", container, made])
    return made


def _buildah(arguments: list[str]) -> str:
    store = cache() / "buildah"
    options = ["--root", str(store / "root"), "--runroot", str(store / "run"), "--storage-driver", "overlay"]
    return _run(["buildah", *options, *arguments], {"BUILDAH_ISOLATION": "chroot"})


def _run(line: list[str], environ: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        line,
        cwd=ROOT,
        env={**os.environ, **(environ or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=_SECONDS,
    )
    if done.returncode:
        raise BuildFailed(f"{' '.join(line)} failed:\n{(done.stdout + done.stderr)[-4000:]}")
    return done.stdout


@contextmanager
def _locked() -> Iterator[None]:
    """One build at a time, over all processes of the machine that share the cache."""
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / ".images.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
