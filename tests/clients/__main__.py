"""`python -m tests.clients [scenarios|experiment] [FOLDER]`: the command line of the lab."""

import argparse
import asyncio
import shutil
import sys
from pathlib import Path

from tests.clients import experiment, namespace, scenarios
from tests.clients.process import LabError

_NEEDS = {  # program: Debian package
    "Xvfb": "xvfb",
    "dbus-daemon": "dbus-daemon",
    "dino-im": "dino-im",
    "gajim": "gajim",
    "gdbus": "libglib2.0-bin",
    "import": "imagemagick",
    "openbox": "openbox",
    "profanity": "profanity",
    "prosody": "prosody",
    "setpriv": "util-linux",
    "tmux": "tmux",
    "xdotool": "xdotool",
}


_FOLDERS = {"scenarios": "docs/screenshots", "experiment": "docs/screenshots/adr-0001"}


def missing() -> list[str]:
    """The Debian packages whose programs are not there."""
    return sorted(package for program, package in _NEEDS.items() if shutil.which(program) is None)


def main() -> int:
    """Run what was asked for inside a lab; 0 when every step was seen on the screen."""
    parser = argparse.ArgumentParser(prog="python -m tests.clients")
    parser.add_argument("what", nargs="?", default="scenarios", choices=["scenarios", "experiment"])
    parser.add_argument("folder", nargs="?", type=Path, help="where the screenshots go")
    parser.add_argument("--stand-in", action="store_true", help="a gateway that only looks like one, no Ponton")
    arguments = parser.parse_args()
    if packages := missing():
        print(f"not installed: apt-get install {' '.join(packages)}", file=sys.stderr)  # noqa: T201
        return 69  # EX_UNAVAILABLE
    namespace.enter()
    folder = (arguments.folder or Path(_FOLDERS[arguments.what])).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        if arguments.what == "experiment":
            asyncio.run(experiment.run(folder))
        else:
            asyncio.run(scenarios.run(folder, product=not arguments.stand_in))
    except LabError as error:
        print(f"the lab failed: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
