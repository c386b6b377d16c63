"""What other gateways were seen to do wrong must not happen here; each test is named after what must hold.

Ten ways in which a gateway for many users failed in the field, on the whole system: a login that freezes everybody, a
link that stops and loses what others receive, one stanza or one message that ends the process, a server's restart that
ends it, pages fetched for whoever asks, receipts for ids that nobody issued, corrections refused after a restart,
messages that nobody is told about (test_hostile_whatsapp), questions without an answer. One town for the file.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from functools import partial
from itertools import combinations

import pytest
import pytest_asyncio

# ruff: noqa: E501 - one case is one line, however long its XML
from ponton_bridge.model.states import TABLE, Reason
from tests.demo import picture
from tests.harness.local import children
from tests.harness.prosody import until
from tests.harness.town import GATEWAY, HOST, NOTHING, OOB, USERS, Case, Thrower, Town, built_town
from tests.harness.xmpp import Client, logged_in
from tests.sandbox.client import AccountHandle

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

PATIENCE = 30.0  # seconds
NEWCOMERS = ("mallory2", "mallory3", "mallory4")
CONNECTED = TABLE[Reason.CONNECTED].sentence


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def town(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Town]:
    """Everything, running."""
    async with built_town(tmp_path_factory.mktemp("town")) as built:
        yield built


def pid_of(town: Town, name: str) -> int:
    """Give the pid of an owner's shard."""
    return town.stage.local.shards()[town.stage.local.account(f"{name}@{HOST}")]


async def registered(client: Client, since: int = 0) -> str:
    """Register by chat; gives the text of the code that comes."""
    client.say(GATEWAY, "register")
    shown = await client.message(lambda m: m in client.messages[since:] and m.xml.find(OOB) is not None)
    return shown.xml.findtext(OOB) or ""


async def linked(town: Town, name: str, phone: AccountHandle) -> None:
    """Register, scan, and wait until the link stands."""
    client = town.users[name]
    url = await registered(client)
    await phone.scan(picture.read(await asyncio.to_thread(town.stage.fetch, url)))
    await client.presence(lambda p: p["from"].bare == GATEWAY and p["status"] == CONNECTED, timeout=PATIENCE)


async def test_one_login_never_holds_up_another_user(town: Town) -> None:
    """With one owner's process hung as a whole, others talk, ask, and three newcomers link at the same time."""
    hung = pid_of(town, "alice")
    os.kill(hung, signal.SIGSTOP)
    try:
        town.users["alice"].say(f"{town.bob.number}@{GATEWAY}", "said to a hung bridge")
        await town.exchange("carol", "dora", "beside a hung one")
        phones = [await town.sandbox.account(push_name=name, contacts=["bob"]) for name in NEWCOMERS]
        await asyncio.gather(*(linked(town, name, phone) for name, phone in zip(NEWCOMERS, phones, strict=True)))
        await town.throwers["mallory"].through()
    finally:
        os.kill(hung, signal.SIGCONT)
    await town.bob.wait_for("message", text="said to a hung bridge")
    await town.peace()


async def test_a_new_link_never_stops_or_loses_what_others_receive(town: Town) -> None:
    """While somebody has a code and does not scan, and while he links, fifty messages reach the neighbour in order."""
    client, carol = town.users["mallory"], town.users["carol"]
    phone = await town.sandbox.account(push_name="mallory", contacts=["bob"])
    url = await registered(client)
    await town.phones["dora"].burst(to=town.phones["carol-phone"], count=25, prefix="while it waits ")
    await phone.scan(picture.read(await asyncio.to_thread(town.stage.fetch, url)))
    for number in range(10):
        await town.bob.send_text(to=phone, text=f"into a fresh link {number}")
    await town.phones["dora"].burst(to=town.phones["carol-phone"], count=25, prefix="while it links ")
    for who, prefix, count in (
        (carol, "while it waits ", 25),
        (carol, "while it links ", 25),
        (client, "into a fresh link ", 10),
    ):
        expected = [f"{prefix}{number}" for number in range(count)]
        await who.until(partial(_came, who, set(expected)), timeout=PATIENCE)
        assert expected == [body for body in who.bodies() if body.startswith(prefix)]
    await town.peace()


def _came(who: Client, expected: set[str]) -> bool:
    return expected <= set(who.bodies())


async def test_any_registration_is_survived_repeated_or_with_a_name(town: Town) -> None:
    """A set with a user name, from people who are registered, again and again: answered, and nothing is restarted."""
    query = "<query xmlns='jabber:iq:register'><username>u</username><password>p</password></query>"
    for name in ("alice", "carol"):
        cases = [
            Case(f"{name} {n}", f"<iq type='set' id='{{{{id}}}}' to='{GATEWAY}'>{query}</iq>", "result")
            for n in range(5)
        ]
        assert {case.name: "result" for case in cases} == await town.throwers[name].outcomes(cases)
    await town.peace()


PARTS = {
    "reply": "<reply xmlns='urn:xmpp:reply:0' to='{{bob}}' id='{{heard}}'/><fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:reply:0'><body start='0' end='4'/></fallback>",
    "mention": "<reference xmlns='urn:xmpp:reference:0' type='mention' begin='0' end='4' uri='xmpp:{{bob}}'/>",
    "link": "<Description xmlns='urn:xmpp:rdf' about='http://{{trap}}/'/>",
    "correction": "<replace xmlns='urn:xmpp:message-correct:0' id='{{own}}'/>",
    "thread": "<thread parent='x'>y</thread>",
}  # fmt: skip


async def test_no_mix_of_reply_place_link_and_mention_ends_the_process(town: Town) -> None:
    """All combinations, of known and unknown messages: each is delivered."""
    heard = await town.bob.send_text(to=town.phones["alice-phone"], text="to be replied to")
    await town.users["alice"].message(lambda m: m["id"] == heard)
    own = town.users["alice"].say(f"{town.bob.number}@{GATEWAY}", "to be corrected")
    await town.bob.wait_for("message", text="to be corrected")
    mixes = [mix for size in range(len(PARTS) + 1) for mix in combinations(PARTS, size)]
    cases = [
        Case(
            f"{mix} {place}",
            f"<message type='chat' id='{{{{id}}}}' to='{{{{bob}}}}'><body>{place} http://{{{{trap}}}}/</body>"
            + "".join(PARTS[name] for name in mix).replace("{{heard}}", known).replace("{{own}}", own)
            + "</message>",
            "delivered",
        )
        for mix in mixes
        for place, known in (("geo:48.2,16.4", heard), ("&gt; geo:-1,-2;u=3", "nobody-knows"))
    ]
    outcomes = await town.alice.outcomes(cases)
    assert {} == {name: outcome for name, outcome in outcomes.items() if outcome != "delivered"}
    await town.peace()


HOSTS = (
    "127.0.0.1", "localhost", "2130706433", "017700000001", "0x7f000001", "0x7f.1", "127.1", "127.000.000.001",
    "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:127.0.0.1]", "[2002:7f00:1::]", "[64:ff9b::7f00:1]",
    "localhost.", "LOCALHOST", "ⓛocalhost", "127。0。0。1", "user@127.0.0.1", "example.org@127.0.0.1", "127.0.0.1#example.org",
    "0", "0.0.0.0",  # noqa: S104 - the name of an address, nothing is bound
    "169.254.169.254", "10.0.0.1", "[fe80::1%25lo]", "[fd00::1]", "metadata.google.internal",
)  # fmt: skip


async def test_no_address_in_a_message_is_visited(town: Town) -> None:
    """Eighty ways to name the inside, as text, as a file and from WhatsApp: nobody comes to the page there."""
    alice, phone, port = town.users["alice"], town.phones["alice-phone"], town.trap.port
    urls = [f"{scheme}://{host}:{port}/x" for host in HOSTS for scheme in ("http", "https")]
    urls += [f"http://{host.partition('#')[0]}:{port}/x.png" for host in HOSTS]
    refused = "error feature-not-implemented"
    cases = [
        Case(
            f"text {n}",
            f"<message type='chat' id='{{{{id}}}}' to='{{{{bob}}}}'><body>{url}</body></message>",
            "delivered",
        )
        for n, url in enumerate(urls)
    ]
    cases += [
        Case(
            f"file {n}",
            f"<message type='chat' id='{{{{id}}}}' to='{{{{bob}}}}'><body>{url}</body><x xmlns='jabber:x:oob'><url>{url}</url></x></message>",
            refused,
        )
        for n, url in enumerate(urls)
    ]
    assert {case.name: case.expected for case in cases} == await town.alice.outcomes(cases)
    for url in urls:
        preview = {"text": url, "matchedText": url, "description": url, "thumbnailDirectPath": url}
        await town.bob.send_message(to=phone, message={"extendedTextMessage": preview})
        await town.bob.send_message(
            to=phone, message={"imageMessage": {"URL": url, "directPath": url, "staticURL": url}}
        )
    await town.bob.send_text(to=phone, text="all links are out")
    await alice.message(lambda m: m["body"] == "all links are out", timeout=PATIENCE)
    assert len(urls) >= 80
    await town.peace()


async def test_one_marker_is_one_receipt_with_ids_that_whatsapp_issued(town: Town) -> None:
    """Read marks of sixty messages go out together; none names an id that is not one of them."""
    alice, phone = town.users["alice"], town.phones["alice-phone"]
    since = (await town.bob.inbox())[-1]["n"]
    ids = await town.bob.burst(to=phone, count=60, prefix="to be read ")
    await alice.message(lambda m: m["id"] == ids[-1], timeout=PATIENCE)
    alice.send_raw(
        f"<message type='chat' to='{town.bob.number}@{GATEWAY}'><displayed xmlns='urn:xmpp:chat-markers:0' id='{ids[-1]}'/></message>"
    )
    named: list[str] = []
    receipts = 0
    while not set(ids) <= set(named):
        record = await town.bob.wait_for("receipt", since=since, type="read", patience=PATIENCE)
        since, receipts = record["n"], receipts + 1
        named += record["ids"]
    issued = {m["id"] for m in alice.messages if m["from"].bare == f"{town.bob.number}@{GATEWAY}"}
    assert set(named) <= issued  # what is older is read, too
    assert len(named) == len(set(named))
    assert receipts == 1
    await town.peace()


async def test_a_correction_works_after_a_restart(town: Town) -> None:
    """What was sent before the process was killed is known to the next one."""
    alice, contact = town.users["alice"], f"{town.bob.number}@{GATEWAY}"
    first = alice.say(contact, "before the rstart")
    await town.bob.wait_for("message", text="before the rstart")
    await alice.until(lambda: town.alice.answers.get(first) == "delivered", timeout=PATIENCE)
    killed = pid_of(town, "alice")
    for pid in (killed, *children(killed)):  # its driver's process goes with it
        del town.born[pid]
    os.kill(killed, signal.SIGKILL)
    alice.send_raw(
        f"<message type='chat' id='fixed' to='{contact}'><body>before the restart</body>"
        f"<replace xmlns='urn:xmpp:message-correct:0' id='{first}'/></message>"
    )
    await town.bob.wait_for("message", text="before the restart", edit="1", patience=PATIENCE)
    await town.peace()


QUESTIONS = {
    "jabber:iq:search": "query",
    "jabber:iq:gateway": "query",
    "vcard-temp": "vCard",
    "http://jabber.org/protocol/disco#info": "query",
    "urn:nobody": "query",
}


async def test_every_question_is_answered_while_nobody_is_linked(town: Town) -> None:
    """Disco, search, lookup of a number, card, ping: a result or an error at once, while WhatsApp is out of reach."""
    await town.sandbox.fault("refuse")
    server = town.stage.prosody
    server.add_user("mallory5", "pw")
    try:
        async with logged_in(server, "mallory5", "pw", resource="x") as client:
            client.say(GATEWAY, "register")
            await until(
                lambda: town.stage.local.account(f"mallory5@{HOST}") in town.stage.local.shards(), what="a shard"
            )
            thrower = Thrower(client, town)
            cases = [
                Case(f"{space} {to}", f"<iq type='get' id='{{{{id}}}}' to='{to}'><{name} xmlns='{space}'/></iq>", "any")
                for to in (GATEWAY, f"+15550199999@{GATEWAY}", f"{town.bob.number}@{GATEWAY}")
                for space, name in QUESTIONS.items()
            ]
            assert NOTHING not in (await thrower.outcomes(cases)).values()
    finally:
        await town.sandbox.clear_faults()
    await town.peace()


async def test_a_restart_of_the_xmpp_server_ends_no_whatsapp_link(town: Town) -> None:
    """The shards live on and keep their logins; what was said meanwhile arrives."""
    phone = town.phones["carol-phone"]
    (before,) = await phone.linked()
    shards = town.stage.local.shards()
    server = town.stage.prosody
    await server.stop()
    await town.phones["dora"].send_text(to=phone, text="said while the server was away")
    await server.start()
    async with logged_in(server, "carol", USERS["carol"], resource="again") as carol:
        await carol.message(lambda m: m["body"] == "said while the server was away", timeout=PATIENCE)
        carol.say(f"{town.phones['dora'].number}@{GATEWAY}", "and on it goes")
        await town.phones["dora"].wait_for("message", text="and on it goes", patience=PATIENCE)
    assert shards == town.stage.local.shards()
    (after,) = await phone.linked()
    assert (before["logins"], True) == (after["logins"], after["connected"])
