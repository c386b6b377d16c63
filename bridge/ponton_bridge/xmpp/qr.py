"""The picture of a code: a small PNG. Called by the shard while somebody waits to scan; never before."""

import io
from typing import Final

SCALE: Final = 6  # pixels a module: read off the screen at the 300 px to which Gajim and Dino shrink a picture
BORDER: Final = 4  # modules of quiet zone, ISO/IEC 18004
LONGEST: Final = 1000  # characters; WhatsApp's codes have about 240


def picture(text: str) -> tuple[bytes, int]:
    """Draw a code; gives the PNG and its side in pixels. ValueError when the text is no code's."""
    if not 0 < len(text) <= LONGEST:
        raise ValueError("this is no text of a code")
    import segno  # noqa: PLC0415 - 9 MiB that only an unlinked shard needs

    code = segno.make_qr(text, error="l")
    out = io.BytesIO()
    code.save(out, kind="png", scale=SCALE, border=BORDER)
    return out.getvalue(), int(code.symbol_size(SCALE, BORDER)[0])
