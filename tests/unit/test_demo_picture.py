"""Reading codes as a phone does: from the picture that is uploaded, and from what the page draws."""

import pytest

from ponton_bridge.coordination.contract import LiveCode
from ponton_operator.selfservice.web.owner import QR, _draw
from tests.demo.picture import read_drawn


@pytest.mark.parametrize("text", ["x", "2@" + "Ab3/" * 60 + ",key,secret,1"])
def test_what_the_page_draws_can_be_read(text: str) -> None:
    """A short code, and one as long as WhatsApp's."""
    drawn = _draw(LiveCode(QR, text, 1, 6, 0.0)).decode()
    assert text == read_drawn(drawn)


def test_a_drawing_without_a_code_is_refused() -> None:
    """A white page is none."""
    with pytest.raises(ValueError, match="there are 0 codes"):
        read_drawn('<svg xmlns="http://www.w3.org/2000/svg"/>')
