"""The door of ad-hoc commands (XEP-0050), as dialogues."""

from xml.etree.ElementTree import Element

import pytest

from ponton_bridge.coordination.contract import Result, Verb
from ponton_bridge.model.states import TABLE, Reason
from ponton_operator.selfservice import words
from ponton_operator.selfservice.service import Ask
from ponton_operator.selfservice.xmpp import commands
from tests.unit.desk_world import ALICE, DOMAIN, World

NS = "{http://jabber.org/protocol/commands}"
FORM = "{jabber:x:data}"


def command(node: str, *, action: str = "", fields: dict[str, str] | None = None, session: str = "") -> str:
    """Make one step of a command; with `fields` a form is submitted."""
    inner = ""
    if fields is not None:
        parts = "".join(f"<field var='{var}'><value>{value}</value></field>" for var, value in fields.items())
        inner = f"<x xmlns='jabber:x:data' type='submit'>{parts}</x>"
    extra = (f" action='{action}'" if action else "") + (f" sessionid='{session}'" if session else "")
    return (
        f"<iq type='set' id='c' from='{ALICE}/x' to='{DOMAIN}'>"
        f"<command xmlns='http://jabber.org/protocol/commands' node='{node}'{extra}>{inner}</command></iq>"
    )


def seen(heard: list[Element]) -> tuple[str | None, str | None, str | None]:
    """Give status, session and note of the answered command."""
    (answer,) = heard
    step = answer[0]
    return step.get("status"), step.get("sessionid"), step.findtext(f"{NS}note")


async def test_lists_every_request_as_a_command() -> None:
    """The menu holds all that an owner can ask for."""
    (heard,) = await World().hear(
        f"<iq type='get' id='1' from='{ALICE}/x' to='{DOMAIN}'>"
        "<query xmlns='http://jabber.org/protocol/disco#items' node='http://jabber.org/protocol/commands'/></iq>"
    )
    assert list(commands.MENU) == [item.get("node") for item in heard[0]]
    assert set(Ask) == {entry.ask for entry in commands.MENU.values()}


async def test_tells_the_status_in_one_step() -> None:
    """A command without questions completes at once, its answer as note and as form."""
    world = World()
    await world.registered(Reason.CONNECTED)
    heard = await world.hear(command("status"))
    assert ("completed", "fresh", TABLE[Reason.CONNECTED].sentence) == seen(heard)
    assert TABLE[Reason.CONNECTED].sentence == heard[0].findtext(f"*/{FORM}x/{FORM}instructions")


async def test_registers_in_two_steps() -> None:
    """The form asks for the optional number; completing it makes the account in the same session."""
    world = World()
    asked = await world.hear(command("jabber:iq:register"))
    assert ("executing", "fresh", None) == seen(asked)
    assert ["phone"] == [field.get("var") for field in asked[0].iter(f"{FORM}field")]
    done = await world.hear(command("jabber:iq:register", action="complete", fields={"phone": ""}, session="fresh"))
    assert ("completed", "fresh", words.REGISTERED) == seen(done)
    assert 1 == len(world.accounts.accounts)


async def test_shows_the_code_in_the_same_dialog() -> None:
    """Pairing by number ends with the code as a field of the result."""
    world = World()
    await world.registered(Reason.WAITING_FOR_SCAN)
    world.shards.answer = Result(id="1", ok=1, value="ABCD-EFGH")
    done = await world.hear(command("pair", fields={"phone": "+44 7700 900123"}, session="s"))
    assert [(Verb.PAIR_PHONE, "447700900123")] == world.shards.asked
    assert "ABCD-EFGH" == done[0].findtext(f"*/{FORM}x/{FORM}field/{FORM}value")


@pytest.mark.parametrize(("node", "sentence"), [("unlink", words.UNLINKED), ("delete", words.DELETING)])
async def test_asks_before_it_ends_anything(node: str, sentence: str) -> None:
    """Unlink and delete show a box first; without the mark nothing happens, with it they are done."""
    world = World()
    await world.registered(Reason.CONNECTED)
    world.shards.answer = Result(id="1", ok=1)
    assert "executing" == seen(await world.hear(command(node)))[0]
    unsure = await world.hear(command(node, fields={"sure": "0"}, session="s"))
    assert ("completed", "s", "Nothing was changed.") == seen(unsure)
    assert [] == world.shards.asked
    assert ("completed", "s", sentence) == seen(await world.hear(command(node, fields={"sure": "1"}, session="s")))
    await world.desk.close()


async def test_goes_back_to_the_form() -> None:
    """The action `prev` shows the form again."""
    assert "executing" == seen(await World().hear(command("pair", action="prev", session="s")))[0]


async def test_cancels() -> None:
    """The action `cancel` ends a session without any effect."""
    world = World()
    assert ("canceled", "s", None) == seen(await world.hear(command("delete", action="cancel", session="s")))


@pytest.mark.parametrize(
    ("literal", "condition"),
    [
        (command("nonsense"), "item-not-found"),
        (command("status", action="dance"), "bad-request"),
        (command("pair", fields={"phone": "x"}), "bad-request"),
        (command("code"), "bad-request"),
    ],
)
async def test_answers_wrong_steps_with_errors(literal: str, condition: str) -> None:
    """Unknown commands, actions, numbers and owners end in a stanza error with a sentence."""
    (heard,) = await World().hear(literal)
    assert "error" == heard.get("type")
    assert heard.find(f"*/{{urn:ietf:params:xml:ns:xmpp-stanzas}}{condition}") is not None
    assert heard.findtext("*/{urn:ietf:params:xml:ns:xmpp-stanzas}text")


async def test_says_what_a_command_is() -> None:
    """disco#info of a command's node names it (XEP-0050, 2.3)."""
    (heard,) = await World().hear(
        f"<iq type='get' id='1' from='{ALICE}/x' to='{DOMAIN}'>"
        "<query xmlns='http://jabber.org/protocol/disco#info' node='pair'/></iq>"
    )
    identity = heard[0][0]
    assert ("automation", "command-node", "Link with a phone number") == (
        identity.get("category"),
        identity.get("type"),
        identity.get("name"),
    )
