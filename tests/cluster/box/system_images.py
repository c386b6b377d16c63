"""The two images that every node needs, made from static programs on the spot; called by `box.up`."""

from pathlib import Path

from tests.cluster.box import build, oci
from tests.cluster.box.layout import cache
from tests.cluster.box.node import PAUSE_IMAGE
from tests.cluster.box.objects import DNS_IMAGE


def archives() -> list[Path]:
    """OCI archives of the pause container and of the name server, kept in the cache beside their programs."""
    return [_archive("pause", PAUSE_IMAGE), _archive("coredns", DNS_IMAGE)]


def _archive(name: str, reference: str) -> Path:
    built = build.program(name)
    path = cache() / "images" / f"{built.name}.tar"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        oci.write(oci.Program(reference, name, built.read_bytes()), path)
    return path
