"""Codes drawn and read back, and screenshots made small."""

import io
import random

import pytest
from PIL import Image, ImageDraw

from tests.clients import pictures
from tests.clients.stand_in import sample_code


def png(image: Image.Image) -> bytes:
    """The image as a PNG."""
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def screen(*codes: str, scale: float = 1.0) -> bytes:
    """A screenshot with codes below each other, each drawn `scale` times its size."""
    canvas = Image.new("RGB", (900, 500 * max(1, len(codes))), (240, 240, 245))
    for place, code in enumerate(codes):
        picture = Image.open(io.BytesIO(pictures.code_png(code))).convert("RGB")
        side = round(picture.width * scale)
        canvas.paste(picture.resize((side, side), Image.Resampling.BILINEAR), (80, 20 + 500 * place))
    return png(canvas)


@pytest.mark.parametrize("scale", [1.0, 0.75])
def test_a_code_is_read_back_from_a_screen(scale: float) -> None:
    """Reads what was drawn, also at the size to which clients shrink a preview."""
    code = sample_code("one")
    assert [code] == pictures.read_codes(screen(code, scale=scale))


def test_codes_are_read_from_top_to_bottom() -> None:
    """Gives the codes in the order of the conversation, the newest last."""
    first, second = sample_code("first"), sample_code("second")
    assert [first, second] == pictures.read_codes(screen(first, second))
    assert [second, first] == pictures.read_codes(screen(second, first))


def test_a_screen_without_code_has_none() -> None:
    """Reads nothing from an empty conversation."""
    assert [] == pictures.read_codes(screen())


def test_sample_codes_are_as_long_as_real_ones() -> None:
    """Makes a picture of the size that the product sends: within a few modules of a 240-character text."""
    assert 230 <= len(sample_code("one")) <= 280
    assert sample_code("one") != sample_code("two")


def test_a_picture_is_square_and_light() -> None:
    """Takes about a kilobyte."""
    content = pictures.code_png(sample_code("one"))
    width, height = pictures.size(content)
    assert width == height
    assert len(content) < 2_000


def test_a_screenshot_fits_the_repository() -> None:
    """Takes colours away until the file is small enough, even of a picture that compresses badly."""
    noise = random.Random(7)
    image = Image.new("RGB", (300, 200))
    image.putdata([tuple(noise.randrange(256) for _ in range(3)) for _ in range(300 * 200)])
    assert len(png(image)) > pictures.LARGEST
    assert len(pictures.small(png(image))) <= pictures.LARGEST


def test_a_plain_screenshot_keeps_its_size() -> None:
    """Neither shrinks nor crops unasked."""
    assert (900, 500) == pictures.size(pictures.small(screen(sample_code("one"))))


def test_a_box_is_cut_out_and_shrunk() -> None:
    """Crops first, then keeps the proportions."""
    assert (200, 125) == pictures.size(pictures.small(screen(), box=(100, 0, 900, 500), width=200))


def test_a_screenshot_is_never_enlarged() -> None:
    """Leaves a picture that is narrower than asked as it is."""
    assert (900, 500) == pictures.size(pictures.small(screen(), width=2_000))


def test_a_cursor_is_no_change() -> None:
    """Takes two screens that differ by a blinking cursor for the same."""
    before = Image.new("RGB", (400, 300), "white")
    after = before.copy()
    ImageDraw.Draw(after).line((100, 100, 100, 120), fill="black", width=2)
    assert pictures.alike(png(before), png(after))


def test_a_line_of_text_is_a_change() -> None:
    """Sees that something was written."""
    before = Image.new("RGB", (400, 300), "white")
    after = before.copy()
    ImageDraw.Draw(after).rectangle((100, 100, 300, 112), fill="black")
    assert not pictures.alike(png(before), png(after))


def test_screens_of_two_sizes_differ() -> None:
    """Does not compare what cannot be laid over each other."""
    assert not pictures.alike(png(Image.new("RGB", (10, 10))), png(Image.new("RGB", (10, 11))))
