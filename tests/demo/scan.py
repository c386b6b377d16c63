"""`python -m tests.demo.scan FOLDER PICTURE`: the demo's phone scans a code, given as a file or as its link."""

import argparse
import asyncio
import os
from pathlib import Path

from tests.demo.picture import LOOPBACK, fetch, read
from tests.sandbox.client import SandboxClient

PHONE = "Alice"


async def scan(folder: Path, picture: str) -> int:
    """Scan it with the phone; gives the number of the linked device."""
    if picture.startswith(LOOPBACK):
        content = await asyncio.to_thread(fetch, picture, folder / "prosody" / "ca" / "ca.crt")
    else:
        content = await asyncio.to_thread(Path(picture).read_bytes)
    async with SandboxClient.of_config(folder / "sandbox" / "sandbox.json") as sandbox:
        return await (await sandbox.find(PHONE)).scan(read(content))


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="the demo's folder, as it prints it")
    parser.add_argument("picture", help="a file, or the link in the gateway's message")
    args = parser.parse_args()
    device = asyncio.run(scan(args.folder, args.picture))
    print(f"Scanned: this is device {device} of {PHONE}'s WhatsApp account now.")  # noqa: T201
    return os.EX_OK


if __name__ == "__main__":
    raise SystemExit(main())
