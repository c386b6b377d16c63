"""Codes and screenshots as pictures: draw a code, read codes back from pixels, make a screenshot small.

Pure, except for the clock that nobody reads; called by `stand_in`, the experiment and the scenarios.
"""

import io

import segno
import zxingcpp
from PIL import Image, ImageChops

_QR = zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode)
_CURSOR = 400  # pixels: a text cursor that blinks between two looks changes fewer

LARGEST = 60_000  # bytes of one screenshot in the repository


def code_png(text: str) -> bytes:
    """A QR code as a 1-bit PNG with its quiet zone, 6 pixels a module (as the product draws it)."""
    out = io.BytesIO()
    segno.make_qr(text, error="l").save(out, kind="png", scale=6, border=4)
    return out.getvalue()


def size(png: bytes) -> tuple[int, int]:
    """Width and height in pixels."""
    with Image.open(io.BytesIO(png)) as image:
        return image.size


def read_codes(png: bytes) -> list[str]:
    """Every QR code in a picture, from top to bottom: what a phone held before it would read."""
    with Image.open(io.BytesIO(png)) as image:
        found = zxingcpp.read_barcodes(image.convert("L"), formats=_QR)
    return [code.text for code in sorted(found, key=lambda code: code.position.top_left.y)]


def alike(one: bytes, other: bytes) -> bool:
    """Whether two screenshots show the same, but for a blinking cursor."""
    with Image.open(io.BytesIO(one)) as left, Image.open(io.BytesIO(other)) as right:
        if left.size != right.size:
            return False
        difference = ImageChops.difference(left.convert("L"), right.convert("L"))
    return sum(difference.histogram()[1:]) <= _CURSOR


def small(png: bytes, box: tuple[int, int, int, int] | None = None, width: int | None = None) -> bytes:
    """Crop to `box` (left, top, right, bottom), shrink to `width`, and reduce colours until it fits LARGEST."""
    with Image.open(io.BytesIO(png)) as opened:
        image = opened.convert("RGB").crop(box) if box else opened.convert("RGB")
    if width and width < image.width:
        image = image.resize((width, round(image.height * width / image.width)), Image.Resampling.LANCZOS)
    for colours in (128, 64, 32, 16, 8):
        out = io.BytesIO()
        image.quantize(colours, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
        if out.tell() <= LARGEST:
            break
    return out.getvalue()
