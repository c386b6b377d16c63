"""The messages that show a code: their shapes, and the picture read back by another library."""

import hashlib
import io
import string
import subprocess
import sys
from base64 import b64decode, b64encode
from random import Random
from xml.etree.ElementTree import Element

import pytest
import zxingcpp
from PIL import Image

from ponton_bridge.model.xml import CLIENT, HINTS, OOB, find, text_of
from ponton_bridge.xmpp import codes
from ponton_bridge.xmpp.qr import LONGEST, picture
from tests.harness.dialogue import plain, stanza

GATEWAY = "whatsapp.example.test"
ALICE = "alice@example.test/phone"
URL = "https://upload.example.test/x/code.png"
QR_ONLY = zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode)
BASE64 = string.ascii_letters + string.digits + "+/"


@pytest.mark.parametrize("seed", range(8))
def test_a_code_can_be_read_back_from_its_picture(seed: int) -> None:
    """Draws codes of WhatsApp's form so that a reader finds the same text, also at the size that clients show."""
    random = Random(seed)
    parts = ["".join(random.choices(BASE64, k=43)) + "=" for _ in range(4 + seed % 2)]
    text = "2@" + ",".join(parts)
    data, side = picture(text)
    image = Image.open(io.BytesIO(data)).convert("L")
    assert (side, side) == image.size
    for size in (side, 300):
        (found,) = zxingcpp.read_barcodes(image.resize((size, size)), formats=QR_ONLY)
        assert text == found.text


def test_a_picture_is_small() -> None:
    """Costs about a thousand bytes, one bit a pixel."""
    data, _ = picture("2@" + "A" * 235)
    assert len(data) < 2500
    assert "1" == Image.open(io.BytesIO(data)).mode


@pytest.mark.parametrize("text", ["", "x" * (LONGEST + 1)])
def test_what_is_no_code_is_not_drawn(text: str) -> None:
    """Refuses what no code of WhatsApp looks like."""
    with pytest.raises(ValueError, match="no text of a code"):
        picture(text)


def hints(message: Element) -> list[str]:
    """Give the names of a message's hints."""
    return [child.tag.partition("}")[2] for child in message if child.tag.startswith(f"{{{HINTS}}}")]


def test_an_image_message_has_the_measured_shape() -> None:
    """Carries the URL as body, OOB, SIMS and SFS, with size and digest of the picture, and the three hints."""
    data = b"PNG"
    file = (
        "<media-type>image/png</media-type><name>code.png</name><size>3</size><width>390</width><height>390</height>"
        f"<hash xmlns='urn:xmpp:hashes:2' algo='sha-256'>{b64(data)}</hash>"
    )
    expected = f"""
      <message from='{GATEWAY}' to='{ALICE}' id='p1' type='chat'>
        <body>{URL}</body><x xmlns='jabber:x:oob'><url>{URL}</url></x>
        <reference xmlns='urn:xmpp:reference:0' type='data' begin='0' end='{len(URL)}' uri='{URL}'>
          <media-sharing xmlns='urn:xmpp:sims:1'><file xmlns='urn:xmpp:jingle:apps:file-transfer:5'>{file}</file>
          <sources><reference xmlns='urn:xmpp:reference:0' type='data' uri='{URL}'/></sources></media-sharing>
        </reference>
        <file-sharing xmlns='urn:xmpp:sfs:0' disposition='inline'><file xmlns='urn:xmpp:file:metadata:0'>{file}</file>
          <sources><url-data xmlns='http://jabber.org/protocol/url-data' target='{URL}'/></sources></file-sharing>
        <fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:sfs:0'><body/></fallback>
        <no-permanent-store xmlns='urn:xmpp:hints'/><no-store xmlns='urn:xmpp:hints'/><no-copy xmlns='urn:xmpp:hints'/>
      </message>"""
    made = codes.image(GATEWAY, ALICE, "p1", codes.Picture(URL, data, 390))
    assert plain(stanza(expected)) == plain(made)


def b64(data: bytes) -> str:
    """Give the digest as XEP-0300 writes it."""
    return b64encode(hashlib.sha256(data).digest()).decode()


def test_the_body_of_an_image_is_its_oob_url() -> None:
    """Keeps body and OOB equal, without which Gajim, Conversations, Dino and Monal show a link."""
    made = codes.image(GATEWAY, ALICE, "p1", codes.Picture(URL, b"PNG", 390))
    oob = find(made, "x", OOB)
    assert oob is not None
    assert text_of(made, "body", CLIENT) == text_of(oob, "url", OOB)
    assert 32 == len(b64decode(next(made.iter("{urn:xmpp:hashes:2}hash")).text or ""))


def test_a_retraction_says_so_to_every_client() -> None:
    """Names the picture for those who know retraction and has a body for those who do not."""
    expected = f"""
      <message from='{GATEWAY}' to='{ALICE}' id='r1' type='chat'><retract xmlns='urn:xmpp:message-retract:1' id='p1'/>
        <fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:message-retract:1'/><body>The code above has expired.</body>
        <no-permanent-store xmlns='urn:xmpp:hints'/><no-store xmlns='urn:xmpp:hints'/><no-copy xmlns='urn:xmpp:hints'/>
      </message>"""
    assert plain(stanza(expected)) == plain(codes.retraction(GATEWAY, ALICE, "r1", "p1", codes.EXPIRED))


def test_everything_about_codes_stays_out_of_archives_and_carbons() -> None:
    """Puts the three hints on texts, pictures and retractions alike."""
    made = [
        codes.text(GATEWAY, ALICE, "t", codes.HOW_TO_SCAN),
        codes.image(GATEWAY, ALICE, "p", codes.Picture(URL, b"PNG", 390)),
        codes.retraction(GATEWAY, ALICE, "r", "p", codes.USED),
    ]
    assert [["no-permanent-store", "no-store", "no-copy"]] * 3 == [hints(message) for message in made]
    assert {ALICE} == {message.get("to") for message in made}


def test_the_texts_offer_both_ways() -> None:
    """Says how to scan, and how to get the eight letters, whenever no letters are there yet."""
    for sentence in (codes.HOW_TO_SCAN, codes.NO_PICTURE):
        assert "pair +44 7700 900123" in sentence
    assert "Linked devices" in codes.HOW_TO_SCAN
    assert "ABCD-1234" in codes.TYPE_IT.format(code="ABCD-1234")


def test_the_drawing_library_is_loaded_late() -> None:
    """Costs a linked shard nothing."""
    script = "import sys, ponton_bridge.xmpp.qr, ponton_bridge.xmpp.codes; print('segno' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "False" == done.stdout.strip()
