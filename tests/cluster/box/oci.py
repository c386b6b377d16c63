"""Write an OCI archive by hand, for images that are one static program; called by `images`.

What containerd imports and `buildah push oci-archive:` writes: `oci-layout`, `index.json` and blobs named by their hash
in one tar. Layers are plain tars, so that a layer's digest is that of its content. The same input gives the same bytes.
"""

import hashlib
import io
import json
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

_TYPES = "application/vnd.oci.image"
_EXECUTABLE = 0o755


@dataclass(frozen=True)
class Program:
    """An image with nothing but one static program at `/name`, run by root unless the pod says otherwise."""

    reference: str
    name: str
    content: bytes


def archive(program: Program) -> bytes:
    """The whole archive."""
    layer = _tar({program.name: program.content}, _EXECUTABLE)
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": [f"/{program.name}"]},
        "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
    }
    blobs = {_digest(layer): layer}
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{_TYPES}.manifest.v1+json",
        "config": _keep(blobs, f"{_TYPES}.config.v1+json", json.dumps(config).encode()),
        "layers": [_described(f"{_TYPES}.layer.v1.tar", layer)],
    }
    entry = _keep(blobs, f"{_TYPES}.manifest.v1+json", json.dumps(manifest).encode())
    _, _, tag = program.reference.rpartition(":")
    names = {"io.containerd.image.name": program.reference, "org.opencontainers.image.ref.name": tag}
    index = {"schemaVersion": 2, "manifests": [{**entry, "annotations": names}]}
    files = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": json.dumps(index).encode()}
    files |= {f"blobs/{digest.replace(':', '/')}": blob for digest, blob in blobs.items()}
    return _tar(files, 0o644)


def write(program: Program, path: Path) -> None:
    """Write the archive, whole or not at all; others may be at it as well, and write the same."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        made = Path(folder) / "image.tar"
        made.write_bytes(archive(program))
        made.replace(path)


def _digest(blob: bytes) -> str:
    return f"sha256:{hashlib.sha256(blob).hexdigest()}"


def _described(kind: str, blob: bytes) -> dict[str, object]:
    return {"mediaType": kind, "digest": _digest(blob), "size": len(blob)}


def _keep(blobs: dict[str, bytes], kind: str, blob: bytes) -> dict[str, object]:
    blobs[_digest(blob)] = blob
    return _described(kind, blob)


def _tar(files: dict[str, bytes], mode: int) -> bytes:
    """A tar with nothing of this machine or hour in it."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            tar.addfile(entry, io.BytesIO(content))
    return made.getvalue()
