"""What must be in a shard's environment before exec: the Go library copies it at that moment and never looks again.

Parents (pod template, local runtime, tests) set WANTED; a shard can tell by `lacking` that somebody forgot.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

WANTED: Final = {
    "NEONIZE_BOT_TAG": "off",  # else iPhones show an "AI" badge on messages sent to a bare number (neonize issue 196)
    # Measured (docs/neonize-driver.md): together 2.5 MiB less per shard at rest, 4.5 after traffic.
    "GOGC": "50",
    "GOMEMLIMIT": "48MiB",  # soft: Go works harder above it, and does not fail
    "MALLOC_ARENA_MAX": "1",  # the library's C half and Python share one heap instead of one per thread
}
MUST: Final = ("NEONIZE_BOT_TAG",)


def lacking(environment: Mapping[str, str] | None = None) -> list[str]:
    """Give the names that are not set as they must be, from what this process was started with.

    >>> lacking({"NEONIZE_BOT_TAG": "off"})
    []
    """
    given = exec_environment() if environment is None else environment
    return [name for name in MUST if given.get(name) != WANTED[name]]


def exec_environment() -> dict[str, str]:
    """Read the environment of exec; changes made to os.environ later are not in it, just as for Go."""
    raw = Path("/proc/self/environ").read_bytes().split(b"\0")
    pairs = (entry.decode("utf-8", "surrogateescape").partition("=") for entry in raw if entry)
    return {name: value for name, _, value in pairs}
