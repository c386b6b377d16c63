"""Finding the dictionaries in a memory image, and their cache."""

import json
import struct
from pathlib import Path

import pytest

from tests.sandbox import tokens

BASE = 0x1000


class Image:
    """A piece of memory under construction: strings and headers at known addresses."""

    def __init__(self) -> None:
        self.data = bytearray()

    @property
    def at(self) -> int:
        """The address of what is added next."""
        return BASE + len(self.data)

    def add(self, data: bytes) -> int:
        """Append bytes; their address."""
        address = self.at
        self.data += data
        return address

    def strings(self, words: list[str]) -> int:
        """Append Go strings: bodies first, then the array of headers; the array's address."""
        headers = b""
        for word in words:
            pointer = self.add(word.encode()) if word else 0
            headers += struct.pack("<QQ", pointer, len(word))
        self.add(bytes(-len(self.data) % tokens.WORD))
        return self.add(headers)

    def memory(self) -> tokens.Memory:
        """The image as the extraction sees it."""
        memory = tokens.Memory.__new__(tokens.Memory)
        memory.spans = [(BASE, bytes(self.data))]
        return memory


SINGLES = ["", "xmlstreamstart", *(f"word{number}" for number in range(2, tokens.SINGLE))]
DOUBLES = [[f"d{table}-{number}" for number in range(256)] for table in range(4)]


@pytest.fixture
def image() -> Image:
    """Memory that holds noise and both kinds of tables."""
    image = Image()
    image.add(b"xmlstreamstart" + bytes(18))
    image.add(bytes(64))
    image.strings(SINGLES)
    image.add(struct.pack("<QQ", 256, 256) * 3)
    pointers = [image.strings(table) for table in DOUBLES]
    image.add(b"".join(struct.pack("<QQQ", pointer, 256, 256) for pointer in pointers))
    return image


def test_single_table_is_found(image: Image) -> None:
    """The table is known by an empty entry before the first token."""
    assert SINGLES == tokens.single_table(image.memory())


def test_double_tables_are_found(image: Image) -> None:
    """The tables are known by four slices in a row that all lead to strings."""
    assert DOUBLES == tokens.double_tables(image.memory())


def test_missing_tables_are_said() -> None:
    """Memory without the tables is an error that says which one is missing."""
    empty = Image()
    empty.add(bytes(4096))
    with pytest.raises(tokens.ExtractionError, match="single-byte"):
        tokens.single_table(empty.memory())
    with pytest.raises(tokens.ExtractionError, match="double-byte"):
        tokens.double_tables(empty.memory())


def test_strings_that_cannot_be_tokens(image: Image) -> None:
    """A header that is too long, leads elsewhere or to no ASCII shows that this is not the table."""
    memory = image.memory()
    assert memory.strings(BASE + len(image.data), 1) is None
    for pointer, length in ((BASE, 65), (0x10, 4)):
        address = image.add(struct.pack("<QQ", pointer, length))
        assert image.memory().strings(address, 1) is None
    odd = image.add(b"\xff\xfe\x00\x00\x00\x00\x00\x00")
    assert image.memory().strings(image.add(struct.pack("<QQ", odd, 2)), 1) is None


def test_memory_is_read_within_its_spans(image: Image) -> None:
    """What lies outside the mapped library is None, not an error."""
    memory = image.memory()
    assert b"xmlstreamstart" == memory.read(BASE, 14)
    assert memory.read(BASE - 1, 2) is None
    assert memory.read(BASE + len(image.data) - 1, 2) is None


def test_own_process_is_readable() -> None:
    """Mappings are found by name in this very process."""
    assert tokens.Memory("python").spans or tokens.Memory("libc").spans
    assert [] == tokens.Memory("no library is named like this").spans


def test_codes_invert_the_tables() -> None:
    """Each token's code leads back to it; the empty entry has none."""
    tables = tokens.Dictionaries(tuple(SINGLES), tuple(map(tuple, DOUBLES)))
    assert "" not in tables.codes
    assert b"\x01" == tables.codes["xmlstreamstart"]
    assert bytes((236 + 3, 255)) == tables.codes["d3-255"]
    assert 235 + 4 * 256 == len(tables.codes)


def test_cache_goes_by_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The dictionaries are extracted once for each content of the library file."""
    made: list[int] = []

    def extract(_library: Path) -> str:
        made.append(1)
        return json.dumps({"single": SINGLES, "double": DOUBLES})

    monkeypatch.setattr(tokens, "_extract", extract)
    library = tmp_path / "library.so"
    for content, times in ((b"one", 1), (b"one", 1), (b"two", 2)):
        library.write_bytes(content)
        assert tuple(SINGLES) == tokens.load(library, tmp_path / "cache").single
        assert times == len(made)
    assert 0o700 == (tmp_path / "cache").stat().st_mode & 0o777


def test_failed_extraction_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """When the child fails, its last line is the error and nothing is cached."""
    monkeypatch.setattr(tokens, "__file__", str(tmp_path / "absent.py"))
    (tmp_path / "library.so").write_bytes(b"x")
    with pytest.raises(tokens.ExtractionError, match="absent"):
        tokens.load(tmp_path / "library.so", tmp_path / "cache")
    assert [] == list((tmp_path / "cache").glob("*.json"))
