"""Where the core's program is, and which driver a shard uses: decided by the environment and by what is installed.

Asked by the shard program at its start. Pure but for a look at the path.
"""

import shutil
import sys
from pathlib import Path
from typing import Final

PROGRAM: Final = "ponton-whatsapp"
CORE, NEONIZE = "core", "neonize"


def program() -> Path | None:
    """Find the core: on the path, or beside this interpreter, where a wheel puts it."""
    found = shutil.which(PROGRAM) or shutil.which(PROGRAM, path=str(Path(sys.executable).parent))
    return Path(found) if found else None


def chosen(wanted: str, found: Path | None) -> str:
    """Give the driver to use: the one that is wanted; where nothing is said the core, if it is installed.

    >>> there = Path("/usr/bin/ponton-whatsapp")
    >>> chosen("", None), chosen("", there), chosen("neonize", there)
    ('neonize', 'core', 'neonize')
    """
    return wanted or (CORE if found else NEONIZE)
