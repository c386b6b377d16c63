"""Linking as the owner's clients see it: pictures that replace each other, letters, ends; over a scripted WhatsApp."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from xml.etree.ElementTree import Element

import pytest
from slixmpp import JID
from slixmpp.stanza import Message

from ponton_bridge.coordination.contract import Command, LiveCode, Result, Verb
from ponton_bridge.model.address import Address
from ponton_bridge.model.errors import OwnerError, WhatsAppError
from ponton_bridge.model.states import TABLE, Reason
from ponton_bridge.shard.commands import LINKED_ALREADY
from ponton_bridge.shard.config import Config
from ponton_bridge.whatsapp import port
from ponton_bridge.xmpp import codes
from tests.harness.fake_port import FakeWhatsApp
from tests.harness.prosody import Prosody, running_prosody, until
from tests.harness.prosody_config import Options
from tests.harness.shard import Running, config_for, running_shard
from tests.harness.xmpp import Client, logged_in
from tests.sandbox.passkeys import url_safe
from tests.unit.test_passkey import KEY, REQUEST, answered

NOWHERE = "redis://127.0.0.1:1/0"  # these tests do without Redis, as a shard can
OOB = "{jabber:x:oob}x"
RETRACT = "{urn:xmpp:message-retract:1}retract"
HINTS = "urn:xmpp:hints"
GATEWAY = "whatsapp.example.test"


@pytest.fixture
async def prosody(tmp_path: Path) -> AsyncIterator[Prosody]:
    """A private Prosody with alice."""
    async with running_prosody(tmp_path / "prosody", users={"alice": "pw"}) as server:
        yield server


@pytest.fixture
def config(prosody: Prosody, tmp_path: Path) -> Config:
    """The configuration of alice's shard."""
    return config_for(prosody, NOWHERE, tmp_path)


def qr(number: int, seconds: float = 20.0) -> port.Code:
    """Make the code that WhatsApp gives as the `number`th."""
    return port.Code(port.CodeKind.QR, f"2@planted-{number}", seconds, number)


def what(message: Message) -> str:
    """Say in a word what the gateway sent."""
    if message.xml.find(RETRACT) is not None:
        return "retraction"
    return "picture" if message.xml.find(OOB) is not None else message["body"]


def seen(client: Client) -> list[str]:
    """Give what the gateway itself has sent to a client, in order."""
    return [what(m) for m in client.messages if m["from"].bare == GATEWAY and m["body"]]


async def test_pictures_replace_each_other(prosody: Prosody, config: Config) -> None:
    """Says how to scan, shows a picture, retracts it before the next one, and the last one once it was used."""
    whatsapp = FakeWhatsApp()
    async with logged_in(prosody, "alice", "pw") as alice, running_shard(config, whatsapp):
        await alice.until(lambda: seen(alice) == [codes.HOW_TO_SCAN, "picture"])
        whatsapp.say(qr(2))
        await alice.until(lambda: seen(alice) == [codes.HOW_TO_SCAN, "picture", "retraction", "picture"])
        whatsapp.scan()
        linked = TABLE[Reason.CONNECTED].sentence
        shown = [codes.HOW_TO_SCAN, "picture", "retraction", "picture", "retraction", linked]
        await alice.until(lambda: seen(alice) == shown)
        pictures = [m["id"] for m in alice.messages if what(m) == "picture"]
        retractions = [m for m in alice.messages if what(m) == "retraction"]
        assert pictures == [found.get("id") for m in retractions for found in m.xml.iter(RETRACT)]
        assert [codes.EXPIRED, codes.USED] == [m["body"] for m in retractions]


async def test_codes_are_not_stored_and_not_copied(prosody: Prosody, config: Config) -> None:
    """Sends each client its own message, once, and leaves nothing of it in the archive."""
    whatsapp = FakeWhatsApp()
    async with (
        logged_in(prosody, "alice", "pw", resource="phone", carbons=True) as phone,
        logged_in(prosody, "alice", "pw", resource="desk", carbons=True) as desk,
        running_shard(config, whatsapp),
    ):
        for client in (phone, desk):
            await client.until(lambda client=client: seen(client) == [codes.HOW_TO_SCAN, "picture"])  # type: ignore[misc]
            assert {client.boundjid.full} == {m["to"].full for m in client.messages if m["from"].bare == GATEWAY}
        whatsapp.scan()
        await desk.message(lambda m: m["body"] == TABLE[Reason.CONNECTED].sentence)
        query = phone.make_iq_set(Element("{urn:xmpp:mam:2}query", {"queryid": "all"}))
        await query.send(timeout=10)  # type: ignore[no-untyped-call]  # slixmpp's
        archived = [str(m) for m in phone.messages if m.xml.find("{urn:xmpp:mam:2}result") is not None]
        assert [] == [m for m in archived if "file_share" in m or "eight letters" in m]
        assert 1 == sum(TABLE[Reason.CONNECTED].sentence in m for m in archived)


async def test_a_client_that_comes_later_gets_the_live_code(prosody: Prosody, config: Config) -> None:
    """Begins with the first client, and shows a newcomer the code that can be used now."""
    whatsapp = FakeWhatsApp()
    async with running_shard(config, whatsapp) as shard:
        await until(lambda: shard.shard.linking.machine.reason is Reason.WAITING_FOR_OWNER)
        assert 0 == whatsapp.drivers
        async with logged_in(prosody, "alice", "pw", resource="one") as one:
            await one.until(lambda: seen(one) == [codes.HOW_TO_SCAN, "picture"])
            async with logged_in(prosody, "alice", "pw", resource="two") as two:
                await two.until(lambda: seen(two) == [codes.HOW_TO_SCAN, "picture"])
        assert 1 == len({m["body"] for client in (one, two) for m in client.messages if what(m) == "picture"})


async def test_a_client_that_takes_no_messages_gets_no_code(prosody: Prosody, config: Config) -> None:
    """Does not ask WhatsApp for codes while the only client has a negative priority."""
    whatsapp = FakeWhatsApp()
    async with (
        logged_in(prosody, "alice", "pw", presence=False) as alice,
        running_shard(config, whatsapp) as shard,
    ):
        alice.send_presence(ppriority=-1)
        await until(lambda: shard.account.live.clients != {})
        assert Reason.WAITING_FOR_OWNER is shard.shard.linking.machine.reason
        alice.send_presence(ppriority=1)
        await alice.until(lambda: "picture" in seen(alice))


async def test_without_an_upload_service_the_letters_are_offered(prosody: Prosody, config: Config) -> None:
    """Says how to link without a picture when there is no way to send one, and once only."""
    whatsapp = FakeWhatsApp()
    async with (
        logged_in(prosody, "alice", "pw") as alice,
        running_shard(replace(config, upload_host=None), whatsapp) as shard,
    ):
        await alice.until(lambda: seen(alice) == [codes.NO_PICTURE])
        whatsapp.say(qr(2))
        await until(lambda: len(shard.events("code_not_shown")) == 2)
        assert [codes.NO_PICTURE] == seen(alice)


async def test_an_upload_that_fails_is_tried_with_the_next_code(
    prosody: Prosody, config: Config, tmp_path: Path
) -> None:
    """Offers the letters when the picture cannot be uploaded, and logs why in words."""
    whatsapp = FakeWhatsApp()
    stranger = tmp_path / "stranger.crt"
    stranger.write_text("nothing")
    async with (
        logged_in(prosody, "alice", "pw") as alice,
        running_shard(replace(config, upload_ca=stranger), whatsapp) as shard,
    ):
        await alice.until(lambda: seen(alice) == [codes.NO_PICTURE])
        (line,) = shard.events("code_not_shown")
        assert ("UploadFailed", True) == (line["error"], "cannot be read" in line["why"])


async def ask(shard: Running, verb: str, argument: str = "") -> Result:
    """Ask as a door does."""
    return await shard.shard.commands.handle(Command("c1", verb, 0.0, argument))


async def test_letters_are_given_to_the_door_and_the_owner(prosody: Prosody, config: Config) -> None:
    """Answers a door with the eight letters, tells the owner's clients, and takes them back once they were used."""
    whatsapp = FakeWhatsApp()
    async with logged_in(prosody, "alice", "pw") as alice, running_shard(config, whatsapp) as shard:
        await alice.until(lambda: "picture" in seen(alice))
        result = await ask(shard, Verb.PAIR_PHONE, "4915100000001")
        assert (1, "ABCD-EFGH") == (result.ok, result.value)
        await alice.until(lambda: codes.TYPE_IT.format(code="ABCD-EFGH") in seen(alice))
        whatsapp.scan()
        await alice.message(lambda m: m["body"] == TABLE[Reason.CONNECTED].sentence)
        retractions = [m["body"] for m in alice.messages if what(m) == "retraction"]
        assert [codes.USED, ""] == retractions  # said once, though two codes were shown
        with pytest.raises(OwnerError, match=LINKED_ALREADY):
            await ask(shard, Verb.PAIR_PHONE, "4915100000001")


async def test_letters_that_whatsapp_refuses_are_told(prosody: Prosody, config: Config) -> None:
    """Raises WhatsApp's reason for whoever asked, and goes on showing pictures."""
    whatsapp = FakeWhatsApp()
    whatsapp.answers["pair_by_number"].append(port.NotOnWhatsApp("Nobody has this number."))
    async with logged_in(prosody, "alice", "pw") as alice, running_shard(config, whatsapp) as shard:
        await alice.until(lambda: "picture" in seen(alice))
        with pytest.raises(port.NotOnWhatsApp, match="Nobody has"):
            await ask(shard, Verb.PAIR_PHONE, "4915100000001")
        whatsapp.say(qr(2))
        await alice.until(lambda: seen(alice).count("picture") == 2)


async def test_an_attempt_ends_and_begins_anew(prosody: Prosody, config: Config) -> None:
    """Retracts the last picture, says that the attempt has ended, and shows a new one when it is asked for."""
    whatsapp = FakeWhatsApp()
    async with logged_in(prosody, "alice", "pw") as alice, running_shard(config, whatsapp) as shard:
        await alice.until(lambda: "picture" in seen(alice))
        whatsapp.say(port.PairingFailed(Reason.CODES_USED_UP))
        used_up = TABLE[Reason.CODES_USED_UP].sentence
        await alice.until(lambda: {"retraction", used_up} <= set(seen(alice)))
        assert None is whatsapp.live
        assert 1 == (await ask(shard, Verb.NEW_CODE)).ok
        await alice.until(lambda: seen(alice)[-2:] == [codes.HOW_TO_SCAN, "picture"])


async def test_a_restarted_container_does_not_begin_again(prosody: Prosody, config: Config) -> None:
    """Begins no new attempt in the same epoch after the last one has ended; in the next epoch it does."""
    whatsapp = FakeWhatsApp()
    async with logged_in(prosody, "alice", "pw") as alice:
        async with running_shard(config, whatsapp):
            await alice.until(lambda: "picture" in seen(alice))
            whatsapp.say(port.PairingFailed(Reason.CODES_USED_UP))
            await alice.until(lambda: TABLE[Reason.CODES_USED_UP].sentence in seen(alice))
        drivers = whatsapp.drivers
        async with running_shard(config, whatsapp) as shard:
            await until(lambda: shard.shard.linking.machine.reason is Reason.CODES_USED_UP)
            assert drivers == whatsapp.drivers
        config = replace(config, epoch=2, secret=prosody.shard_secret(config.owner, 2))
        async with running_shard(config, whatsapp):
            await alice.until(lambda: seen(alice).count("picture") == 2)
        assert 1 == seen(alice).count(TABLE[Reason.CODES_USED_UP].sentence)


async def test_the_owner_unlinks(prosody: Prosody, config: Config) -> None:
    """Removes the device at WhatsApp, its keys, and says so; once more does no harm."""
    whatsapp = FakeWhatsApp(linked=True)
    async with logged_in(prosody, "alice", "pw") as alice, running_shard(config, whatsapp) as shard:
        await until(lambda: shard.shard.linking.machine.reason is Reason.CONNECTED)
        assert (config.store / "whatsapp.db").exists()
        for _ in range(2):
            assert 1 == (await ask(shard, Verb.UNLINK)).ok
        assert [()] == whatsapp.called("logout")
        assert not (config.store / "whatsapp.db").exists()
        await alice.until(lambda: seen(alice).count(TABLE[Reason.UNLINKED].sentence) == 1)
        result = await ask(shard, Verb.STATUS)
        assert ("Unlinked", TABLE[Reason.UNLINKED].sentence) == (result.value, result.sentence)


async def test_a_link_that_the_phone_ends_is_told(prosody: Prosody, config: Config) -> None:
    """Forgets the keys, tells the owner once, and links again when asked."""
    whatsapp = FakeWhatsApp(linked=True)
    async with logged_in(prosody, "alice", "pw") as alice, running_shard(config, whatsapp) as shard:
        await until(lambda: shard.shard.linking.machine.reason is Reason.CONNECTED)
        whatsapp.linked = False
        whatsapp.lose(Reason.LOGGED_OUT)
        await alice.until(lambda: seen(alice).count(TABLE[Reason.LOGGED_OUT].sentence) == 1)
        assert not shard.shard.linking.linked
        await ask(shard, Verb.NEW_CODE)
        await alice.until(lambda: "picture" in seen(alice))
        whatsapp.scan()
        await until(lambda: shard.shard.linking.machine.reason is Reason.CONNECTED)


@pytest.mark.parametrize(
    ("verb", "argument"), [("dance", ""), (Verb.PAIR_PHONE, "not a number"), (Verb.PASSKEY, "x" * 20_000)]
)
async def test_nonsense_of_a_door_is_refused(prosody: Prosody, config: Config, verb: str, argument: str) -> None:
    """Raises a sentence for what it does not understand."""
    whatsapp = FakeWhatsApp()
    async with running_shard(config, whatsapp) as shard:
        with pytest.raises(OwnerError):
            await ask(shard, verb, argument)


async def wants_passkey(alice: Client, whatsapp: FakeWhatsApp) -> None:
    """Let WhatsApp ask for a passkey, and the owner hear of it."""
    await alice.until(lambda: "picture" in seen(alice))
    whatsapp.say(port.Code(port.CodeKind.PASSKEY, REQUEST, 600.0))
    await alice.message(lambda m: m["body"] == codes.PASSKEY.format(minutes=10))


async def test_a_passkeys_answer_reaches_the_driver(prosody: Prosody, config: Config) -> None:
    """Tells the owner how to go on, shows no request, hands the answer on, and says when it was taken."""
    whatsapp = FakeWhatsApp()
    async with logged_in(prosody, "alice", "pw") as alice, running_shard(config, whatsapp) as shard:
        await wants_passkey(alice, whatsapp)
        asked = LiveCode.from_json((await ask(shard, Verb.ASKED)).value)
        assert ("passkey", REQUEST, True) == (asked.kind, asked.text, 500 < asked.expires <= 600)
        assert 1 == (await ask(shard, Verb.PASSKEY, answered())).ok
        ((given,),) = whatsapp.called("passkey_answer")
        assert url_safe(KEY.id) == json.loads(given)["id"]
        await until(lambda: shard.shard.linking.machine.reason is Reason.PASSKEY_ANSWERED)
        await alice.until(lambda: codes.ANSWERED in [m["body"] for m in alice.messages if what(m) == "retraction"])
        whatsapp.scan()
        await alice.message(lambda m: m["body"] == TABLE[Reason.CONNECTED].sentence)
        assert json.loads(REQUEST)["challenge"] not in "".join(seen(alice))


async def test_a_passkeys_answer_that_cannot_be_used(prosody: Prosody, config: Config) -> None:
    """Whoever gave it is told why: before WhatsApp is asked, or what WhatsApp says; then another one is taken."""
    whatsapp = FakeWhatsApp()
    whatsapp.answers["passkey_answer"].append(WhatsAppError("Not that one."))
    async with logged_in(prosody, "alice", "pw") as alice, running_shard(config, whatsapp) as shard:
        await alice.until(lambda: "picture" in seen(alice))
        assert "" == (await ask(shard, Verb.ASKED)).value
        with pytest.raises(OwnerError, match="does not wait for this"):
            await ask(shard, Verb.PASSKEY, answered())
        await wants_passkey(alice, whatsapp)
        for answer in ("{}", answered(origin="https://example.org"), answered(challenge="AAAA")):
            with pytest.raises(OwnerError):
                await ask(shard, Verb.PASSKEY, answer)
        assert [] == whatsapp.called("passkey_answer")
        with pytest.raises(WhatsAppError, match="Not that one"):
            await ask(shard, Verb.PASSKEY, answered())
        assert 1 == (await ask(shard, Verb.PASSKEY, answered())).ok
        assert 2 == len(whatsapp.called("passkey_answer"))
        with pytest.raises(OwnerError, match="does not wait for this"):
            await ask(shard, Verb.PASSKEY, answered())


@pytest.mark.parametrize(
    ("word", "called", "reason"), [("yes", 1, Reason.PASSKEY_ANSWERED), ("no", 0, Reason.CODES_DIFFER)]
)
async def test_codes_to_compare(prosody: Prosody, config: Config, word: str, called: int, reason: Reason) -> None:
    """The code is told and taken back; the owner's word is WhatsApp's to hear only when it is yes."""
    whatsapp = FakeWhatsApp()
    async with logged_in(prosody, "alice", "pw") as alice, running_shard(config, whatsapp) as shard:
        await wants_passkey(alice, whatsapp)
        await ask(shard, Verb.PASSKEY, answered())
        whatsapp.say(port.Code(port.CodeKind.COMPARE, "ABCD-EFGH", 0.0))
        await alice.message(lambda m: m["body"] == codes.COMPARE.format(code="ABCD-EFGH", minutes=5))
        with pytest.raises(OwnerError):
            await ask(shard, Verb.COMPARED, "perhaps")
        assert 1 == (await ask(shard, Verb.COMPARED, word)).ok
        assert called == len(whatsapp.called("passkey_confirm"))
        await until(lambda: shard.shard.linking.machine.reason is reason)
        ended = codes.COMPARED if word == "yes" else codes.NOT_ANSWERED
        await alice.until(lambda: ended in [m["body"] for m in alice.messages if what(m) == "retraction"])


async def test_a_passkey_is_nothing_to_who_is_linked(prosody: Prosody, config: Config) -> None:
    """A late answer, or a late word, is refused as a new code would be."""
    whatsapp = FakeWhatsApp(linked=True)
    async with running_shard(config, whatsapp) as shard:
        await until(lambda: shard.shard.linking.machine.reason is Reason.CONNECTED)
        for verb, argument in ((Verb.PASSKEY, answered()), (Verb.COMPARED, "no")):
            with pytest.raises(OwnerError, match=LINKED_ALREADY):
                await ask(shard, verb, argument)
        assert Reason.CONNECTED is shard.shard.linking.machine.reason


async def test_the_gateway_is_in_the_roster_and_shows_the_state(prosody: Prosody, config: Config) -> None:
    """Puts the gateway into the owner's roster before the first picture, and shows each state as its presence."""
    whatsapp = FakeWhatsApp()
    async with logged_in(prosody, "alice", "pw") as alice, running_shard(config, whatsapp):
        await alice.until(lambda: "picture" in seen(alice))
        (push,) = [p for p in alice.roster_pushes if JID(GATEWAY) in p["roster"]["items"]]
        entry = push["roster"]["items"][JID(GATEWAY)]
        assert ("WhatsApp", "both") == (entry["name"], entry["subscription"])
        waiting = TABLE[Reason.WAITING_FOR_SCAN].sentence
        await alice.presence(lambda p: p["from"].full == f"{GATEWAY}/gateway" and p["status"] == waiting)
        whatsapp.scan()
        await alice.presence(lambda p: p["status"] == TABLE[Reason.CONNECTED].sentence and p["show"] == "")


async def test_a_client_that_has_gone_gets_nothing(prosody: Prosody, config: Config) -> None:
    """Sends nothing to a client that left, which the server would give to another one or keep; it is told on return."""
    whatsapp = FakeWhatsApp()
    async with logged_in(prosody, "alice", "pw", resource="one") as one, running_shard(config, whatsapp) as shard:
        async with logged_in(prosody, "alice", "pw", resource="two") as two:
            await two.until(lambda: "picture" in seen(two))
        await until(lambda: len(shard.account.live.clients) == 1)
        whatsapp.say(qr(2))
        await one.until(lambda: seen(one) == [codes.HOW_TO_SCAN, "picture", "retraction", "picture"])
        async with logged_in(prosody, "alice", "pw", resource="two") as two:
            await two.until(lambda: seen(two) == ["retraction", "picture"])
            assert [] == [m for m in two.messages if m.xml.find("{urn:xmpp:delay}delay") is not None]
        assert 1 == seen(one).count("retraction")


async def test_an_ending_shard_takes_its_code_back(prosody: Prosody, config: Config) -> None:
    """Retracts the picture when the process is told to end: it could link nobody any more."""
    whatsapp = FakeWhatsApp()
    async with logged_in(prosody, "alice", "pw") as alice:
        async with running_shard(config, whatsapp):
            await alice.until(lambda: "picture" in seen(alice))
        await alice.until(lambda: seen(alice)[-1] == "retraction")


async def test_what_the_server_refuses_is_in_the_log(tmp_path: Path) -> None:
    """Logs the condition when a privilege is missing, and links all the same."""
    whatsapp = FakeWhatsApp()
    options = Options(privileges={"roster": "none", "message": "none"})
    async with running_prosody(tmp_path / "prosody", users={"alice": "pw"}, options=options) as prosody:
        config = config_for(prosody, NOWHERE, tmp_path)
        async with logged_in(prosody, "alice", "pw") as alice, running_shard(config, whatsapp) as shard:
            await until(lambda: shard.events("request_failed") != [])
            assert "roster" == shard.events("request_failed")[0]["what"]
            alice.send_presence(pto=JID(GATEWAY))  # without the roster the gateway learns of a client by itself only
            await alice.until(lambda: "picture" in seen(alice))
            whatsapp.scan()
            await alice.message(lambda m: m["body"] == TABLE[Reason.CONNECTED].sentence)
            bob = port.Contact(Address(number="4915112345678"), name="Bob")
            whatsapp.say(port.Contacts((bob,)))
            await until(lambda: shard.events("stanza_refused") != [])
            (line, *_) = shard.events("stanza_refused")
            assert ("iq", "forbidden") == (line["kind"], line["condition"])
