"""`ponton crds`: print the custom resource definitions, write them to a folder, or compare a folder with them.

Exit codes: 0 done (--check: the folder is up to date), 1 --check: a file is missing or differs, 64 wrong arguments,
78 a file cannot be read or written. What is wrong is said on stderr, one sentence a file.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NoReturn

from ponton_operator.resources.crd import KINDS, text

EX_OK: Final = 0
EX_STALE: Final = 1
EX_USAGE: Final = 64  # sysexits.h
EX_CONFIG: Final = 78


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(EX_USAGE, f"{self.prog}: {message}\n")


def parser() -> argparse.ArgumentParser:
    """Make the parser of the command line."""
    made = _Parser(prog="ponton crds", description="Print the custom resource definitions as YAML.")
    way = made.add_mutually_exclusive_group()
    way.add_argument("--check", type=Path, metavar="FOLDER", help="say which files there are not as they would be made")
    way.add_argument("--write", type=Path, metavar="FOLDER", help="write one file for each into this folder")
    return made


def main(arguments: Sequence[str]) -> int:
    """Run it; gives the exit code."""
    told = parser().parse_args(arguments)
    try:
        if told.check:
            stale = list(_stale(told.check))
            print("".join(f"{sentence}\n" for sentence in stale), end="", file=sys.stderr)  # noqa: T201  # for people
            return EX_STALE if stale else EX_OK
        if told.write:
            for kind in KINDS:
                (told.write / kind.file).write_text(text(kind), encoding="utf-8")
            return EX_OK
    except (OSError, UnicodeDecodeError) as error:
        where = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else "A file there is no text"
        print(f"{where}.", file=sys.stderr)  # noqa: T201  # the same
        return EX_CONFIG
    print("---\n".join(text(kind) for kind in KINDS), end="")  # noqa: T201  # this is what it is for
    return EX_OK


def _stale(folder: Path) -> Iterator[str]:
    for kind in KINDS:
        file = folder / kind.file
        if not file.exists():
            yield f"{file} is missing."
        elif file.read_text(encoding="utf-8") != text(kind):
            yield f"{file} is not what the models say; write it with ponton crds --write {folder}."
