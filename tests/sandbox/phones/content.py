"""What a message holds: WhatsApp's `Message` protobuf as bytes, as JSON and as the attributes of its stanza.

Called by `phone` (writing, reading) and by the inbox (telling tests what arrived). Pure.
"""

from collections.abc import Mapping
from typing import NamedTuple

from google.protobuf import json_format
from google.protobuf.message import DecodeError

from tests.sandbox.proto import wa_e2e
from tests.sandbox.signal.kdf import Random

MAX_PADDING = 16  # bytes; writers use 1 to 15, readers accept 16

# Wrappers that hold a whole Message in `.message`; what they hold decides how the stanza is labelled.
WRAPPERS = (
    "ephemeralMessage",
    "viewOnceMessage",
    "viewOnceMessageV2",
    "viewOnceMessageV2Extension",
    "documentWithCaptionMessage",
    "editedMessage",
)

MEDIA_TYPES = {  # field of Message -> `mediatype` of its <enc>
    "imageMessage": "image",
    "videoMessage": "video",
    "ptvMessage": "video",
    "audioMessage": "audio",
    "documentMessage": "document",
    "stickerMessage": "sticker",
    "contactMessage": "vcard",
    "contactsArrayMessage": "contact_array",
    "locationMessage": "location",
    "liveLocationMessage": "livelocation",
}

WORDED = {"extendedTextMessage", "reactionMessage", "imageMessage", "videoMessage", "documentMessage"}

EDIT, REVOKE, ADMIN_REVOKE = "1", "7", "8"  # values of the stanza attribute `edit`


class Label(NamedTuple):
    """What a sender writes on the outside of a message."""

    type: str
    media_type: str = ""
    edit: str = ""
    hide_failure: bool = False  # a receiver that cannot decrypt it says nothing to its user


def text_message(text: str) -> wa_e2e.Message:
    """A plain text."""
    return wa_e2e.Message(conversation=text)


def from_json(data: Mapping[str, object]) -> wa_e2e.Message:
    """A Message from protobuf JSON (bytes as base64); raises ValueError with the field that is wrong."""
    try:
        return json_format.ParseDict(dict(data), wa_e2e.Message())
    except json_format.ParseError as error:
        raise ValueError(f"not a WhatsApp message: {error}") from error


def to_json(message: wa_e2e.Message) -> dict[str, object]:
    """The protobuf JSON of a Message."""
    return json_format.MessageToDict(message, preserving_proto_field_name=True)


def pad(message: wa_e2e.Message, random: Random) -> bytes:
    """The plaintext that is encrypted: the protobuf and 1 to 15 bytes of padding."""
    size = random(1)[0] & 0x0F or 0x0F
    return bytes(message.SerializeToString()) + bytes([size]) * size


def unpad(plain: bytes) -> wa_e2e.Message:
    """The Message of a decrypted plaintext; raises ValueError if it is none."""
    size = plain[-1] if plain else 0
    if not 0 < size <= min(MAX_PADDING, len(plain)) or plain[-size:] != bytes([size]) * size:
        raise ValueError("the message is not padded")
    try:
        return wa_e2e.Message.FromString(plain[:-size])
    except DecodeError as error:
        raise ValueError("the plaintext is no message") from error


def unwrap(message: wa_e2e.Message) -> wa_e2e.Message:
    """The message inside wrappers such as view-once or disappearing."""
    for name in WRAPPERS:
        if message.HasField(name):
            return unwrap(getattr(message, name).message)
    return message


def kind_of(message: wa_e2e.Message) -> str:
    """The field that holds the content, such as `conversation` or `imageMessage`; empty if there is none."""
    beside = {"messageContextInfo", "senderKeyDistributionMessage"}
    return next((f.name for f, _ in unwrap(message).ListFields() if f.name not in beside), "")


def text_of(message: wa_e2e.Message) -> str:
    """The text or caption that a reader sees first; empty for content without any."""
    inner = unwrap(message)
    kind = kind_of(inner)
    if kind == "conversation":
        return str(inner.conversation)
    if kind == "protocolMessage":
        return text_of(inner.protocolMessage.editedMessage)
    field = "text" if kind in {"extendedTextMessage", "reactionMessage"} else "caption"
    return str(getattr(getattr(inner, kind), field)) if kind in WORDED else ""


def label(message: wa_e2e.Message) -> Label:
    """How the stanza that carries this message is labelled."""
    inner = unwrap(message)
    kind = kind_of(inner)
    if kind == "reactionMessage":
        removed = not inner.reactionMessage.text
        return Label("reaction", edit=REVOKE if removed else "", hide_failure=True)
    if kind.startswith(("pollCreationMessage", "pollUpdateMessage")):
        return Label("poll")
    if kind == "protocolMessage":
        return _protocol_label(inner)
    media = MEDIA_TYPES.get(kind, "")
    if kind == "audioMessage" and inner.audioMessage.PTT:
        media = "ptt"
    return Label("media", media) if media else Label("text")


def _protocol_label(message: wa_e2e.Message) -> Label:
    protocol = message.protocolMessage
    if protocol.type == wa_e2e.ProtocolMessage.MESSAGE_EDIT:
        return Label("text", edit=EDIT, hide_failure=True)
    if protocol.type == wa_e2e.ProtocolMessage.REVOKE and protocol.HasField("key"):
        return Label("text", edit=REVOKE if protocol.key.fromMe else ADMIN_REVOKE)
    return Label("text")


def device_sent(destination: str, message: wa_e2e.Message) -> wa_e2e.Message:
    """The copy of an own message for the account's other devices; `destination` is the chat's JID."""
    return wa_e2e.Message(deviceSentMessage={"destinationJID": destination, "message": message})


def sent_copy(message: wa_e2e.Message) -> tuple[str, wa_e2e.Message] | None:
    """Chat (JID text) and content of a `device_sent` copy; None for anything else."""
    if not message.HasField("deviceSentMessage"):
        return None
    return str(message.deviceSentMessage.destinationJID), message.deviceSentMessage.message


def key_share(keys: list[tuple[bytes, bytes, int]]) -> wa_e2e.Message:
    """The peer message that hands sync keys (id, data, milliseconds) to a companion."""
    return wa_e2e.Message(
        protocolMessage={
            "type": wa_e2e.ProtocolMessage.APP_STATE_SYNC_KEY_SHARE,
            "appStateSyncKeyShare": {
                "keys": [
                    {
                        "keyID": {"keyID": key_id},
                        "keyData": {
                            "keyData": data,
                            "timestamp": timestamp,
                            "fingerprint": {"rawID": 1, "currentIndex": 1, "deviceIndexes": [0]},
                        },
                    }
                    for key_id, data, timestamp in keys
                ]
            },
        }
    )
