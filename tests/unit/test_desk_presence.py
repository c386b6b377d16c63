"""Discovery, subscription and presence of the gateway, odd stanzas, and too much at once, as dialogues."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ponton_bridge.model.states import TABLE, Reason
from ponton_operator.selfservice import words
from ponton_operator.selfservice.xmpp import desk as desk_module
from ponton_operator.selfservice.xmpp import disco
from tests.unit.desk_world import ALICE, DOMAIN, World, plain, plains, stanza


def query(ns: str, to: str = DOMAIN, kind: str = "get") -> str:
    """Make an iq with one empty question."""
    return f"<iq type='{kind}' id='q' from='{ALICE}/x' to='{to}'><query xmlns='{ns}'/></iq>"


async def test_introduces_itself_as_gateway_and_account() -> None:
    """Identities and features are those that real clients need; there is no conference among them."""
    (heard,) = await World().hear(query("http://jabber.org/protocol/disco#info"))
    identities = [(part.get("category"), part.get("type")) for part in heard[0] if part.tag.endswith("identity")]
    assert [("gateway", "whatsapp"), ("account", "registered")] == identities
    features = {part.get("var") for part in heard[0] if part.tag.endswith("feature")}
    assert set(disco.FEATURES) == features
    assert {"jabber:iq:gateway", "jabber:iq:register", "http://jabber.org/protocol/commands"} <= features


async def test_lists_no_contacts() -> None:
    """The items of the gateway are empty: contacts are nobody else's business."""
    (heard,) = await World().hear(query("http://jabber.org/protocol/disco#items"))
    assert [] == list(heard[0])


@pytest.mark.parametrize("ns", ["vcard-temp", "jabber:iq:version", "urn:xmpp:ping"])
async def test_answers_the_usual_questions(ns: str) -> None:
    """Card, version and ping are answered with results."""
    (heard,) = await World().hear(query(ns))
    assert "result" == heard.get("type")


@pytest.mark.parametrize(
    "literal",
    [
        query("urn:example:unknown"),
        query("urn:example:unknown", kind="set"),
        f"<iq type='get' id='q' from='{ALICE}/x' to='{DOMAIN}'/>",
        f"<iq type='get' id='q' from='{ALICE}/x' to='{DOMAIN}'><a xmlns='u:a'/><b xmlns='u:b'/></iq>",
        query("http://jabber.org/protocol/disco#info", f"+447700900123@{DOMAIN}"),
        "<iq type='get' id='q' from='not a jid' to='wa.example.org'><query xmlns='urn:xmpp:ping'/></iq>",
    ],
)
async def test_answers_every_other_question_at_once_with_an_error(literal: str) -> None:
    """No iq is left without an answer, and the answer has words."""
    (heard,) = await World().hear(literal)
    assert ("error", "q") == (heard.get("type"), heard.get("id"))
    assert heard.findtext("*/{urn:ietf:params:xml:ns:xmpp-stanzas}text")


@pytest.mark.parametrize("kind", ["result", "error"])
async def test_leaves_answers_alone(kind: str) -> None:
    """Results and errors that come in are never answered."""
    assert [] == await World().hear(query("urn:xmpp:ping", kind=kind))


async def test_agrees_to_a_subscription_and_asks_back() -> None:
    """A registered owner who subscribes gets agreement, a subscription request, and the state as presence."""
    world = World()
    await world.registered(Reason.WAITING_FOR_SCAN)
    heard = await world.hear(f"<presence type='subscribe' from='{ALICE}' to='{DOMAIN}'/>")
    row = TABLE[Reason.WAITING_FOR_SCAN]
    expected = [
        f"<presence type='subscribed' to='{ALICE}' from='{DOMAIN}'/>",
        f"<presence type='subscribe' to='{ALICE}' from='{DOMAIN}'/>",
        (
            f"<presence to='{ALICE}' from='{DOMAIN}/gateway'><show>{row.show}</show>"
            f"<status>{row.sentence}</status></presence>"
        ),
    ]
    assert plains([stanza(literal) for literal in expected]) == plains(heard)


async def test_agrees_to_a_stranger_without_asking_back() -> None:
    """Somebody unregistered may watch the gateway; it wants nothing of them."""
    heard = await World().hear(f"<presence type='subscribe' from='{ALICE}' to='{DOMAIN}'/>")
    assert ["subscribed"] == [part.get("type") for part in heard]


async def test_shows_the_state_when_the_owner_comes_online() -> None:
    """Each resource that comes online sees how the link is."""
    world = World()
    await world.registered(Reason.CONNECTED)
    (heard,) = await world.hear(f"<presence from='{ALICE}/x' to='{DOMAIN}'/>")
    sentence = TABLE[Reason.CONNECTED].sentence
    expected = stanza(f"<presence to='{ALICE}/x' from='{DOMAIN}/gateway'><status>{sentence}</status></presence>")
    assert plain(expected) == plain(heard)


async def test_is_not_there_for_strangers_who_ask() -> None:
    """A probe of somebody unregistered gets unavailable; their own presence gets nothing."""
    world = World()
    (heard,) = await world.hear(f"<presence type='probe' from='{ALICE}' to='{DOMAIN}'/>")
    assert "unavailable" == heard.get("type")
    assert [] == await world.hear(f"<presence from='{ALICE}/x' to='{DOMAIN}'/>")


@pytest.mark.parametrize(
    ("kind", "expected"), [("subscribe", ["unsubscribed"]), ("probe", ["unavailable"]), ("subscribed", [])]
)
async def test_lets_nobody_subscribe_to_contacts_without_an_account(kind: str, expected: list[str]) -> None:
    """Contacts exist for their owner only: for others a subscription is refused and a probe finds nobody."""
    heard = await World().hear(f"<presence type='{kind}' from='{ALICE}' to='+447700900123@{DOMAIN}'/>")
    assert expected == [part.get("type") for part in heard]


async def test_says_why_a_message_to_a_contact_reaches_nobody() -> None:
    """Writing to a contact without an account gives an error that names the way in."""
    (heard,) = await World().hear(
        f"<message type='chat' id='m' from='{ALICE}/x' to='+447700900123@{DOMAIN}'><body>hi</body></message>"
    )
    text = heard.findtext("*/{urn:ietf:params:xml:ns:xmpp-stanzas}text")
    assert ("error", words.NOT_SERVED.format(domain=DOMAIN)) == (heard.get("type"), text)


async def test_stays_up_when_something_behind_it_fails() -> None:
    """An unexpected failure is answered with an error in words, never a library's, and the desk goes on."""
    world = World()

    async def broken(_account: str) -> None:
        raise RuntimeError("redis.exceptions.ConnectionError: 10.0.0.7:6379")

    await world.registered(Reason.CONNECTED)
    world.shards.heartbeat = broken  # type: ignore[assignment,method-assign]
    (heard,) = await world.hear(
        f"<message type='chat' id='m' from='{ALICE}/x' to='{DOMAIN}'><body>status</body></message>"
    )
    text = heard.findtext("*/{urn:ietf:params:xml:ns:xmpp-stanzas}text") or ""
    assert ("error", False) == (heard.get("type"), "redis" in text)
    (ping,) = await world.hear(query("urn:xmpp:ping"))
    assert "result" == ping.get("type")


async def test_bounds_what_it_works_on_at_once() -> None:
    """Beyond the bound a request is refused at once with a sentence instead of filling memory."""
    world = World()
    gate = asyncio.Event()

    async def slow(_name: str) -> None:
        await gate.wait()

    world.accounts.get = slow  # type: ignore[assignment]
    literal = stanza(f"<message type='chat' id='m' from='{ALICE}/x' to='{DOMAIN}'><body>status</body></message>")
    running = [world.desk.receive(literal) for _ in range(desk_module.MAX_AT_ONCE)]
    assert None not in running
    assert world.desk.receive(literal) is None
    assert words.BUSY == world.sent[-1].findtext("*/{urn:ietf:params:xml:ns:xmpp-stanzas}text")
    await world.desk.close()


_NAMES = st.sampled_from(["message", "iq", "presence"])
_TYPES = st.sampled_from(["", "get", "set", "chat", "subscribe", "probe", "groupchat", "error", "weird"])
_CHILDREN = st.lists(
    st.sampled_from(
        [
            "<body>help</body>",
            "<query xmlns='jabber:iq:register'><remove/></query>",
            "<query xmlns='jabber:iq:register'><x xmlns='jabber:x:data'><field/></x></query>",
            "<command xmlns='http://jabber.org/protocol/commands'/>",
            "<command xmlns='http://jabber.org/protocol/commands' node='pair'><x xmlns='jabber:x:data'/></command>",
            "<query xmlns='jabber:iq:gateway'/>",
            "<query xmlns='http://jabber.org/protocol/disco#info' node='zzz'/>",
            "<encrypted xmlns='urn:xmpp:omemo:2'/>",
        ]
    ),
    max_size=3,
)
_SENDERS = st.sampled_from([f"{ALICE}/x", ALICE, "example.org", "", "@", "a@b@c", "x@-bad-/r"])
_TARGETS = st.sampled_from([DOMAIN, f"+447700900123@{DOMAIN}", f"x@{DOMAIN}/y", ""])


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_NAMES, _TYPES, _CHILDREN, _SENDERS, _TARGETS)
def test_takes_any_stanza_and_answers_every_iq(name: str, kind: str, children: list[str], sender: str, to: str) -> None:
    """Whatever the combination, the desk does not fail, and an iq get or set has exactly one answer to its id."""

    async def play() -> None:
        world = World()
        head = f"type='{kind}' " if kind else ""
        heard = await world.hear(f"<{name} {head}id='i' from='{sender}' to='{to}'>{''.join(children)}</{name}>")
        await world.desk.close()
        if name == "iq" and kind in {"get", "set"}:
            assert 1 == len([part for part in heard if part.get("id") == "i" and part.tag.endswith("iq")])

    asyncio.run(play())
