"""Hostile streams on the whole system: XML bombs, odd headers, wrong secrets, and a shard that turned against others.

Raw sockets to the component port and to the clients' port, streams with stolen or old credentials. Whatever comes, only
the stream that sent it may end. The town is started once for the file.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
import pytest_asyncio

# ruff: noqa: E501 - one case is one line, however long its XML
from tests.harness.prosody import NAMESPACE
from tests.harness.shard_stream import ShardStream, StreamClosedError
from tests.harness.town import GATEWAY, HOST, USERS, Case, Town, built_town
from tests.harness.xmpp import logged_in

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

PATIENCE = 20.0  # seconds; the server gives a silent stream ten
STREAM = "xmlns:stream='http://etherx.jabber.org/streams'"
COMPONENT = f"<stream:stream xmlns='jabber:component:accept' {STREAM} to='{GATEWAY}'"
CLIENT = f"<stream:stream xmlns='jabber:client' {STREAM} to='{HOST}' version='1.0'"
LAUGHS = "<!DOCTYPE l [<!ENTITY a 'ha'>" + "".join(
    f"<!ENTITY {chr(98 + n)} '{f'&{chr(97 + n)};' * 10}'>" for n in range(12)
)
MANY = " ".join(f"a{n}='x'" for n in range(10_000))
CONDITION = re.compile(rb"<([a-z-]+) xmlns=['\"]urn:ietf:params:xml:ns:xmpp-streams['\"]")
RESTRICTED, BROKEN, UNWANTED = "restricted-xml", "not-well-formed", "policy-violation"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def town(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Town]:
    """Everything, running."""
    async with built_town(tmp_path_factory.mktemp("town")) as built:
        yield built


async def thrown(port: int, data: str | bytes) -> str:
    """Connect, send, wait for the end; gives the stream error's condition, or 'closed' when there was none."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    came = b""
    try:
        with suppress(ConnectionError):
            writer.write(data.encode() if isinstance(data, str) else data)
            async with asyncio.timeout(PATIENCE):
                while block := await reader.read(65_536):
                    came += block
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
    found = CONDITION.search(came)
    return found[1].decode() if found else "closed"


def streams(header: str) -> dict[str, tuple[str | bytes, set[str]]]:
    """Give what to throw at a port whose header that is: what to send, and what the end may be."""
    return {
        "noise": (bytes(range(256)) * 40, {BROKEN}),
        "zeros": (b"\0" * 10_000, {BROKEN}),
        "another protocol": ("GET /shards HTTP/1.1\r\nHost: x\r\n\r\n", {BROKEN}),
        "an encrypted greeting": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 500, {BROKEN}),
        "a billion laughs": (LAUGHS + "]><l>&m;</l>", {RESTRICTED, BROKEN}),
        "laughs behind the header": (f"{header}>{LAUGHS}]><l>&m;</l>", {RESTRICTED, BROKEN}),
        "laughs in an attribute": (LAUGHS + f"]>{header} id='&m;'>", {RESTRICTED, BROKEN}),
        "a file as an entity": ("<!DOCTYPE x [<!ENTITY f SYSTEM 'file:///etc/passwd'>]><x>&f;</x>", {RESTRICTED, BROKEN}),
        "a page as an entity": ("<!DOCTYPE x SYSTEM 'http://{{trap}}/x.dtd'><x/>", {RESTRICTED, BROKEN}),
        "an unknown entity": (f"{header}><message>&nobody;</message>", {RESTRICTED, BROKEN}),
        "a comment": (f"{header}><!-- x -->", {RESTRICTED, BROKEN}),
        "an instruction": (f"{header}><?php exit ?>", {RESTRICTED, BROKEN}),
        "wrong letters": (f"{header}>".encode() + b"<message>\xff\xfe</message>", {BROKEN}),
        "a control character": (f"{header}><message>&#1;</message>", {BROKEN}),
        "a prefix of nobody": (f"{header}><nobody:message/>", {BROKEN}),
        "ends that do not match": (f"{header}></message>", {BROKEN}),
        "another world": (f"<stream xmlns='urn:nobody' {STREAM}>", {"invalid-namespace", "bad-format", BROKEN}),
        "not a stream": ("<message xmlns='jabber:client'/>", {"invalid-namespace", "bad-format", "invalid-xml", "closed"}),
        "an attribute of ten megabytes": (f"{header} id='{'x' * 10_000_000}'>", {UNWANTED, BROKEN, "closed"}),
        "a name of ten megabytes": (f"{header}><{'x' * 10_000_000}", {UNWANTED, BROKEN, "closed"}),
        # A server that hangs up on unread megabytes resets the connection, and its last words may be lost with it.
        "a text of ten megabytes": (f"{header}><message>{'x' * 10_000_000}", {UNWANTED, BROKEN, "not-authorized", "closed"}),
        "a million levels": (f"{header}>{'<a>' * 1_000_000}", {UNWANTED, BROKEN, "not-authorized", "closed"}),
        "ten thousand attributes": (f"{header}><message {MANY}/>", {UNWANTED, BROKEN, "not-authorized"}),
        "nothing": ("</stream:stream>", {BROKEN}),
    }  # fmt: skip


@pytest.mark.parametrize("port", ["component", "client"])
async def test_no_stream_of_bytes_ends_anything_but_itself(town: Town, port: str) -> None:
    """Bombs, noise and oversize, before any proof of who it is: the stream ends, with the reason where there is one."""
    ports = town.stage.prosody.ports
    number, header = (ports.shards, COMPONENT) if port == "component" else (ports.c2s, CLIENT)
    table = streams(header)
    outcomes = await asyncio.gather(
        *(thrown(number, data if isinstance(data, bytes) else town.alice.fill(data)) for data, _ in table.values())
    )
    wrong = {n: got for (n, (_, ends)), got in zip(table.items(), outcomes, strict=True) if got not in ends}
    assert {} == wrong
    await town.peace()


LOGGED_IN: dict[str, str | bytes] = {
    "a comment": "<!-- x -->",
    "laughs": LAUGHS + "]>",
    "a control character": "<message to='{{bob}}'><body>&#1;</body></message>",
    "an unknown entity": "<message to='{{bob}}'><body>&x;</body></message>",
    "wrong letters": b"<message><body>\xc3\x28</body></message>",
    "half a surrogate": "<message><body>&#xD800;</body></message>",
    "three hundred thousand letters": f"<message to='{{{{bob}}}}'><body>{'x' * 300_000}</body></message>",
    "ends that do not match": "<message to='{{bob}}'><body></message>",
    "an element that is no stanza": "<tea xmlns='urn:pot'/>",
}


async def test_client_that_breaks_xml_ends_its_own_stream_only(town: Town) -> None:
    """After the login, too: the server ends that one stream, and nothing of it reaches the gateway."""
    server = town.stage.prosody
    survived = []
    for number, (name, data) in enumerate(LOGGED_IN.items()):
        async with logged_in(server, "mallory", USERS["mallory"], resource=f"broken-{number}") as client:
            ended = asyncio.ensure_future(client.wait_until("disconnected", timeout=PATIENCE))
            client.send_raw(data if isinstance(data, bytes) else town.alice.fill(data))
            try:
                await ended
            except TimeoutError:
                survived.append(name)
    assert [] == survived
    await town.peace()


async def alices_epoch(town: Town) -> int:
    """Give the epoch under which Alice's shard runs."""
    _, state = await town.stage.prosody.control("status", f"alice@{HOST}")
    return int(state["epoch"])


async def test_no_stolen_or_old_credential_takes_a_stream(town: Town) -> None:
    """Lower epochs, other owners' secrets, second instances and old front desks are refused; nobody is disturbed."""
    server = town.stage.prosody
    alice, carol = f"alice@{HOST}", f"carol@{HOST}"
    epoch = await alices_epoch(town)
    wrong = "not-authorized"
    attempts: dict[str, tuple[str, dict[str, object]]] = {
        "a lower epoch": ("conflict", {"owner": alice, "epoch": epoch - 1}),
        "the first epoch": ("conflict", {"owner": alice, "epoch": 1}),
        "the same epoch, another process": ("conflict", {"owner": alice, "epoch": epoch, "instance": "thief"}),
        "the same epoch, no instance": ("conflict", {"owner": alice, "epoch": epoch}),
        "the secret of a lower epoch": (wrong, {"owner": alice, "epoch": epoch, "secret": server.shard_secret(alice, 1)}),
        "the secret of another owner": (wrong, {"owner": alice, "epoch": epoch + 1, "secret": server.shard_secret(carol, epoch + 1)}),
        "an empty secret": (wrong, {"owner": alice, "epoch": epoch + 1, "secret": ""}),
        "the gateway's secret as a shard": (wrong, {"owner": alice, "epoch": epoch + 1, "secret": server.secrets.gateway}),
        "a shard's secret as the gateway": (wrong, {"epoch": 10**14, "secret": server.shard_secret(alice, 10**14)}),
        "an old front desk": ("conflict", {"epoch": 1}),
        "a front desk without an epoch": ("conflict", {}),
        "an epoch beyond all": ("bad-format", {"owner": alice, "epoch": 10**15}),
        "an epoch in words": ("bad-format", {"owner": alice, "header": {"sh:epoch": "newest"}}),
        "an instance of a kilobyte": ("bad-format", {"owner": alice, "epoch": epoch, "instance": "i" * 1000}),
        "a cursor of nonsense": ("bad-format", {"owner": alice, "epoch": epoch, "cursor": "x" * 1000}),
        "a role of one's own": ("bad-format", {"owner": alice, "epoch": epoch, "header": {"sh:role": "king"}}),
        "an owner that is nobody": ("improper-addressing", {"owner": "@", "epoch": 1}),
        "another domain": ("host-unknown", {"owner": alice, "epoch": epoch, "domain": HOST}),
    }  # fmt: skip
    got = {}
    for name, (_, how) in attempts.items():
        with pytest.raises(StreamClosedError) as refused:
            await ShardStream.open(server, **how)  # type: ignore[arg-type]  # each line is one way to open
        got[name] = refused.value.condition
    assert {name: condition for name, (condition, _) in attempts.items()} == got
    await town.peace()


THIEF = f"mallory4@{HOST}"
FORWARD = "<forwarded xmlns='urn:xmpp:forward:0'>"
ROSTER = "<query xmlns='jabber:iq:roster'/>"
FORGED = [
    Case("in another's name", "<message id='{{id}}' from='{{carol}}' to='{{me}}'><body>forged</body></message>", "from"),
    Case("in the server's name", "<message id='{{id}}' from='{{host}}' to='{{me}}'><body>forged</body></message>", "from"),
    Case("in nobody's name", "<message id='{{id}}' to='{{me}}'><body>forged</body></message>", "from"),
    Case("to another user", "<message id='{{id}}' from='{{bob}}' to='{{carol}}'><body>forged</body></message>", "to"),
    Case("to another user's client", "<message id='{{id}}' from='{{bob}}' to='{{carol}}/x'><body>forged</body></message>", "to"),
    Case("to another shard", "<message id='{{id}}' from='{{bob}}' to='{{dora}}'><body>forged</body></message>", "to"),
    Case("to the front desk", "<message id='{{id}}' from='{{bob}}' to='{{gateway}}'><body>delete yes</body></message>", "to"),
    Case("to the internet", "<message id='{{id}}' from='{{bob}}' to='x@example.org'><body>forged</body></message>", "to"),
    Case("another's roster", f"<iq id='{{{{id}}}}' type='get' from='{{{{gateway}}}}' to='{{{{carol}}}}'>{ROSTER}</iq>", "to"),
    Case("a roster with strangers", "<iq id='{{id}}' type='set' from='{{gateway}}' to='{{me}}'><query xmlns='jabber:iq:roster'><item jid='{{carol}}'/></query></iq>", "roster-item"),
    Case("privileged in another's name", f"<message id='{{{{id}}}}' from='{{{{gateway}}}}' to='{{{{host}}}}'><privilege xmlns='urn:xmpp:privilege:2'>{FORWARD}<message xmlns='jabber:client' from='{{{{carol}}}}' to='{{{{bob}}}}'><body>forged</body></message></forwarded></privilege></message>", "privilege-from"),
    Case("privileged to another", f"<message id='{{{{id}}}}' from='{{{{gateway}}}}' to='{{{{host}}}}'><privilege xmlns='urn:xmpp:privilege:2'>{FORWARD}<message xmlns='jabber:client' from='{{{{me}}}}' to='{{{{carol}}}}'><body>forged</body></message></forwarded></privilege></message>", "privilege-to"),
    Case("a privilege of nothing", "<message id='{{id}}' from='{{gateway}}' to='{{host}}'><privilege xmlns='urn:xmpp:privilege:2'/></message>", "privilege-shape"),
    Case("a privileged iq for another", f"<iq id='{{{{id}}}}' type='get' from='{{{{gateway}}}}' to='{{{{me}}}}'><privileged_iq xmlns='urn:xmpp:privilege:2'><iq xmlns='jabber:client' id='i' type='get' to='{{{{carol}}}}'>{ROSTER}</iq></privileged_iq></iq>", "privilege-to"),
    Case("what is no stanza", "<iq type='shout' id='{{id}}' from='{{gateway}}' to='{{me}}'/>", "not-a-stanza"),
]  # fmt: skip


async def test_shard_that_turned_harms_nobody_but_its_owner(town: Town) -> None:
    """With the rightful secret of one owner: every step towards somebody else is refused by the rule that names it."""
    server = town.stage.prosody
    stream = await ShardStream.open(server, owner=THIEF, epoch=1)
    for number, case in enumerate(FORGED):
        stream.send(town.alice.fill(case.xml, id=f"forged-{number}", me=THIEF))
    await stream.settled()
    texts = {s.get("id"): "".join(s.itertext()) for s in stream.stanzas if s.get("type") == "error"}
    rules = {case.name: texts.get(f"forged-{n}", "").rpartition("rule: ")[2] for n, case in enumerate(FORGED)}
    assert {case.name: case.expected for case in FORGED} == rules
    stream.say(f"+15550199999@{GATEWAY}", THIEF, "to my own owner")
    await town.users["mallory4"].message(lambda m: m["body"] == "to my own owner")
    for name in ("alice", "carol", "mallory"):
        assert "forged" not in town.users[name].bodies()
    await stream.close()
    await server.control("purge", THIEF)
    await town.peace()


async def test_many_connections_that_prove_nothing_are_dropped(town: Town) -> None:
    """Three hundred half-open streams take nothing from those who are in."""
    port = town.stage.prosody.ports.shards
    opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(300)]
    for _, writer in opened:
        writer.write(f"{COMPONENT} from='alice@{HOST}' xmlns:sh='{NAMESPACE}' sh:epoch='1'>".encode())
    await town.peace()
    for _, writer in opened:
        writer.close()
    await asyncio.gather(*(writer.wait_closed() for _, writer in opened), return_exceptions=True)
    await town.peace()
