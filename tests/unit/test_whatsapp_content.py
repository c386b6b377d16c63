"""Every kind of WhatsApp message becomes content with a name; the tables know every field of the installed wheel."""

from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message

from ponton_bridge.whatsapp import fields, port
from ponton_bridge.whatsapp.content import MAX_DEPTH, MAX_WORDS, READERS, content
from ponton_bridge.whatsapp.neonize_driver import protos
from ponton_bridge.whatsapp.port import Edit, Location, Other, OtherKind, Reaction, Revoke, Text


def message(data: dict[str, Any]) -> Message:
    """A waE2E.Message from protobuf JSON."""
    return ParseDict(data, protos.whatsapp())


CASES: list[tuple[dict[str, Any], port.Content | None]] = [
    ({"conversation": "hi"}, Text("hi")),
    ({"conversation": "hi", "messageContextInfo": {"messageSecret": "AA=="}}, Text("hi")),
    ({"extendedTextMessage": {"text": "see https://x.test"}}, Text("see https://x.test")),
    ({"extendedTextMessage": {"text": "yes", "contextInfo": {"stanzaID": "3EB0"}}}, Text("yes", "3EB0")),
    ({"extendedTextMessage": {"title": "T", "matchedText": "https://x.test"}}, Text("T\nhttps://x.test")),
    ({"ephemeralMessage": {"message": {"conversation": "gone soon"}}}, Text("gone soon")),
    ({"deviceSentMessage": {"message": {"conversation": "mine"}}}, Text("mine")),
    ({"commentMessage": {"message": {"conversation": "nice"}}}, Text("nice")),
    ({"buttonsResponseMessage": {"selectedDisplayText": "Yes"}}, Text("Yes")),
    ({"listResponseMessage": {"title": "Pizza", "description": "large"}}, Text("Pizza\nlarge")),
    ({"interactiveResponseMessage": {"body": {"text": "ok"}}}, Text("ok")),
    ({"reactionMessage": {"key": {"ID": "3EB0"}, "text": "👍"}}, Reaction("3EB0", "👍")),
    ({"reactionMessage": {"key": {"ID": "3EB0"}, "text": ""}}, Reaction("3EB0", "")),
    ({"protocolMessage": {"type": "REVOKE", "key": {"ID": "3EB0"}}}, Revoke("3EB0")),
    (
        {"protocolMessage": {"type": "MESSAGE_EDIT", "key": {"ID": "3EB0"}, "editedMessage": {"conversation": "b"}}},
        Edit("3EB0", "b"),
    ),
    (
        {
            "editedMessage": {
                "message": {
                    "protocolMessage": {
                        "type": "MESSAGE_EDIT",
                        "key": {"ID": "3EB0"},
                        "editedMessage": {"extendedTextMessage": {"text": "b"}},
                    }
                }
            }
        },
        Edit("3EB0", "b"),
    ),
    (
        {
            "protocolMessage": {
                "type": "MESSAGE_EDIT",
                "key": {"ID": "3EB0"},
                "editedMessage": {"imageMessage": {"caption": "c"}},
            }
        },
        Edit("3EB0", "c"),
    ),
    (
        {"protocolMessage": {"type": "EPHEMERAL_SETTING", "ephemeralExpiration": 604800}},
        Other(OtherKind.TIMER, "7 days"),
    ),
    (
        {"protocolMessage": {"type": "EPHEMERAL_SETTING", "ephemeralExpiration": 86400}},
        Other(OtherKind.TIMER, "24 hours"),
    ),
    ({"protocolMessage": {"type": "EPHEMERAL_SETTING"}}, Other(OtherKind.TIMER, "off")),
    ({"protocolMessage": {"type": "SHARE_PHONE_NUMBER"}}, Other(OtherKind.UNKNOWN)),
    ({"protocolMessage": {"key": {"ID": "3EB0"}}}, Other(OtherKind.UNKNOWN)),
    ({"protocolMessage": {"type": "APP_STATE_SYNC_KEY_SHARE"}}, None),
    ({"protocolMessage": {"type": "HISTORY_SYNC_NOTIFICATION"}}, None),
    (
        {"locationMessage": {"degreesLatitude": -1.5, "degreesLongitude": 2, "name": "A", "address": "B"}},
        Location(-1.5, 2.0, "A, B"),
    ),
    (
        {"liveLocationMessage": {"degreesLatitude": 1, "degreesLongitude": 2, "caption": "on my way"}},
        Location(1.0, 2.0, "on my way", live=True),
    ),
    ({"imageMessage": {"caption": "sea"}}, Other(OtherKind.IMAGE, "sea")),
    ({"imageMessage": {"viewOnce": True, "caption": "x"}}, Other(OtherKind.VIEW_ONCE)),
    ({"viewOnceMessageV2": {"message": {"imageMessage": {}}}}, Other(OtherKind.VIEW_ONCE)),
    ({"videoMessage": {"caption": "v", "gifPlayback": True}}, Other(OtherKind.VIDEO, "v")),
    ({"ptvMessage": {}}, Other(OtherKind.VIDEO_NOTE)),
    ({"audioMessage": {"PTT": True}}, Other(OtherKind.VOICE)),
    ({"audioMessage": {}}, Other(OtherKind.AUDIO)),
    (
        {"documentWithCaptionMessage": {"message": {"documentMessage": {"fileName": "a.pdf", "caption": "c"}}}},
        Other(OtherKind.DOCUMENT, "a.pdf\nc"),
    ),
    ({"stickerMessage": {}}, Other(OtherKind.STICKER)),
    (
        {"albumMessage": {"expectedImageCount": 3, "expectedVideoCount": 1}},
        Other(OtherKind.ALBUM, "3 photos, 1 video"),
    ),
    (
        {"contactMessage": {"displayName": "Bob", "vcard": "BEGIN:VCARD\nTEL;type=CELL;waid=1:+44 7\nEND:VCARD"}},
        Other(OtherKind.CONTACT, "Bob\n+44 7"),
    ),
    (
        {"contactsArrayMessage": {"contacts": [{"displayName": "A"}, {"displayName": "B"}]}},
        Other(OtherKind.CONTACT, "A\nB"),
    ),
    (
        {"pollCreationMessageV3": {"name": "Lunch?", "options": [{"optionName": "fish"}, {"optionName": "meat"}]}},
        Other(OtherKind.POLL, "Lunch?\nfish\nmeat"),
    ),
    ({"pollUpdateMessage": {}}, Other(OtherKind.POLL_VOTE)),
    ({"eventMessage": {"name": "Party", "location": {"name": "Park"}}}, Other(OtherKind.EVENT, "Party\nPark")),
    ({"groupInviteMessage": {"groupName": "Club"}}, Other(OtherKind.GROUP_INVITE, "Club")),
    ({"pinInChatMessage": {}}, Other(OtherKind.PIN)),
    ({"sendPaymentMessage": {"noteMessage": {"conversation": "rent"}}}, Other(OtherKind.PAYMENT, "rent")),
    (
        {
            "templateMessage": {
                "hydratedTemplate": {
                    "hydratedContentText": "Your code is 1234",
                    "hydratedButtons": [{"urlButton": {"displayText": "Open", "URL": "https://x.test"}}],
                }
            }
        },
        Other(OtherKind.BUSINESS, "Your code is 1234\nOpen\nhttps://x.test"),
    ),
    (
        {
            "interactiveMessage": {
                "body": {"text": "Hi"},
                "nativeFlowMessage": {
                    "buttons": [
                        {"name": "cta_copy", "buttonParamsJSON": '{"display_text":"Copy code","copy_code":"99"}'},
                        {"buttonParamsJSON": "not json"},
                        {"buttonParamsJSON": "[1]"},
                    ]
                },
            }
        },
        Other(OtherKind.BUSINESS, "Hi\nCopy code\n99"),
    ),
    (
        {"buttonsMessage": {"contentText": "Sure?", "buttons": [{"buttonText": {"displayText": "Yes"}}]}},
        Other(OtherKind.BUSINESS, "Sure?\nYes"),
    ),
    (
        {"listMessage": {"title": "Menu", "sections": [{"rows": [{"title": "Soup"}]}]}},
        Other(OtherKind.BUSINESS, "Menu\nSoup"),
    ),
    ({"secretEncryptedMessage": {}}, Other(OtherKind.UNKNOWN)),
    ({"encReactionMessage": {}}, Other(OtherKind.UNKNOWN)),
    ({"senderKeyDistributionMessage": {"groupID": "g"}}, None),
    ({"senderKeyDistributionMessage": {"groupID": "g"}, "conversation": "hi"}, Text("hi")),
    ({"senderKeyDistributionMessage": {"groupID": "g"}, "imageMessage": {}}, Other(OtherKind.IMAGE)),
    ({"messageContextInfo": {}}, None),
    ({}, None),
]


@pytest.mark.parametrize(
    ("data", "expected"), CASES, ids=[f"{n}-{next(iter(data), 'nothing')}" for n, (data, _) in enumerate(CASES)]
)
def test_content_of(data: dict[str, Any], expected: port.Content | None) -> None:
    """What a person sees is what becomes of it."""
    assert expected == content(protos.plain(message(data)))


def test_every_field_of_the_wheel_is_in_one_table() -> None:
    """A new version of the library shows here what WhatsApp has invented since; nothing is in two tables."""
    tables = [
        {"conversation"},
        set(READERS),
        set(fields.TEXTS),
        set(fields.KINDS),
        set(fields.VIEW_ONCE),
        set(fields.WRAPPERS),
        set(fields.SILENT),
    ]
    known = [name for table in tables for name in table]
    assert sorted(known) == sorted(protos.whatsapp().DESCRIPTOR.fields_by_name)


@pytest.mark.parametrize("name", sorted({*fields.KINDS, *fields.TEXTS, *READERS, *fields.VIEW_ONCE, *fields.WRAPPERS}))
def test_empty_message_of_every_kind_is_read(name: str) -> None:
    """Even without any of its fields a message is content, or (a wrapper around nothing) nothing; never an error."""
    empty = protos.plain(message({name: {}}))
    assert (name in fields.WRAPPERS) == (content(empty) is None)


def test_paths_of_the_tables_exist() -> None:
    """Every path to a text leads to a field of the wheel: a misspelt one would lose words without a sound."""
    for name, kind in [
        *fields.KINDS.items(),
        *((name, fields.Kind(OtherKind.UNKNOWN, p)) for name, p in fields.TEXTS.items()),
    ]:
        for path in kind.paths:
            descriptor: Any = protos.whatsapp().DESCRIPTOR.fields_by_name[name].message_type
            *way, last = path.split(".")
            for step in way:
                descriptor = descriptor.fields_by_name[step].message_type
            assert descriptor.fields_by_name[last].type == descriptor.fields_by_name[last].TYPE_STRING


def test_field_younger_than_the_wheel_is_unknown_content() -> None:
    """Something that only a newer WhatsApp can name is still told."""
    newer = protos.whatsapp()
    newer.MergeFromString(b"\xba\x3e\x03abc")  # field 999
    assert Other(OtherKind.UNKNOWN) == content(protos.plain(newer))


def test_unknown_type_is_never_taken_for_a_deletion() -> None:
    """The type of a protocol message that this wheel cannot name would default to REVOKE."""
    newer = message({"protocolMessage": {"key": {"ID": "3EB0"}}})
    inner = protos.sub(newer, "protocolMessage")
    inner.MergeFromString(b"\x10\xe7\x07")  # type = 999
    assert Other(OtherKind.UNKNOWN) == content(protos.plain(newer))


def test_wrappers_end() -> None:
    """Wrappers within wrappers are followed only so far."""
    data: dict[str, Any] = {"conversation": "deep"}
    for _ in range(MAX_DEPTH + 1):
        data = {"ephemeralMessage": {"message": data}}
    assert Other(OtherKind.UNKNOWN) == content(protos.plain(message(data)))


def test_words_are_bounded() -> None:
    """A poll with thousands of options does not become thousands of lines."""
    many = [{"optionName": str(number)} for number in range(5000)]
    other = content(protos.plain(message({"pollCreationMessage": {"name": "x", "options": many}})))
    assert isinstance(other, Other)
    assert MAX_WORDS >= other.text.count("\n")


def test_plain_form_leaves_files_out() -> None:
    """Keys, hashes and pictures inside a message never take the way through the content; enums are numbers."""
    full = message(
        {
            "imageMessage": {"mediaKey": "AA==", "JPEGThumbnail": "AAAA", "caption": "sea", "height": 7},
            "protocolMessage": {"type": "REVOKE", "key": {"ID": "3EB0", "fromMe": False}},
            "pollCreationMessage": {"options": [{"optionName": "fish"}]},
        }
    )
    assert {
        "imageMessage": {"caption": "sea", "height": 7},
        "protocolMessage": {"type": 0, "key": {"ID": "3EB0", "fromMe": False}},
        "pollCreationMessage": {"options": [{"optionName": "fish"}]},
    } == protos.plain(full)
