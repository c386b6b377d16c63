"""Reads a code from the pixels of its picture, as a phone's camera would. Called by the story and `tests.demo.scan`."""

import io

import zxingcpp
from PIL import Image

MAX_PIXELS = 4_000_000  # a code's picture has 150,000


def read(content: bytes) -> str:
    """Give the text of the one QR code in a picture; ValueError when there is none, or more than one."""
    picture = Image.open(io.BytesIO(content))
    if picture.width * picture.height > MAX_PIXELS:
        raise ValueError("the picture is too large")
    found = zxingcpp.read_barcodes(picture)
    if len(found) != 1:
        raise ValueError(f"there are {len(found)} codes in the picture, not one")
    return str(found[0].text)
