"""The features' tools: cleaning of foreign text, ids, times, answers; and the lessons of the bridges before us."""

from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponton_bridge.features import pipeline, stanzas
from ponton_bridge.features.context import Context, MarkRead, Send, bare, localpart
from ponton_bridge.features.stanzas import MAX_BYTES, MAX_ID, MAX_LABEL, MAX_TEXT, clean, label, stamp, stanza_id
from ponton_bridge.model.errors import HostError, OwnerError, PontonError
from ponton_bridge.store.journal import Journal
from ponton_bridge.store.opening import open_store
from ponton_bridge.whatsapp.port import Edit, Sent, Text
from tests.unit.dialogue import ANA, DOMAIN, NOW, OWNER, Dialogue, from_ana, parse, xml

ANA_JID = "+447700900123@wa.example.test"
anything = st.text(st.characters(codec=None), max_size=300)


@given(anything)
def test_clean_text_stays_clean(text: str) -> None:
    """Cleaning twice is cleaning once, and never makes a text longer."""
    once = clean(text)
    assert once == clean(once)
    assert len(once) <= len(text)


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=300))
def test_honest_text_is_untouched(text: str) -> None:
    """What XML can carry is carried as it is: styles, emoji, every writing."""
    assert text.replace("\ufffe", "\ufffd").replace("\uffff", "\ufffd") == clean(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\tb\nc", "a\tb\nc"),
        ("a\r\nb\rc", "a\nb\nc"),
        ("\x00\x08\x0b\x1f", "\ufffd" * 4),
        ("\ud83d\ude00", "\ufffd\ufffd"),
        ("\x7f\x85", "\x7f\x85"),
        ("*b* _i_ ~s~ `c` > q", "*b* _i_ ~s~ `c` > q"),
    ],
    ids=repr,
)
def test_cleaning(text: str, expected: str) -> None:
    """Only what XML forbids is replaced, line ends become one kind."""
    assert expected == clean(text)


def test_long_text_says_that_it_was_cut() -> None:
    """At the limit nothing happens; beyond it the end is marked."""
    assert "x" * MAX_TEXT == clean("x" * MAX_TEXT)
    cut = clean("x" * (MAX_TEXT + 1))
    assert (MAX_TEXT, "x […]") == (len(cut), cut[-5:])
    assert MAX_BYTES >= len(clean("﷽" * MAX_TEXT).encode())


@given(anything)
def test_label_is_one_short_line(name: str) -> None:
    """Whatever somebody calls themselves fits into a line of ours and cannot end it."""
    made = label(name)
    assert len(made) <= MAX_LABEL
    assert made == " ".join(made.split())
    assert not set(made) & set("\n\r\u202e\u2066")


@given(anything.filter(bool))
def test_ids_are_plain_and_stable(id_: str) -> None:
    """Every WhatsApp id has one stanza id, a plain word, which is itself if it was one already."""
    made = stanza_id(id_)
    assert made == stanza_id(id_) == stanza_id(made)
    assert 0 < len(made) <= MAX_ID
    assert made.isascii()
    assert made.isprintable()


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (NOW, "2026-11-18T11:06:40Z"),
        (-5, "1970-01-01T00:00:00Z"),
        (10**18, "9999-12-31T23:59:59Z"),
    ],
)
def test_times_are_written_and_bounded(seconds: int, expected: str) -> None:
    """A time from a broken clock is moved into the years that can be written."""
    assert expected == stamp(seconds)


@pytest.mark.parametrize(
    ("cause", "condition", "kind"),
    [
        (OwnerError("Say why."), "bad-request", "modify"),
        (HostError("Say why."), "service-unavailable", "wait"),
        (PontonError("Say why."), "internal-server-error", "cancel"),
    ],
)
def test_typed_error_becomes_a_stanza_error(cause: PontonError, condition: str, kind: str) -> None:
    """Condition, type and sentence come from the error; the stanza goes back to where it came from."""
    asked = parse(f"<iq type='get' from='{OWNER}/phone' to='{ANA_JID}' id='q'/>")
    assert xml(f"""
        <iq type='error' from='{ANA_JID}' to='{OWNER}/phone' id='q'><error type='{kind}'>
          <{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>
          <text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>Say why.</text></error></iq>""") == xml(
        stanzas.problem(asked, cause)
    )


@pytest.mark.parametrize(
    ("jid", "local", "without"),
    [
        ("a@b/c", "a", "a@b"),
        ("a@b", "a", "a@b"),
        ("b", "", "b"),
        ("b/c@d", "", "b"),
        ("", "", ""),
    ],
)
def test_parts_of_a_jid(jid: str, local: str, without: str) -> None:
    """A resource may hold anything, an at sign too."""
    assert (local, without) == (localpart(jid), bare(jid))


# ---- what the bridges before us got wrong, on the way from the owner -------------------


@pytest.mark.parametrize(
    "extra",
    [
        "<reply xmlns='urn:xmpp:reply:0' to='x' id='3EB001'/>",
        "<reply xmlns='urn:xmpp:reply:0'/><fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:reply:0'/>",
        "<reference xmlns='urn:xmpp:reference:0' type='mention' uri='xmpp:x@y' begin='0' end='9'/>",
        "<x xmlns='jabber:x:conference-not'/>",
        "<replace xmlns='urn:xmpp:message-correct:0' id='m0'/>",
    ],
    ids=["reply", "reply to nothing", "mention", "unknown", "correction"],
)
@pytest.mark.parametrize(
    "body", ["geo:-33.5,-70.25", "see https://127.0.0.1/", "geo:51.5,-0.1;u=5 https://x.test @Ana"]
)
def test_places_links_and_mentions_in_any_company_are_text(body: str, extra: str) -> None:
    """Defects 4 and 6: nothing of it ends a process, and no link is fetched: the words are sent as they are."""
    bridge = Dialogue().knows(ANA)
    bridge.hears(from_ana("3EB001", Text("hi")))
    bridge.sends(f"<message from='{OWNER}' to='{ANA_JID}' id='m0'><body>x</body></message>", "3EB0AA")
    [send, _] = bridge.says(f"<message from='{OWNER}' to='{ANA_JID}' id='m1'><body>{body}</body>{extra}</message>")
    assert isinstance(send, Send)
    assert body == (send.content.body if isinstance(send.content, Text | Edit) else "")


def test_marker_after_a_burst_is_one_receipt() -> None:
    """Defect 7: 800 messages and one marker are one read receipt, and a second marker is none."""
    bridge = Dialogue().knows(ANA)
    for number in range(800):
        bridge.hears(from_ana(f"3EB{number:05}", Text("x")))
    displayed = "<displayed xmlns='urn:xmpp:chat-markers:0' id='3EB00799'/>"
    marker = f"<message from='{OWNER}' to='{ANA_JID}'>{displayed}</message>"
    [read] = bridge.says(marker)
    assert isinstance(read, MarkRead)
    assert [f"3EB{number:05}" for number in range(800)] == list(read.ids)
    assert [] == bridge.says(marker)


def test_correction_works_after_a_restart(tmp_path: Path) -> None:
    """Defect 8: the time of a sent message is in the store, so seconds later a new process still corrects it."""
    message = f"<message from='{OWNER}' to='{ANA_JID}' id='{{}}'><body>x</body>{{}}</message>"

    def context(journal: Journal, now: int) -> Context:
        return Context(OWNER, DOMAIN, now, journal, journal, lambda: "r")

    with closing(open_store(tmp_path, 1)) as journal:
        done = pipeline.sent(parse(message.format("m1", "")), Sent("3EB0AA", NOW), context(journal, NOW))
        pipeline.keep(done, journal)
    with closing(open_store(tmp_path, 2)) as journal:
        correction = parse(message.format("m2", "<replace xmlns='urn:xmpp:message-correct:0' id='m1'/>"))
        [send, _] = pipeline.from_xmpp(correction, context(journal, NOW + 12))
        assert isinstance(send, Send)
        assert Edit("3EB0AA", "x") == send.content


def test_whatever_is_asked_is_answered_at_once() -> None:
    """Defect 10: a question to any JID gets its answer from the question alone, linked or not."""
    bridge = Dialogue()
    for to in (ANA_JID, f"{ANA_JID}/whatsapp", f"nobody@{DOMAIN}", f"120363001122334455@{DOMAIN}", DOMAIN):
        for kind in ("get", "set"):
            for query in ("jabber:iq:search", "jabber:iq:gateway", "http://jabber.org/protocol/disco#info", "urn:x"):
                asked = f"<iq from='{OWNER}/p' to='{to}' type='{kind}' id='q'><query xmlns='{query}'/></iq>"
                [answer] = bridge.says(asked)
                assert parse(str(answer)).get("type") in {"result", "error"}
