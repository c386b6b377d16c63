"""Routing and isolation of mod_component_shards with real clients: who gets what, and what a shard may not do."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import aiohttp
import pytest
from slixmpp import JID

from tests.harness.prosody import NAMESPACE, Prosody, running_prosody
from tests.harness.prosody_config import Options
from tests.harness.shard_stream import ShardStream
from tests.harness.xmpp import logged_in

ALICE, BOB = "alice@example.test", "bob@example.test"
GATEWAY = "whatsapp.example.test"
CONTACT = f"+4915100000001@{GATEWAY}"
ROOM = f"123456-7890@{GATEWAY}"
FORBIDDEN = "{urn:ietf:params:xml:ns:xmpp-stanzas}"
UPLOAD = "urn:xmpp:http:upload:0"


@pytest.fixture
async def prosody(tmp_path: Path) -> AsyncIterator[Prosody]:
    """A Prosody with two users."""
    async with running_prosody(tmp_path, users={"alice": "pw", "bob": "pw"}) as server:
        yield server


def privileged(inner_from: str, inner_to: str, body: str, *, to: str = "example.test", id: str = "typed") -> str:  # noqa: A002 - the attribute's name
    """A message typed on the phone, as the owner (XEP-0356)."""
    return (
        f"<message from='{GATEWAY}' to='{to}' id='{id}'><privilege xmlns='urn:xmpp:privilege:2'>"
        "<forwarded xmlns='urn:xmpp:forward:0'>"
        f"<message xmlns='jabber:client' type='chat' from='{inner_from}' to='{inner_to}' id='{id}'>"
        f"<body>{body}</body></message></forwarded></privilege></message>"
    )


def as_owner(payload: str, *, kind: str = "set", to: str = "", owner: str = ALICE, id: str = "as-owner") -> str:  # noqa: A002 - the attribute's name
    """An iq sent as the owner (XEP-0356)."""
    address = f" to='{to}'" if to else ""
    return (
        f"<iq type='{kind}' id='{id}' from='{GATEWAY}' to='{owner}'><privileged_iq xmlns='urn:xmpp:privilege:2'>"
        f"<iq xmlns='jabber:client' type='{kind}' id='inner'{address}>{payload}</iq></privileged_iq></iq>"
    )


def iq(payload: str, *, to: str, kind: str = "get", id: str = "q1", sender: str = GATEWAY) -> str:  # noqa: A002 - the attribute's name
    """An iq of a shard."""
    return f"<iq type='{kind}' id='{id}' from='{sender}' to='{to}'>{payload}</iq>"


def answer(id: str = "q1") -> Callable[[ET.Element], object]:  # noqa: A002 - the attribute's name
    """A predicate for the answer to an iq."""
    return lambda s: s.tag == "iq" and s.get("id") == id and s.get("type") in ("result", "error")


DISCO = "<query xmlns='http://jabber.org/protocol/disco#info'/>"


async def test_takes_the_same_room_of_two_owners_to_two_shards(prosody: Prosody) -> None:
    """Two people write to one room JID; each one's shard gets its own message and not the other's."""
    a = await ShardStream.open(prosody, owner=ALICE, epoch=1)
    b = await ShardStream.open(prosody, owner=BOB, epoch=1)
    async with logged_in(prosody, "alice", "pw") as alice, logged_in(prosody, "bob", "pw") as bob:
        alice.say(ROOM, "canary of alice")
        bob.say(ROOM, "canary of bob")
        alice.send_presence(pto=f"{ROOM}/me")
        await a.stanza(lambda s: s.findtext("body") == "canary of alice")
        await b.stanza(lambda s: s.findtext("body") == "canary of bob")
        await a.stanza(lambda s: s.tag == "presence" and s.get("to") == f"{ROOM}/me")
        a.say(f"{ROOM}/ana", ALICE, "to alice", seq=1)
        b.say(f"{ROOM}/ana", BOB, "to bob", seq=1)
        await alice.message(lambda m: m["body"] == "to alice")
        await bob.message(lambda m: m["body"] == "to bob")
        for stream, foreign in ((a, "bob"), (b, "alice")):
            assert all(foreign not in ET.tostring(s, encoding="unicode") for s in stream.stanzas)
        assert (["to alice"], ["to bob"]) == (alice.bodies(), bob.bodies())
    await a.close()
    await b.close()


async def test_gives_the_bare_domain_to_the_front_desk_and_its_presence_to_both(prosody: Prosody) -> None:
    """Message and iq to the bare domain reach the front desk although a shard is there; presence reaches both."""
    desk = await ShardStream.open(prosody, epoch=1)
    shard = await ShardStream.open(prosody, owner=ALICE, epoch=1)
    async with logged_in(prosody, "alice", "pw") as alice:
        alice.say(GATEWAY, "help")
        alice.send_presence(pto=GATEWAY)
        waiting = asyncio.create_task(alice.ask(DISCO, to=GATEWAY))
        await desk.stanza(lambda s: s.findtext("body") == "help")
        question = await desk.stanza(lambda s: s.tag == "iq" and s.get("type") == "get")
        desk.send(
            f"<iq type='result' id='{question.get('id')}' from='{GATEWAY}' to='{question.get('from')}'>"
            "<query xmlns='http://jabber.org/protocol/disco#info'>"
            "<identity category='gateway' type='whatsapp'/></query></iq>"
        )
        assert "gateway" in await waiting
        for stream in (desk, shard):
            await stream.stanza(lambda s: s.tag == "presence" and s.get("to") == GATEWAY)
        assert [] == shard.bodies()
        alice.say(CONTACT, "hello")
        await shard.stanza(lambda s: s.findtext("body") == "hello")
        assert ["help"] == desk.bodies()
    await desk.close()
    await shard.close()


async def test_takes_everybody_without_a_shard_to_the_front_desk(prosody: Prosody) -> None:
    """A contact JID written to by somebody who has no account is the front desk's business."""
    desk = await ShardStream.open(prosody, acks=False)
    async with logged_in(prosody, "bob", "pw") as bob:
        bob.say(CONTACT, "hello?")
        got = await desk.stanza(lambda s: s.findtext("body") == "hello?")
        assert f"{BOB}/test" == got.get("from")
        desk.send(f"<message type='chat' from='{GATEWAY}' to='{BOB}'><body>register first</body></message>")
        await bob.message(lambda m: m["body"] == "register first")
    await desk.close()


async def test_carries_subscriptions_and_probes_both_ways(prosody: Prosody) -> None:
    """A contact asks for the owner's presence, the owner answers and is asked; probes reach the shard."""
    shard = await ShardStream.open(prosody, owner=ALICE, epoch=1)
    async with logged_in(prosody, "alice", "pw") as alice:
        shard.send(f"<presence type='subscribe' from='{CONTACT}' to='{ALICE}'/>")
        await alice.presence(lambda p: p["type"] == "subscribe")
        alice.send_presence(pto=CONTACT, ptype="subscribed")
        alice.send_presence(pto=CONTACT, ptype="subscribe")
        await shard.stanza(lambda s: s.tag == "presence" and s.get("type") == "subscribed")
        await shard.stanza(lambda s: s.tag == "presence" and s.get("type") == "subscribe")
        shard.send(f"<presence type='subscribed' from='{CONTACT}' to='{ALICE}'/>")
        shard.send(f"<presence from='{CONTACT}/wa' to='{ALICE}'><show>away</show></presence>")
        seen = await alice.presence(lambda p: p["from"].bare == CONTACT and p["show"] == "away")
        assert f"{CONTACT}/wa" == str(seen["from"])
    async with logged_in(prosody, "alice", "pw", resource="again"):
        await shard.stanza(lambda s: s.tag == "presence" and s.get("type") == "probe" and s.get("to") == CONTACT)
    await shard.close()


async def test_tells_the_answers_of_one_server_to_two_shards_apart(prosody: Prosody) -> None:
    """Both shards ask the server with the same id at the same time; each gets one answer, under its own id."""
    streams = [await ShardStream.open(prosody, owner=owner, epoch=1) for owner in (ALICE, BOB)]
    for stream in streams:
        for to in ("example.test", "upload.example.test"):
            stream.send(iq(DISCO, to=to, id="same"))
    for stream in streams:
        await stream.until(lambda s=stream: sum(x.get("id") == "same" for x in s.stanzas) == 2)  # type: ignore[misc] # bound at once
        answers = [s for s in stream.stanzas if s.get("id") == "same"]
        assert {"example.test", "upload.example.test"} == {s.get("from") for s in answers}
        assert {"result"} == {s.get("type") for s in answers}
    for stream in streams:
        await stream.close()


async def test_brings_answers_to_the_bare_domain_to_the_shard_that_asked(prosody: Prosody) -> None:
    """A shard may ask from the bare domain; the owner's client answers there, and the shard gets it."""
    desk = await ShardStream.open(prosody, epoch=1)
    shard = await ShardStream.open(prosody, owner=ALICE, epoch=1)
    async with logged_in(prosody, "alice", "pw"):
        shard.send(iq("<ping xmlns='urn:xmpp:ping'/>", to=f"{ALICE}/test", id="ping-1"))
        reply = await shard.stanza(answer("ping-1"))
        assert ("result", f"{ALICE}/test", GATEWAY) == (reply.get("type"), reply.get("from"), reply.get("to"))
        assert not [s for s in desk.stanzas if s.tag == "iq"]
    await desk.close()
    await shard.close()


REFUSED = {
    "to": [
        f"<message from='{CONTACT}' to='{BOB}'><body>canary</body></message>",
        f"<message from='{CONTACT}' to='{GATEWAY}'><body>canary</body></message>",
        f"<message from='{CONTACT}' to='carol@other.test'><body>canary</body></message>",
        f"<message from='{CONTACT}' to='example.test'><body>canary</body></message>",
        f"<presence from='{CONTACT}' to='{BOB}'><status>canary</status></presence>",
        iq("<query xmlns='jabber:iq:version'/>", to=f"{BOB}/test"),
        iq("<query xmlns='jabber:iq:roster'/>", to=BOB),
        iq(DISCO, to="other.test"),
    ],
    "from": [
        f"<message from='{BOB}' to='{ALICE}'><body>canary</body></message>",
        f"<message from='x@other.test' to='{ALICE}'><body>canary</body></message>",
    ],
    "roster-item": [
        iq(f"<query xmlns='jabber:iq:roster'><item jid='{BOB}' subscription='both'/></query>", to=ALICE, kind="set"),
    ],
    "privilege-from": [privileged(BOB, CONTACT, "canary")],
    "privilege-to": [
        privileged(ALICE, BOB, "canary"),
        privileged(ALICE, GATEWAY, "canary"),
        as_owner("<pubsub xmlns='http://jabber.org/protocol/pubsub'/>", to=BOB),
    ],
    "privilege-shape": [privileged(ALICE, CONTACT, "canary", to=ALICE)],
}


async def test_refuses_by_name_what_a_shard_may_not_send(prosody: Prosody) -> None:
    """Each breach gets auth/forbidden with the rule's name, reaches nobody, and the stream stays up."""
    shard = await ShardStream.open(prosody, owner=ALICE, epoch=1)
    desk = await ShardStream.open(prosody, epoch=1)
    async with logged_in(prosody, "bob", "pw") as bob, logged_in(prosody, "alice", "pw") as alice:
        count = 0
        for rule, texts in REFUSED.items():
            for text in texts:
                count += 1
                shard.send(text.replace("<message ", f"<message n='{count}' ", 1))
                await shard.until(
                    lambda: sum(s.get("type") == "error" for s in shard.stanzas) == count,  # noqa: B023 - awaited at once
                    what=f"the refusal of {text}",
                )
                reply = [s for s in shard.stanzas if s.get("type") == "error"][-1]
                assert f"component shard rule: {rule}" == reply.findtext(f"error/{FORBIDDEN}text"), text
                assert reply.find(f"error/{FORBIDDEN}forbidden") is not None
        shard.say(CONTACT, ALICE, "the stream is up")
        await alice.message(lambda m: m["body"] == "the stream is up")
        bob.say(BOB, "the end")
        await bob.message(lambda m: m["body"] == "the end")
        heard = "".join(map(str, [*bob.messages, *bob.presences, *alice.messages, *alice.presences]))
        assert "canary" not in heard
        assert not desk.bodies()
        metrics = await prosody.metrics()
        assert count == metrics["prosody_mod_component_shards__rejected_total"]
        assert len(REFUSED["to"]) == metrics['prosody_mod_component_shards__rejected_rule_total{rule="to"}']
    assert "@" not in "".join(line for line in prosody.log_text().splitlines() if "component_shards" in line)
    await shard.close()
    await desk.close()


async def test_does_not_let_a_shard_read_what_is_not_its_owners(prosody: Prosody) -> None:
    """A shard reads its owner's roster without foreign contacts, and no other roster at all."""
    shard = await ShardStream.open(prosody, owner=ALICE, epoch=1)
    async with logged_in(prosody, "alice", "pw") as alice:
        for jid in (BOB, CONTACT):
            alice.update_roster(JID(jid), name="someone")
        await alice.until(lambda: len(alice.roster_pushes) >= 2)
        shard.send(iq("<query xmlns='jabber:iq:roster'/>", to=ALICE, id="roster"))
        reply = await shard.stanza(answer("roster"))
        items = [i.get("jid") for i in reply.iter("{jabber:iq:roster}item")]
        assert [CONTACT] == items
    await shard.close()


async def test_pushes_a_contact_with_its_group_into_the_roster(prosody: Prosody) -> None:
    """A roster set to the owner's bare JID reaches all of the owner's clients at once."""
    shard = await ShardStream.open(prosody, owner=ALICE, epoch=1)
    async with (
        logged_in(prosody, "alice", "pw", resource="one") as one,
        logged_in(prosody, "alice", "pw", resource="two") as two,
    ):
        item = f"<item jid='{CONTACT}' name='Ana' subscription='both'><group>WhatsApp</group></item>"
        shard.send(iq(f"<query xmlns='jabber:iq:roster'>{item}</query>", to=ALICE, kind="set", id="r1"))
        reply = await shard.stanza(answer("r1"))
        assert "result" == reply.get("type")
        for client in (one, two):
            await client.until(lambda c=client: any(CONTACT in str(p) for p in c.roster_pushes))  # type: ignore[misc] # bound at once
            push = next(str(p) for p in client.roster_pushes if CONTACT in str(p))
            assert "WhatsApp" in push
            assert "Ana" in push
    await shard.close()


async def test_carries_a_message_typed_on_the_phone(prosody: Prosody) -> None:
    """A privileged message gives a sent carbon to each client, an entry in the archive, and an echo to the shard."""
    shard = await ShardStream.open(prosody, owner=ALICE, epoch=1)
    async with (
        logged_in(prosody, "alice", "pw", resource="one", carbons=True) as one,
        logged_in(prosody, "alice", "pw", resource="two", carbons=True) as two,
    ):
        shard.send(privileged(ALICE, CONTACT, "typed on the phone", id="wa-1"))
        for client in (one, two):
            carbon = await client.message(lambda m: "typed on the phone" in str(m))
            assert "urn:xmpp:carbons:2" in str(carbon)
            assert "sent" in str(carbon)
        echo = await shard.stanza(lambda s: s.findtext("body") == "typed on the phone")
        assert ("wa-1", ALICE, CONTACT) == (echo.get("id"), echo.get("from"), echo.get("to"))
    async with logged_in(prosody, "alice", "pw", resource="three") as three:
        await three.ask("<query xmlns='urn:xmpp:mam:2' queryid='m'/>", kind="set")
        await three.message(lambda m: "typed on the phone" in str(m) and "urn:xmpp:mam:2" in str(m))
    await shard.close()


async def test_publishes_as_the_owner_where_it_is_granted(prosody: Prosody) -> None:
    """A bookmark is published in the owner's name; a namespace that is not granted is refused by the server."""
    shard = await ShardStream.open(prosody, owner=ALICE, epoch=1)
    bookmark = (
        "<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='urn:xmpp:bookmarks:1'>"
        f"<item id='{ROOM}'><conference xmlns='urn:xmpp:bookmarks:1' autojoin='true' name='Family'/></item>"
        "</publish></pubsub>"
    )
    shard.send(as_owner(bookmark, id="b1"))
    reply = await shard.stanza(answer("b1"))
    assert "result" == reply.get("type")
    async with logged_in(prosody, "alice", "pw") as alice:
        items = "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:xmpp:bookmarks:1'/></pubsub>"
        assert "Family" in await alice.ask(items)
    shard.send(as_owner("<vCard xmlns='vcard-temp'/>", id="v1"))
    reply = await shard.stanza(answer("v1"))
    assert "error" == reply.get("type")
    await shard.close()


def slot_request(size: int) -> str:
    """A request for an upload slot (XEP-0363)."""
    return f"<request xmlns='{UPLOAD}' filename='code.png' size='{size}' content-type='image/png'/>"


async def uploaded(prosody: Prosody, slot: ET.Element, data: bytes) -> bytes:
    """PUT `data` into a slot and GET it back."""
    put, get = slot.find(f".//{{{UPLOAD}}}put"), slot.find(f".//{{{UPLOAD}}}get")
    assert put is not None
    assert get is not None
    headers = {h.get("name", ""): h.text or "" for h in put}
    headers["Content-Type"] = "image/png"
    context = ssl.create_default_context(cafile=str(prosody.ca_file))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as http:
        async with http.put(put.get("url", ""), data=data, headers=headers) as response:
            assert 201 == response.status
        async with http.get(get.get("url", "")) as response:
            return await response.read()


async def test_uploads_with_a_quota_of_its_owners_own(tmp_path: Path) -> None:
    """A slot, a PUT and a GET work over https; one owner's quota can run out without harm to the other's."""
    quota = {"http_file_share_size_limit": 1000, "http_file_share_daily_quota": 1000}
    async with running_prosody(tmp_path, users={"alice": "pw"}, options=Options(upload=quota)) as server:
        alice = await ShardStream.open(server, owner=ALICE, epoch=1)
        bob = await ShardStream.open(server, owner=BOB, epoch=1)
        data = b"p" * 700
        for shard, number, expected in ((alice, 1, "result"), (alice, 2, "error"), (bob, 3, "result")):
            shard.send(iq(slot_request(len(data)), to=server.upload, id=f"slot-{number}"))
            slot = await shard.stanza(answer(f"slot-{number}"))
            assert (number, expected, GATEWAY) == (number, slot.get("type"), slot.get("to"))
            if expected == "result":
                assert data == await uploaded(server, slot, data)
            else:
                assert slot.find(f"error/{FORBIDDEN}resource-constraint") is not None
        await alice.close()
        await bob.close()


async def test_uploads_in_the_owners_name_when_it_is_granted(prosody: Prosody) -> None:
    """A slot request as the owner to the upload service passes the rules and brings a slot."""
    shard = await ShardStream.open(prosody, owner=ALICE, epoch=1)
    shard.send(as_owner(slot_request(4), kind="get", to=prosody.upload, id="slot"))
    reply = await shard.stanza(answer("slot"))
    assert "result" == reply.get("type")
    assert b"data" == await uploaded(prosody, reply, b"data")
    await shard.close()


async def test_drops_repeats_towards_the_user_across_epochs_and_kill_9(prosody: Prosody) -> None:
    """The same sequence number reaches the owner once, whichever shard sends it again and whatever died."""
    async with logged_in(prosody, "alice", "pw") as alice:
        first = await ShardStream.open(prosody, owner=ALICE, epoch=1)
        for number in (1, 2, 2, 1):
            first.say(CONTACT, ALICE, f"message {number}", seq=number)
        assert 4 == await first.settled()
        await alice.message(lambda m: m["body"] == "message 2")
        assert ["message 1", "message 2"] == alice.bodies()
        assert all("component-shards" not in str(m) for m in alice.messages)
        await first.abort()
    await prosody.kill()
    await prosody.start()
    async with logged_in(prosody, "alice", "pw") as alice:
        second = await ShardStream.open(prosody, owner=ALICE, epoch=2, instance="other")
        assert second.session is not None
        assert "2" == second.session.get("seq")
        for number in (1, 2, 3):
            second.say(CONTACT, ALICE, f"message {number}", seq=number)
        await alice.message(lambda m: m["body"] == "message 3")
        assert ["message 3"] == [b for b in alice.bodies() if b]
        assert NAMESPACE not in "".join(map(str, alice.messages))
        await second.close()
