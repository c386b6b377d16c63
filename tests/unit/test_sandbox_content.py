"""What messages hold: padding, labels on the stanza, JSON, wrappers and copies."""

import pytest

from tests.sandbox.phones import content
from tests.sandbox.phones.content import Label
from tests.sandbox.proto import wa_e2e
from tests.sandbox.signal.kdf import Random

TEXT = {"conversation": "hello"}
KEY = {"remoteJID": "9001@lid", "fromMe": True, "ID": "3A01"}


def fixed(value: int) -> Random:
    """Randomness that always gives one byte value."""
    return lambda size: bytes([value]) * size


@pytest.mark.parametrize("nibble", range(16))
def test_pads_with_one_to_fifteen_bytes(nibble: int) -> None:
    """Pads with as many bytes as the random nibble says, 15 for 0, and takes them off again."""
    message = content.text_message("hello")
    padded = content.pad(message, fixed(0xA0 | nibble))
    assert (nibble or 15) == padded[-1] == len(padded) - message.ByteSize()
    assert message == content.unpad(padded)


def test_accepts_sixteen_bytes_of_padding() -> None:
    """Reads what a writer with a whole block of padding sent."""
    message = content.text_message("hello")
    assert message == content.unpad(message.SerializeToString() + bytes([16]) * 16)


@pytest.mark.parametrize("plain", [b"", b"\x00", b"\x11" * 17, b"abc\x02\x03\x03", b"\x05", b"\xff\xff\xff\x01"])
def test_refuses_what_is_not_padded_or_no_message(plain: bytes) -> None:
    """Names broken plaintext instead of guessing."""
    with pytest.raises(ValueError, match=r"padded|no message"):
        content.unpad(plain)


@pytest.mark.parametrize(
    ("data", "label"),
    [
        (TEXT, Label("text")),
        ({"extendedTextMessage": {"text": "x"}}, Label("text")),
        ({"imageMessage": {"caption": "c"}}, Label("media", "image")),
        ({"viewOnceMessage": {"message": {"imageMessage": {}}}}, Label("media", "image")),
        ({"ephemeralMessage": {"message": TEXT}}, Label("text")),
        ({"audioMessage": {"seconds": 3}}, Label("media", "audio")),
        ({"audioMessage": {"PTT": True}}, Label("media", "ptt")),
        ({"locationMessage": {"degreesLatitude": 48.1}}, Label("media", "location")),
        ({"contactMessage": {"displayName": "Bob"}}, Label("media", "vcard")),
        ({"pollCreationMessageV3": {"name": "When?"}}, Label("poll")),
        ({"pollUpdateMessage": {}}, Label("poll")),
        ({"reactionMessage": {"key": KEY, "text": "+"}}, Label("reaction", hide_failure=True)),
        ({"reactionMessage": {"key": KEY, "text": ""}}, Label("reaction", edit="7", hide_failure=True)),
        ({"protocolMessage": {"key": KEY, "type": "REVOKE"}}, Label("text", edit="7")),
        ({"protocolMessage": {"key": KEY | {"fromMe": False}, "type": "REVOKE"}}, Label("text", edit="8")),
        (
            {"protocolMessage": {"key": KEY, "type": "MESSAGE_EDIT", "editedMessage": TEXT}},
            Label("text", edit="1", hide_failure=True),
        ),
        ({"protocolMessage": {"type": "APP_STATE_SYNC_KEY_SHARE"}}, Label("text")),
        ({"stickerMessage": {}}, Label("media", "sticker")),
        ({}, Label("text")),
    ],
)
def test_labels_a_message_as_phones_do(data: dict[str, object], label: Label) -> None:
    """Says type, media type, edit and whether a failure to decrypt is shown."""
    assert label == content.label(content.from_json(data))


@pytest.mark.parametrize(
    ("data", "kind", "text"),
    [
        (TEXT, "conversation", "hello"),
        ({"extendedTextMessage": {"text": "x"}, "messageContextInfo": {}}, "extendedTextMessage", "x"),
        ({"imageMessage": {"caption": "c"}}, "imageMessage", "c"),
        ({"viewOnceMessageV2": {"message": {"imageMessage": {"caption": "c"}}}}, "imageMessage", "c"),
        ({"locationMessage": {"name": "here"}}, "locationMessage", ""),
        ({"reactionMessage": {"text": "+"}}, "reactionMessage", "+"),
        ({"protocolMessage": {"type": "MESSAGE_EDIT", "editedMessage": TEXT}}, "protocolMessage", "hello"),
        ({}, "", ""),
    ],
)
def test_tells_what_a_reader_sees_first(data: dict[str, object], kind: str, text: str) -> None:
    """Names the content and its text or caption, through wrappers."""
    message = content.from_json(data)
    assert (kind, text) == (content.kind_of(message), content.text_of(message))


def test_json_goes_both_ways() -> None:
    """Gives back the JSON that a message was made of, bytes as base64."""
    data = {"imageMessage": {"caption": "c", "JPEGThumbnail": "/9j/", "height": 2}}
    assert data == content.to_json(content.from_json(data))


def test_json_that_is_no_message_is_named() -> None:
    """Says which field is unknown."""
    with pytest.raises(ValueError, match="bogusMessage"):
        content.from_json({"bogusMessage": {}})


def test_a_copy_names_chat_and_content() -> None:
    """Wraps an own message for the companions and finds it again."""
    message = content.text_message("hello")
    assert content.sent_copy(content.device_sent("9001@lid", message)) == ("9001@lid", message)
    assert content.sent_copy(message) is None


def test_a_key_share_holds_id_data_and_time() -> None:
    """Shares keys in the form that the client reads."""
    protocol = content.key_share([(b"\0\0abcd", b"d" * 32, 5)]).protocolMessage
    key = protocol.appStateSyncKeyShare.keys[0]
    assert wa_e2e.ProtocolMessage.APP_STATE_SYNC_KEY_SHARE == protocol.type
    assert (b"\0\0abcd", b"d" * 32, 5) == (key.keyID.keyID, key.keyData.keyData, key.keyData.timestamp)
    assert [0] == list(key.keyData.fingerprint.deviceIndexes)
