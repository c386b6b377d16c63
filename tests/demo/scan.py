"""`python -m tests.demo.scan FOLDER PICTURE`: the demo's phone scans a code, given as a file or as its link."""

import argparse
import asyncio
import os
import ssl
import urllib.request
from pathlib import Path

from tests.demo.picture import read
from tests.sandbox.client import SandboxClient

PHONE = "Alice"
MAX_PICTURE = 1_000_000  # bytes; real ones have about a thousand
LOOPBACK = "https://localhost:"  # the demo's own upload service, and no other place


def content(folder: Path, picture: str) -> bytes:
    """Fetch the picture: from a file, or from the demo's upload service with the demo's authority."""
    if not picture.startswith(LOOPBACK):
        return Path(picture).read_bytes()
    trust = ssl.create_default_context(cafile=str(folder / "prosody" / "ca" / "ca.crt"))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust))
    with opener.open(picture, timeout=5) as answer:
        fetched: bytes = answer.read(MAX_PICTURE)
    return fetched


async def scan(folder: Path, picture: str) -> int:
    """Scan it with the phone; gives the number of the linked device."""
    text = read(await asyncio.to_thread(content, folder, picture))
    async with SandboxClient.of_config(folder / "sandbox" / "sandbox.json") as sandbox:
        return await (await sandbox.find(PHONE)).scan(text)


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
