"""The dictionaries of WhatsApp's binary XML, read out of the installed neonize library.

They are never typed in nor stored in the repository: a child process maps the library, finds the tables in its
own memory and prints them; the answer is cached beside the system's temporary files under the library's hash.
Loaded once by the `server`. Run as a script, this file is that child.
"""

import ctypes
import hashlib
import json
import os
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

SINGLE = 236  # single-byte tokens; entry 0 is the empty string
DOUBLE = (4, 256)  # dictionaries of double-byte tokens, and tokens in each
FIRST_TOKEN = b"xmlstreamstart"  # entry 1 of the single-byte table, by which the table is found
MAX_TOKEN = 64  # bytes; longer strings show that a candidate is not the table
WORD = 8  # bytes of a pointer or length
EXTRACT_TIMEOUT = 60  # seconds; takes a third of a second on a quiet machine


@dataclass(frozen=True)
class Dictionaries:
    """The tables of one library version, and their inverse for writing."""

    single: tuple[str, ...]
    double: tuple[tuple[str, ...], ...]

    @cached_property
    def codes(self) -> dict[str, bytes]:
        """How each token is written: one byte, or a dictionary's byte and an index."""
        codes = {
            token: bytes((SINGLE + number, index))
            for number, table in enumerate(self.double)
            for index, token in enumerate(table)
        }
        return codes | {token: bytes((index,)) for index, token in enumerate(self.single) if index}


class ExtractionError(RuntimeError):
    """The installed library's memory does not look as expected; the sandbox must be adapted to its version."""


def load(library: Path, cache: Path | None = None) -> Dictionaries:
    """The dictionaries of a library file, from the cache folder or (0.3 s) from a child that maps it."""
    folder = cache or Path(tempfile.gettempdir()) / f"ponton-sandbox-{os.getuid()}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with library.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    cached = folder / f"tokens-{digest[:32]}.json"
    if not cached.exists():
        draft = cached.with_suffix(f".{os.getpid()}")
        draft.write_text(_extract(library), encoding="utf-8")
        draft.replace(cached)
    tables = json.loads(cached.read_text(encoding="utf-8"))
    return Dictionaries(tuple(tables["single"]), tuple(map(tuple, tables["double"])))


def _extract(library: Path) -> str:
    command = [sys.executable, "-P", __file__, str(library)]
    child = subprocess.run(command, capture_output=True, text=True, timeout=EXTRACT_TIMEOUT, check=False)
    if child.returncode:
        raise ExtractionError(child.stderr.strip().rpartition("\n")[2])
    return child.stdout


class Memory:
    """This process's mappings of one library, read through /proc."""

    def __init__(self, name: str) -> None:
        self.spans: list[tuple[int, bytes]] = []
        with Path("/proc/self/maps").open(encoding="utf-8") as maps, Path("/proc/self/mem").open("rb", 0) as mem:
            for line in maps:
                span, permissions = line.split()[:2]
                if name in line and permissions.startswith("r"):
                    low, high = (int(edge, 16) for edge in span.split("-"))
                    mem.seek(low)
                    self.spans.append((low, mem.read(high - low)))

    def read(self, address: int, size: int) -> bytes | None:
        """Bytes at an address, or None if it is outside the library."""
        for low, held in self.spans:
            if low <= address and address + size <= low + len(held):
                return held[address - low : address - low + size]
        return None

    def find(self, pattern: bytes) -> Iterator[int]:
        """Addresses, on word boundaries, where a pattern stands."""
        for low, held in self.spans:
            at = held.find(pattern)
            while at >= 0:
                if (low + at) % WORD == 0:
                    yield low + at
                at = held.find(pattern, at + 1)

    def strings(self, address: int, count: int) -> list[str] | None:
        """An array of Go strings (pointer, length), or None if one of them cannot be a token."""
        headers = self.read(address, 2 * WORD * count)
        if headers is None:
            return None
        found = []
        for pointer, length in struct.iter_unpack("<QQ", headers):
            token = b"" if length == 0 else self.read(pointer, length) if length <= MAX_TOKEN else None
            if token is None or not token.isascii():
                return None
            found.append(token.decode())
        return found


def single_table(memory: Memory) -> list[str]:
    """The array whose entry 0 is empty and whose entry 1 points to the first token."""
    for address in memory.find(bytes(2 * WORD)):
        header = memory.read(address + 2 * WORD, 2 * WORD)
        pointer, length = struct.unpack("<QQ", header) if header else (0, 0)
        if length == len(FIRST_TOKEN) and memory.read(pointer, length) == FIRST_TOKEN:
            table = memory.strings(address, SINGLE)
            if table is not None:
                return table
    raise ExtractionError("the single-byte dictionary was not found")


def double_tables(memory: Memory) -> list[list[str]]:
    """The four slices (pointer, length, capacity) in a row that lead to 256 strings each."""
    number, size = DOUBLE
    for address in memory.find(struct.pack("<QQ", size, size)):
        slices = memory.read(address - WORD, number * 3 * WORD)
        words = list(struct.iter_unpack("<QQQ", slices or b""))
        if len(words) == number and all(word[1:] == (size, size) for word in words):
            tables = [memory.strings(word[0], size) for word in words]
            if all(tables):
                return [table for table in tables if table]
    raise ExtractionError("the double-byte dictionaries were not found")


def main() -> None:
    """Map the library named on the command line, and print both tables as JSON."""
    ctypes.CDLL(sys.argv[1])
    memory = Memory(sys.argv[1])
    json.dump({"single": single_table(memory), "double": double_tables(memory)}, sys.stdout)
    sys.stdout.flush()
    os._exit(0)  # nothing of the Go runtime needs an orderly end


if __name__ == "__main__":
    main()
