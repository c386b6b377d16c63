"""Fetches the picture of a code and reads it from its pixels, as a phone's camera would.

Called by the story, by tests of the whole, and by `tests.demo.scan`.
"""

import io
import re
import ssl
import urllib.request
from pathlib import Path

import zxingcpp
from PIL import Image, ImageDraw

LOOPBACK = "https://localhost:"  # the upload service of a stage, and no other place
MAX_BYTES = 1_000_000  # real ones have about a thousand
MAX_PIXELS = 4_000_000  # a code's picture has 150,000
MODULE = 4  # pixels of a module that we draw
MOST_MODULES = 185  # a side of the largest code, with its margin
# As a phone reads: in one picture of 750 the rows of a QR code also pass for a bar code (ITF).
QR_ONLY = zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode)


def fetch(url: str, ca_file: Path) -> bytes:
    """Fetch a picture from the stage's own upload service, trusting its own authority; ValueError for other places."""
    if not url.startswith(LOOPBACK):
        raise ValueError("this is not an address of the stage's upload service")
    trust = ssl.create_default_context(cafile=str(ca_file))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust))
    with opener.open(url, timeout=5) as answer:
        content: bytes = answer.read(MAX_BYTES)
    return content


def read(content: bytes) -> str:
    """Give the text of the one QR code in a picture; ValueError when there is none, or more than one."""
    picture = Image.open(io.BytesIO(content))
    if picture.width * picture.height > MAX_PIXELS:
        raise ValueError("the picture is too large")
    return _text(picture)


def read_drawn(svg: str) -> str:
    """Give the text of the QR code that the self-service page draws: strokes of whole modules, one row after the other.

    ValueError when there is none.
    """
    path = re.search(r'class="qrline"[^>]* d="([^"]*)"', svg)
    strokes = re.findall(r"([Mm])(-?\d+) (-?[\d.]+)|h(\d+)", path[1] if path else "")
    side = MODULE * MOST_MODULES
    picture = Image.new("L", (side, side), 255)
    draw, x, y = ImageDraw.Draw(picture), 0, 0
    for move, over, down, length in strokes:
        if move:
            x, y = (0, 0) if move == "M" else (x, y)
            x, y = x + int(over), y + int(float(down))
            continue
        start, x = x, x + int(length)
        draw.rectangle((start * MODULE, y * MODULE, x * MODULE - 1, (y + 1) * MODULE - 1), 0)
    return _text(picture)


def _text(picture: Image.Image) -> str:
    found = zxingcpp.read_barcodes(picture, formats=QR_ONLY)
    if len(found) != 1:
        raise ValueError(f"there are {len(found)} codes in the picture, not one")
    return str(found[0].text)
