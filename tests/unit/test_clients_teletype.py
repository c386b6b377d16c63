"""A terminal's content as a picture."""

import io

import pytest
from PIL import Image

from tests.clients import teletype
from tests.clients.teletype import Pen


def test_plain_text_has_the_default_pen() -> None:
    """Gives each character its own cell, line by line."""
    assert [[("h", Pen()), ("i", Pen())], [], [("!", Pen())]] == teletype.cells("hi\n\n!")


@pytest.mark.parametrize(
    ("sequence", "pen"),
    [
        ("0", Pen()),
        ("", Pen()),
        ("1", Pen(bold=True)),
        ("7", Pen(reverse=True)),
        ("31", Pen(ink=1)),
        ("97", Pen(ink=15)),
        ("44", Pen(paper=4)),
        ("103", Pen(paper=11)),
        ("1;32;45", Pen(ink=2, paper=5, bold=True)),
        ("31;39", Pen()),
        ("41;49", Pen()),
        ("38;5;31;1", Pen(bold=True)),
        ("48;2;31;41;7", Pen()),
        ("4", Pen()),
    ],
)
def test_a_sequence_changes_the_pen(sequence: str, pen: Pen) -> None:
    """Knows the sixteen colours, bold and reverse, and steps over larger palettes and what it does not know."""
    assert [[("x", pen)]] == teletype.cells(f"\x1b[{sequence}mx")


def test_a_pen_lasts_over_the_end_of_a_line() -> None:
    """Goes on as it was until something changes it, as tmux writes it."""
    assert [[("a", Pen(ink=2))], [("b", Pen(ink=2)), ("c", Pen())]] == teletype.cells("\x1b[32ma\nb\x1b[0mc")


def test_reverse_swaps_ink_and_paper() -> None:
    """Draws the ink where the paper was."""
    ink, paper = Pen(ink=1, paper=4).colours()
    assert (paper, ink) == Pen(ink=1, paper=4, reverse=True).colours()


def test_bold_brightens() -> None:
    """Uses the bright half of the palette, and leaves what is there already."""
    assert Pen(ink=9).colours() == Pen(ink=1, bold=True).colours() == Pen(ink=9, bold=True).colours()


@pytest.mark.parametrize("colour", range(16))
def test_ink_is_seen_on_paper_of_the_same_colour(colour: int) -> None:
    """Never draws something that cannot be read."""
    ink, paper = Pen(ink=colour, paper=colour).colours()
    assert colour == 0 or sum(ink) - sum(paper) > 100


def test_the_picture_has_the_terminal_s_size() -> None:
    """Takes the columns that were asked for, whatever the longest line is."""
    one = Image.open(io.BytesIO(teletype.draw("x", 80)))
    two = Image.open(io.BytesIO(teletype.draw("x\n" + "y" * 40, 80)))
    assert (one.width, 2 * one.height) == (two.width, two.height)


def test_letters_leave_ink() -> None:
    """Draws characters, and nothing for blanks."""
    blank, letter = teletype.draw("     ", 5), teletype.draw("  M  ", 5)
    assert 1 == len(Image.open(io.BytesIO(blank)).getcolors() or [])
    assert 1 < len(Image.open(io.BytesIO(letter)).getcolors(1000) or [])
