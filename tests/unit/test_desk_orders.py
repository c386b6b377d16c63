"""What the portal has the front desk do, and what the doors have gained with the page: pause, resume, export."""

import json
from xml.etree.ElementTree import Element

import pytest

from ponton_bridge.coordination.contract import PAGE, Command, LoginMessage, Verb
from ponton_bridge.model.errors import HostError, OwnerError
from ponton_bridge.model.states import TABLE, Reason
from ponton_operator.resources.account import Desired, account_name
from ponton_operator.selfservice import export, words
from ponton_operator.selfservice.service import AccountService, Ask, Limits, Request
from ponton_operator.selfservice.xmpp import commands
from ponton_operator.selfservice.xmpp.confirm import Confirms
from ponton_operator.selfservice.xmpp.orders import Orders
from tests.unit.desk_world import ALICE, DOMAIN, World

NAME = account_name(DOMAIN, ALICE)


def order(to: str = ALICE, language: str = "en", verb: str = Verb.LOGIN) -> Command:
    """Make an order to say a code."""
    return Command("c1", verb, 0.0, LoginMessage(to, "12345678", language).to_json())


class Spoken:
    """Orders on a world, and what was sent; `open` is whether the stream takes it."""

    def __init__(self) -> None:
        self.world, self.sent, self.open = World(), list[Element](), True
        self.confirms = Confirms()
        self.orders = Orders(DOMAIN, self.world.service, self.send, self.confirms)

    def send(self, stanza: Element) -> bool:
        """Take a stanza."""
        self.sent.append(stanza)
        return self.open


async def test_says_a_code_to_an_owner() -> None:
    """The message comes from the gateway, holds the code and how long it is good, and is not kept for later."""
    spoken = Spoken()
    assert 1 == (await spoken.orders.handle(order())).ok
    (message,) = spoken.sent
    assert (DOMAIN, ALICE, "login-c1") == (message.get("from"), message.get("to"), message.get("id"))
    body = message.findtext("{jabber:client}body")
    assert words.LOGIN_CODE.format(code="12345678", domain=DOMAIN, minutes="10") == body
    assert {"no-store", "no-copy", "no-permanent-store"} == {
        child.tag.rpartition("}")[2] for child in message if "hints" in child.tag
    }


async def test_strangers_are_told_nothing_and_the_portal_does_not_learn_it() -> None:
    """An address elsewhere gets no message; the answer is the same."""
    spoken = Spoken()
    assert (await spoken.orders.handle(order())) == await spoken.orders.handle(order("eve@elsewhere.net"))
    assert [ALICE] == [message.get("to") for message in spoken.sent]


async def test_who_has_an_account_is_told_even_from_elsewhere() -> None:
    """An owner whose server is not served any more can still log in, to take the copy and to delete."""
    spoken = Spoken()
    await spoken.world.accounts.create("old@elsewhere.net")
    await spoken.orders.handle(order("old@elsewhere.net"))
    assert ["old@elsewhere.net"] == [message.get("to") for message in spoken.sent]


async def test_a_closed_stream_is_an_error_in_words() -> None:
    """The page can say that the gateway is not connected."""
    spoken = Spoken()
    spoken.open = False
    with pytest.raises(HostError, match="not connected"):
        await spoken.orders.handle(order())


@pytest.mark.parametrize(
    "command",
    [order(verb=Verb.UNLINK), Command("c", Verb.LOGIN, 0.0, "{}"), Command("c", Verb.LOGIN, 0.0, "["), order("nobody")],
)
async def test_what_is_no_order_is_refused(command: Command) -> None:
    """Another verb, an unreadable argument, an address that is none: an error, and nothing is said."""
    spoken = Spoken()
    with pytest.raises(OwnerError):
        await spoken.orders.handle(command)
    assert [] == spoken.sent


async def test_an_unknown_language_is_english() -> None:
    """A newer portal may know more languages than this front desk."""
    spoken = Spoken()
    await spoken.orders.handle(order(language="tlh"))
    assert "is your code" in (spoken.sent[0].findtext("{jabber:client}body") or "")


async def test_pauses_and_resumes_by_chat() -> None:
    """Paused, the account is parked and its status says who did it; resumed, it is woken."""
    world = World()
    await world.registered(Reason.CONNECTED)
    assert [words.PAUSED] == await world.say("pause")
    assert Desired.PARKED is world.accounts.accounts[NAME].spec.desired
    world.accounts.park(ALICE, Reason.PARKED, paired=True)
    assert [words.PAUSED] == await world.say("status")
    assert [words.GOES_ON] == await world.say("resume")
    assert [NAME] == world.accounts.woken


async def test_resuming_what_runs_is_harmless() -> None:
    """It says so, and wakes nothing."""
    world = World()
    await world.registered(Reason.CONNECTED)
    assert [words.RUNS_ALREADY] == await world.say("resume")
    assert [] == world.accounts.woken


@pytest.mark.parametrize("verb", ["pause", "resume"])
async def test_what_the_host_has_stopped_stays_stopped(verb: str) -> None:
    """Neither pausing nor resuming changes what the host wants."""
    world = World()
    await world.registered()
    await world.accounts.patch(NAME, desired=Desired.STOPPED)
    assert [TABLE[Reason.STOPPED].sentence] == await world.say(verb)
    assert Desired.STOPPED is world.accounts.accounts[NAME].spec.desired


@pytest.mark.parametrize("verb", ["pause", "resume", "export"])
async def test_strangers_can_neither_pause_nor_export(verb: str) -> None:
    """Without an account they are told how to begin."""
    assert [words.NOT_REGISTERED] == await World().say(verb)


async def test_exports_what_is_stored() -> None:
    """The record holds the resource and the heartbeat, and names what is stored elsewhere."""
    world = World()
    await world.registered(Reason.CONNECTED)
    (said,) = await world.say("export")
    record = json.loads(said)
    assert ALICE == record["account"]["spec"]["owner"]
    assert "Connected" == record["heartbeat"]["reason"]
    assert list(export.ELSEWHERE) == record["stored elsewhere"]
    assert record["made"].startswith("1970-01-01T00:16:40")


async def test_an_export_of_others_is_never_given() -> None:
    """Bob gets his own record, not Alice's."""
    world = World()
    await world.registered(Reason.CONNECTED)
    await world.accounts.create("bob@example.org")
    record = await world.service.export("bob@example.org")
    assert ALICE not in json.dumps(record)


async def test_help_names_the_page_if_there_is_one() -> None:
    """The front desk and the page point to each other."""
    world = World()
    limits = Limits(DOMAIN, ("example.org",), page="https://example.org/whatsapp")
    service = AccountService(limits, world.accounts, world.shards)
    assert "https://example.org/whatsapp" in (await service.perform(Request(ALICE, Ask.HELP))).sentence
    assert "https://" not in (await world.service.perform(Request(ALICE, Ask.HELP))).sentence


async def test_who_registers_on_a_page_sees_codes_without_being_online() -> None:
    """The new shard is told that somebody watches a page; in a chat it is not."""
    world = World()
    await world.service.perform(Request(ALICE, Ask.REGISTER, watching=True))
    assert [(Verb.NEW_CODE, PAGE)] == world.shards.asked
    await world.service.perform(Request(ALICE, Ask.CODE, watching=True))
    assert [(Verb.NEW_CODE, PAGE)] * 2 == world.shards.asked
    await world.service.perform(Request(ALICE, Ask.CODE))
    assert (Verb.NEW_CODE, "") == world.shards.asked[-1]


async def test_a_code_for_a_parked_account_is_watched_as_well() -> None:
    """It is woken, and its next shard finds the command."""
    world = World()
    await world.registered()
    world.accounts.park(ALICE, Reason.CODES_USED_UP)
    await world.service.perform(Request(ALICE, Ask.CODE, watching=True))
    assert ([NAME], [(Verb.NEW_CODE, PAGE)]) == (world.accounts.woken, world.shards.asked)


def test_every_request_of_an_owner_is_a_command_too() -> None:
    """No page can do what the menu of commands cannot."""
    assert set(Ask) == {entry.ask for entry in commands.MENU.values()}
