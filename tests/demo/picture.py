"""Fetches the picture of a code and reads it from its pixels, as a phone's camera would.

Called by the story, by tests of the whole, and by `tests.demo.scan`.
"""

import io
import ssl
import urllib.request
from pathlib import Path

import zxingcpp
from PIL import Image

LOOPBACK = "https://localhost:"  # the upload service of a stage, and no other place
MAX_BYTES = 1_000_000  # real ones have about a thousand
MAX_PIXELS = 4_000_000  # a code's picture has 150,000
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
    found = zxingcpp.read_barcodes(picture, formats=QR_ONLY)
    if len(found) != 1:
        raise ValueError(f"there are {len(found)} codes in the picture, not one")
    return str(found[0].text)
