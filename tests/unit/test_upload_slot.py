"""What a slot must look like before anything is put there, and whom the shard trusts for it."""

import ssl
from pathlib import Path
from xml.etree.ElementTree import Element

import pytest

from ponton_bridge.xmpp import upload
from ponton_bridge.xmpp.upload import LARGEST, Slot, UploadFailed, read_slot, slot_request, trust
from tests.harness.authority import Authority
from tests.harness.dialogue import plain, stanza

SERVICE, SENDER = "upload.example.test", "whatsapp.example.test"


def answer(put: str, get: str, headers: str = "") -> Element:
    """Build a slot as the service answers it."""
    slot = f"<slot xmlns='urn:xmpp:http:upload:0'><put url='{put}'>{headers}</put><get url='{get}'/></slot>"
    return stanza(f"<iq type='result' id='1'>{slot}</iq>")


def test_asks_for_a_slot() -> None:
    """Names the file, its size and its type."""
    expected = (
        f"<iq type='get' to='{SERVICE}' from='{SENDER}'><request xmlns='urn:xmpp:http:upload:0' filename='code.png'"
        " size='1017' content-type='image/png'/></iq>"
    )
    assert plain(stanza(expected)) == plain(slot_request(SERVICE, SENDER, "code.png", "image/png", 1017))


def test_reads_a_slot_with_the_headers_that_count() -> None:
    """Takes the three headers that the XEP allows, without line breaks, and no other."""
    headers = (
        "<header name='Authorization'>Basic\r\n x</header><header name='cookie'>a=b</header>"
        "<header name='X-Evil'>1</header><header name='Host'>elsewhere</header>"
    )
    expected = Slot("https://u.test/p?q=1", "https://u.test/g", (("Authorization", "Basic x"), ("cookie", "a=b")))
    assert expected == read_slot(answer("https://u.test/p?q=1", "https://u.test/g", headers))


@pytest.mark.parametrize(
    ("put", "get"),
    [
        ("http://u.test/p", "https://u.test/g"),
        ("https://u.test/p", "http://u.test/g"),
        ("https://u.test/p", ""),
        ("", "https://u.test/g"),
        ("https:///p", "https://u.test/g"),
        ("https://u.test:0/p", "https://u.test/g"),
        ("https://u.test:99999/p", "https://u.test/g"),
        ("https://[::1/p", "https://u.test/g"),
        ("https://u.test/a&#10;b", "https://u.test/g"),
        ("file:///etc/passwd", "https://u.test/g"),
    ],
)
def test_refuses_a_slot_that_is_not_https(put: str, get: str) -> None:
    """Puts nothing to an address that is not https or not an address at all."""
    with pytest.raises(UploadFailed, match="no https address"):
        read_slot(answer(put, get))


def test_refuses_an_answer_without_a_slot() -> None:
    """Takes an answer about something else as no slot."""
    with pytest.raises(UploadFailed):
        read_slot(stanza("<iq type='result' id='1'/>"))


def test_trusts_the_given_file_alone(tmp_path: Path) -> None:
    """Loads the one CA that it is told, and checks names."""
    context = trust(Authority(tmp_path).ca_file)
    assert 1 == len(context.get_ca_certs())
    assert (True, ssl.CERT_REQUIRED) == (context.check_hostname, context.verify_mode)


def test_trusts_the_systems_bundle_by_its_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Takes the first bundle that exists, whatever the environment names."""
    ca = Authority(tmp_path).ca_file
    monkeypatch.setattr(upload, "BUNDLES", ("/nonexistent/bundle", str(ca)))
    monkeypatch.setenv("SSL_CERT_FILE", "/nonexistent/other")
    assert 1 == len(trust(None).get_ca_certs())
    monkeypatch.setattr(upload, "BUNDLES", ())
    with pytest.raises(UploadFailed, match="no CA certificates"):
        trust(None)


def test_says_when_the_ca_cannot_be_read(tmp_path: Path) -> None:
    """Turns a broken CA file into a sentence for the host."""
    broken = tmp_path / "ca.crt"
    broken.write_text("nothing")
    with pytest.raises(UploadFailed, match="cannot be read"):
        trust(broken)


async def test_refuses_what_is_too_large() -> None:
    """Asks for no slot for more than a megabyte."""

    async def never(_: Element) -> Element:
        raise AssertionError

    with pytest.raises(UploadFailed, match="too large"):
        await upload.upload(never, SERVICE, SENDER, bytes(LARGEST + 1), name="x", content_type="image/png", ca=None)
