"""Draw what is on a terminal as a picture; pure, called by the scenarios for profanity's screenshots.

Understands what tmux's `capture-pane -e` writes: lines of text with SGR escape sequences (ECMA-48, 8.3.117) for
the sixteen colours, bold and reverse; other colours are drawn like the default ones.
"""

import io
import re
from dataclasses import dataclass, replace
from typing import Any

from PIL import Image, ImageDraw, ImageFont

FONT = "/usr/share/fonts/truetype/dejavu/DejaVuSansMono.ttf"  # Debian package fonts-dejavu-core
_SIZE = 14  # pixels
_CELL = (8, 17)  # pixels that DejaVu Sans Mono takes at that size
_INK, _PAPER = (222, 222, 222), (24, 24, 24)
_SGR = re.compile(r"\x1b\[([0-9;]*)m")
_PALETTE = (
    *((24, 24, 24), (205, 70, 70), (90, 180, 90), (200, 170, 70)),
    *((100, 140, 220), (180, 110, 190), (80, 180, 190), (200, 200, 200)),
    *((110, 110, 110), (240, 110, 110), (130, 220, 130), (240, 215, 110)),
    *((140, 175, 255), (220, 150, 230), (120, 220, 230), (250, 250, 250)),
)

_RANGES = ((30, "ink", 0), (40, "paper", 0), (90, "ink", 8), (100, "paper", 8))


@dataclass(frozen=True)
class Pen:
    """How the next characters look; colours are indexes of the palette, None is the terminal's default."""

    ink: int | None = None
    paper: int | None = None
    bold: bool = False
    reverse: bool = False

    def after(self, codes: list[int]) -> "Pen":
        """Apply the parameters of one SGR sequence."""
        pen, rest = self, iter(codes)
        for code in rest:
            if code in {38, 48}:  # a colour of a larger palette follows: 5;n or 2;r;g;b
                for _ in range({5: 1, 2: 3}.get(next(rest, 0), 0)):
                    next(rest, None)
            else:
                pen = Pen() if code == 0 else replace(pen, **_CHANGES.get(code, {}))
        return pen

    def colours(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Ink and paper as RGB; bold brightens the ink, as terminals do, and paper is dark so that ink shows."""
        index = None if self.ink is None else self.ink + 8 * (self.bold and self.ink < 8)
        ink = _INK if index is None else _PALETTE[index]
        paper = _PAPER if self.paper is None else tuple(part // 2 for part in _PALETTE[self.paper])
        return (paper, ink) if self.reverse else (ink, paper)


_CHANGES: dict[int, dict[str, Any]] = {
    1: {"bold": True},
    7: {"reverse": True},
    39: {"ink": None},
    49: {"paper": None},
    **{first + n: {part: n + bright} for first, part, bright in _RANGES for n in range(8)},
}
"""What one SGR parameter changes in a pen."""


def cells(screen: str) -> list[list[tuple[str, Pen]]]:
    """Split a captured screen into lines of (character, pen)."""
    lines, pen = [], Pen()
    for text in screen.splitlines():
        line: list[tuple[str, Pen]] = []
        for position, part in enumerate(_SGR.split(text)):
            if position % 2:
                pen = pen.after([int(code or 0) for code in part.split(";")])
            else:
                line += [(character, pen) for character in part]
        lines.append(line)
    return lines


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The terminal's font; where it is not installed, Pillow's own, which is readable but not monospaced."""
    try:
        return ImageFont.truetype(FONT, _SIZE)
    except OSError:
        return ImageFont.load_default(_SIZE)


def draw(screen: str, columns: int) -> bytes:
    """Draw a captured screen as a PNG of `columns` cells a line."""
    lines = cells(screen)
    (across, down), font = _CELL, _font()
    image = Image.new("RGB", (columns * across, len(lines) * down), _PAPER)
    brush = ImageDraw.Draw(image)
    for row, line in enumerate(lines):
        for column, (character, pen) in enumerate(line):
            ink, paper = pen.colours()
            corner = (column * across, row * down)
            if paper != _PAPER:
                brush.rectangle((*corner, corner[0] + across - 1, corner[1] + down - 1), fill=paper)
            if character != " ":
                brush.text(corner, character, font=font, fill=ink)
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()
