"""The door of in-band registration (XEP-0077) and the prompt for numbers (jabber:iq:gateway), as dialogues."""

import pytest

from ponton_bridge.coordination.contract import Verb
from ponton_bridge.model.states import TABLE, Reason
from ponton_operator.selfservice import words
from ponton_operator.selfservice.xmpp import register
from tests.unit.desk_world import ALICE, DOMAIN, World, plain, plains, stanza

GET = f"<iq type='get' id='1' from='{ALICE}/x' to='{DOMAIN}'><query xmlns='jabber:iq:register'/></iq>"
RESULT = stanza(f"<iq type='result' id='1' to='{ALICE}/x' from='{DOMAIN}'/>")


def submit(inner: str) -> str:
    """Make a registration set with that content."""
    return (
        f"<iq type='set' id='1' from='{ALICE}/x' to='{DOMAIN}'><query xmlns='jabber:iq:register'>{inner}</query></iq>"
    )


def form(number: str) -> str:
    """Make a submitted form with that number."""
    return f"<x xmlns='jabber:x:data' type='submit'><field var='phone'><value>{number}</value></field></x>"


async def test_shows_a_form_with_terms_and_an_optional_number() -> None:
    """The form says what happens and what WhatsApp may do; old clients find the same as plain fields."""
    (heard,) = await World().hear(GET)
    text = register.INSTRUCTIONS + words.TERMS
    expected = stanza(
        f"<iq type='result' id='1' to='{ALICE}/x' from='{DOMAIN}'><query xmlns='jabber:iq:register'>"
        f"<instructions>{text}</instructions><phone/>"
        f"<x xmlns='jabber:x:data' type='form'><title>Link WhatsApp</title><instructions>{text}</instructions>"
        "<field var='FORM_TYPE' type='hidden' label=''><value>jabber:iq:register</value></field>"
        "<field var='phone' type='text-single' label='Phone number, for example +44 7700 900123 (may stay empty)'/>"
        "</x></query></iq>"
    )
    assert plain(expected) == plain(heard)


async def test_marks_those_who_are_registered() -> None:
    """A registered owner's form carries the mark that clients look for."""
    world = World()
    await world.registered()
    (heard,) = await world.hear(GET)
    assert heard.find("*/{jabber:iq:register}registered") is not None


@pytest.mark.parametrize("inner", ["", "<username>u</username>", form(""), "<phone/>"])
async def test_registers_and_tells_what_comes_next(inner: str) -> None:
    """A set succeeds at once with an empty result, whatever odd fields it has, and a message explains."""
    world = World()
    result, message = await world.hear(submit(inner))
    assert (plain(RESULT), words.REGISTERED) == (plain(result), message.findtext("{jabber:client}body"))
    assert 1 == len(world.accounts.accounts)


async def test_survives_the_same_set_again_and_again() -> None:
    """A repeated registration is harmless: each gets its result, there is one account."""
    world = World()
    for _ in range(5):
        heard = await world.hear(submit("<username>u</username>"))
        assert plain(RESULT) == plain(heard[0])
    assert 1 == len(world.accounts.accounts)


@pytest.mark.parametrize("inner", [form("+44 7700 900123"), "<phone>00447700900123</phone>"])
async def test_takes_the_number_from_form_or_field(inner: str) -> None:
    """The number reaches the shard as bare digits, from either kind of client."""
    world = World()
    await world.hear(submit(inner))
    assert [(Verb.PAIR_PHONE, "447700900123")] == world.shards.asked


async def test_refuses_a_wrong_number_with_a_sentence() -> None:
    """A malformed number is the owner's error, told in the iq itself."""
    (heard,) = await World().hear(submit(form("call me")))
    text = heard.findtext("*/{urn:ietf:params:xml:ns:xmpp-stanzas}text") or ""
    assert ("error", True) == (heard.get("type"), "international form" in text)


async def test_removes_the_registration() -> None:
    """Remove starts the deletion, answers at once, and says that the end will be told."""
    world = World()
    await world.registered(Reason.CONNECTED)
    result, message = await world.hear(submit("<remove/>"))
    assert (plain(RESULT), words.DELETING) == (plain(result), message.findtext("{jabber:client}body"))
    (account,) = world.accounts.accounts.values()
    assert account.metadata.deletion_timestamp is not None
    await world.desk.close()


async def test_answers_a_remove_of_nobody() -> None:
    """Whoever is not registered hears so."""
    (heard,) = await World().hear(submit("<remove/>"))
    assert words.NOT_REGISTERED == heard.findtext("*/{urn:ietf:params:xml:ns:xmpp-stanzas}text")


async def test_tells_the_state_on_a_second_registration() -> None:
    """Registering while linked tells that all is well."""
    world = World()
    await world.registered(Reason.CONNECTED)
    _, message = await world.hear(submit(""))
    assert words.ALREADY.format(state=TABLE[Reason.CONNECTED].sentence) == message.findtext("{jabber:client}body")


async def test_prompts_for_a_number_and_gives_the_contact() -> None:
    """The gateway turns a number as people write it into the JID of the contact."""
    world = World()
    (prompt,) = await world.hear(
        f"<iq type='get' id='1' from='{ALICE}/x' to='{DOMAIN}'><query xmlns='jabber:iq:gateway'/></iq>"
    )
    assert "Phone number" == prompt.findtext("*/{jabber:iq:gateway}prompt")
    (answer,) = await world.hear(
        f"<iq type='set' id='1' from='{ALICE}/x' to='{DOMAIN}'>"
        "<query xmlns='jabber:iq:gateway'><prompt>0044 7700-900123</prompt></query></iq>"
    )
    assert f"+447700900123@{DOMAIN}" == answer.findtext("*/{jabber:iq:gateway}jid")


async def test_refuses_what_is_no_number_in_the_prompt() -> None:
    """A name in the number prompt is answered with how to write it."""
    heard = await World().hear(
        f"<iq type='set' id='1' from='{ALICE}/x' to='{DOMAIN}'>"
        "<query xmlns='jabber:iq:gateway'><prompt>Bob</prompt></query></iq>"
    )
    assert ["error"] == [part.get("type") for part in heard]
    assert 1 == len(plains(heard))
