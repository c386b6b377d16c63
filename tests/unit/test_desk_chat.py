"""The door of plain chat: dialogues with the front desk, and how texts are read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponton_bridge.coordination.contract import Result, Verb
from ponton_bridge.features import encrypted
from ponton_bridge.model.states import TABLE, Reason
from ponton_operator.resources.account import Desired, account_name
from ponton_operator.selfservice import words
from ponton_operator.selfservice.service import Ask, Request
from ponton_operator.selfservice.xmpp import chat
from tests.unit.desk_world import ALICE, DOMAIN, World, plains, stanza

NAME = account_name(DOMAIN, ALICE)


async def test_answers_a_stranger_with_what_this_is_and_how_to_begin() -> None:
    """A first text from somebody unknown gets a welcome that names the next step."""
    said = await World().say("hello there")
    assert [words.WELCOME.format(domain_of_host="example.org")] == said


async def test_registers_by_chat() -> None:
    """The word `register` makes the account and promises the code."""
    world = World()
    assert [words.REGISTERED] == await world.say("Register!")
    assert [ALICE] == [account.spec.owner for account in world.accounts.accounts.values()]


async def test_registers_with_a_phone_number() -> None:
    """A number behind `register` asks the new shard for an 8-letter code too, as soon as it is there."""
    world = World()
    assert [words.REGISTERED_PHONE] == await world.say("register +44 (7700) 900-123")
    assert [(Verb.PAIR_PHONE, "447700900123")] == world.shards.asked


async def test_refuses_a_number_that_is_none_before_anything_is_made() -> None:
    """A malformed number is answered in words and leaves no account behind."""
    world = World()
    (said,) = await world.say("register 12")
    assert "international form" in said
    assert {} == world.accounts.accounts


async def test_registering_twice_is_harmless() -> None:
    """A repeated registration tells the state and makes nothing new."""
    world = World()
    await world.say("register")
    world.shards.reason = Reason.CONNECTED
    assert [words.ALREADY.format(state=TABLE[Reason.CONNECTED].sentence)] == await world.say("register")
    assert 1 == len(world.accounts.accounts)


async def test_registering_again_wakes_a_parked_account() -> None:
    """Whoever registers again after the codes were used up gets a new attempt."""
    world = World()
    await world.registered()
    world.accounts.park(ALICE, Reason.CODES_USED_UP)
    await world.say("register")
    assert [NAME] == world.accounts.woken


async def test_refuses_owners_of_other_servers() -> None:
    """A remote user is told whom this gateway serves."""
    world = World()
    assert [words.NOT_ALLOWED.format(hosts="example.org")] == await world.say("register", "eve@elsewhere.net/x")
    assert {} == world.accounts.accounts


async def test_refuses_more_accounts_than_the_host_allows() -> None:
    """The quota of the gateway ends in a sentence, not in silence."""
    world = World(accounts=1)
    await world.say("register")
    assert [words.FULL] == await world.say("register", "bob@example.org/x")


async def test_leaves_making_accounts_to_the_host_where_registration_is_closed() -> None:
    """With registration closed nobody registers by themselves; those who have an account go on."""
    world = World(is_open=False)
    assert [words.CLOSED] == await world.say("register")
    await world.registered(Reason.CONNECTED)
    assert [words.ALREADY.format(state=TABLE[Reason.CONNECTED].sentence)] == await world.say("register")


@pytest.mark.parametrize("reason", list(Reason))
async def test_tells_every_state_in_words(reason: Reason) -> None:
    """The status is the sentence of the one table, for every reason there is."""
    world = World()
    await world.registered(reason)
    assert [TABLE[reason].sentence] == await world.say("status")


async def test_tells_the_kept_state_when_no_shard_speaks() -> None:
    """Without a heartbeat the status comes from what the control plane holds: it works when the shard is broken."""
    world = World()
    await world.registered()
    world.accounts.park(ALICE, Reason.BANNED)
    assert [TABLE[Reason.BANNED].sentence] == await world.say("status")


@pytest.mark.parametrize("text", ["code", "pair +447700900123"])
async def test_explains_why_a_code_would_not_help(text: str) -> None:
    """While it is the host's turn the owner is told so; nothing is woken and no shard is asked."""
    world = World()
    await world.registered(reason=Reason.OUTDATED)
    assert [TABLE[Reason.OUTDATED].sentence] == await world.say(text)
    await world.accounts.patch(NAME, desired=Desired.STOPPED)
    assert [TABLE[Reason.STOPPED].sentence] == await world.say(text)
    assert ([], []) == (world.accounts.woken, world.shards.asked)


async def test_promises_no_code_where_the_link_is_kept() -> None:
    """A banned number goes on with its link when it is woken."""
    world = World()
    await world.registered()
    world.accounts.park(ALICE, Reason.BANNED, paired=True)
    assert [words.GOES_ON] == await world.say("code")
    world.accounts.park(ALICE, Reason.STALE_STORE, paired=True)
    assert [words.NEW_CODE] == await world.say("code")
    assert [NAME, NAME] == world.accounts.woken


async def test_unlinks_a_link_whose_shard_is_parked() -> None:
    """The device is still linked, so a shard is woken to tell WhatsApp; a host's stop holds against that, too."""
    world = World()
    await world.registered()
    world.accounts.park(ALICE, Reason.BANNED, paired=True)
    assert [words.UNLINK_CONFIRM] == await world.say("unlink")
    assert [] == world.accounts.woken
    world.shards.answer = Result("1", ok=1, sentence="Done.")
    assert ["Done."] == await world.say("unlink yes")
    assert ([NAME], [(Verb.UNLINK, "")]) == (world.accounts.woken, world.shards.asked)
    await world.accounts.patch(NAME, desired=Desired.STOPPED)
    assert [TABLE[Reason.STOPPED].sentence] == await world.say("unlink yes")


async def test_asks_the_shard_for_a_new_code() -> None:
    """A running, unlinked shard makes a new code; its own sentence is passed on."""
    world = World()
    await world.registered(Reason.WAITING_FOR_SCAN)
    world.shards.answer = Result(id="1", ok=1, sentence="Here it comes.")
    assert ["Here it comes."] == await world.say("code")
    assert [(Verb.NEW_CODE, "")] == world.shards.asked


async def test_wakes_a_parked_account_for_a_new_code() -> None:
    """Without a shard the account is woken; the code follows by itself."""
    world = World()
    await world.registered()
    world.accounts.park(ALICE, Reason.LOGGED_OUT)
    assert [words.NEW_CODE] == await world.say("code")
    assert ([NAME], []) == (world.accounts.woken, world.shards.asked)


@pytest.mark.parametrize(
    ("why", "paired", "told", "done"),
    [
        ("NeverPaired", False, Reason.CODES_USED_UP, words.NEW_CODE),
        ("UnreachableTooLong", True, Reason.PARKED, words.GOES_ON),
        ("CrashingTooLong", True, Reason.PARKED, words.GOES_ON),
    ],
)
async def test_wakes_what_the_scaler_keeps_at_rest(*, why: str, paired: bool, told: Reason, done: str) -> None:
    """Its state is told in words that help, and asking for a code starts it; no shard is asked, since there is none."""
    world = World()
    await world.registered()
    world.accounts.rest(ALICE, why, paired=paired)
    assert [TABLE[told].sentence] == await world.say("status")
    assert [done] == await world.say("code")
    assert ([NAME], []) == (world.accounts.woken, world.shards.asked)


async def test_makes_no_code_for_a_linked_account() -> None:
    """Somebody who is linked already is told so instead of losing the link."""
    world = World()
    await world.registered(Reason.CONNECTED)
    assert [words.LINKED_ALREADY] == await world.say("code")
    assert [] == world.shards.asked


async def test_says_when_a_shard_does_not_answer() -> None:
    """No answer in time is told as such."""
    world = World()
    await world.registered(Reason.WAITING_FOR_SCAN)
    assert [words.NO_ANSWER] == await world.say("code")


async def test_shows_the_code_for_the_phone() -> None:
    """The 8-letter code stands in the answer itself."""
    world = World()
    await world.registered(Reason.WAITING_FOR_SCAN)
    world.shards.answer = Result(id="1", ok=1, value="ABCD-EFGH")
    assert [words.PHONE_CODE.format(code="ABCD-EFGH")] == await world.say("pair +44 7700 900123")


async def test_asks_for_the_number_when_it_is_missing() -> None:
    """`pair` alone says what to write."""
    world = World()
    await world.registered(Reason.WAITING_FOR_SCAN)
    assert [words.ASK_NUMBER] == await world.say("pair")


async def test_passes_on_why_a_shard_refused() -> None:
    """A shard's refusal reaches the owner in its own words."""
    world = World()
    await world.registered(Reason.WAITING_FOR_SCAN)
    world.shards.answer = Result(id="1", ok=0, sentence="Too many tries; wait an hour.")
    assert ["Too many tries; wait an hour."] == await world.say("pair +447700900123")


async def test_unlinks_only_after_a_yes() -> None:
    """Ending the link is asked back first, then done."""
    world = World()
    await world.registered(Reason.CONNECTED)
    assert [words.UNLINK_CONFIRM] == await world.say("unlink")
    assert [] == world.shards.asked
    world.shards.answer = Result(id="1", ok=1)
    assert [words.UNLINKED] == await world.say("unlink yes")
    assert [(Verb.UNLINK, "")] == world.shards.asked


async def test_has_nothing_to_unlink_before_the_scan() -> None:
    """Without a link there is nothing to end."""
    world = World()
    await world.registered(Reason.WAITING_FOR_SCAN)
    assert [words.NOT_LINKED] == await world.say("unlink yes")


async def test_deletes_after_a_yes_and_tells_when_it_is_done() -> None:
    """Deletion is confirmed, announced, and its end is told with the list of what is gone."""
    world = World()
    await world.registered(Reason.CONNECTED)
    assert [words.DELETE_CONFIRM] == await world.say("delete")
    assert [words.DELETING] == await world.say("delete yes")
    world.accounts.finish_deletion(ALICE)
    (follower,) = world.desk._tasks
    await follower
    bodies = [part.findtext("{jabber:client}body") for part in world.sent]
    assert f"{words.DELETED} {words.RESIDUE}" in bodies


async def test_waits_with_a_new_registration_until_the_deletion_is_done() -> None:
    """In between the owner is told to wait, whatever they ask."""
    world = World()
    await world.registered(Reason.CONNECTED)
    await world.accounts.delete(NAME)
    for text in ("register", "code", "pair +447700900123", "unlink yes", "status"):
        assert [words.BEING_DELETED] == await world.say(text)
    await world.desk.close()


@pytest.mark.parametrize("text", ["code", "pair +447700900123", "unlink", "delete", "status"])
async def test_tells_strangers_that_they_are_not_registered(text: str) -> None:
    """Every request of somebody unknown names the way in."""
    assert [words.NOT_REGISTERED] == await World().say(text)


async def test_help_lists_every_request() -> None:
    """The help names each word that the chat understands first."""
    (said,) = await World().say("help")
    for ask in Ask:
        assert f"\n{ask} " in said


async def test_explains_encryption_instead_of_dropping_it() -> None:
    """An OMEMO message is answered with how to switch it off."""
    heard = await World().hear(
        f"<message type='chat' id='m' from='{ALICE}/x' to='{DOMAIN}'>"
        "<encrypted xmlns='eu.siacs.conversations.axolotl'/><body>I sent you an OMEMO message</body></message>"
    )
    expected = stanza(
        f"<message type='error' id='m' to='{ALICE}/x' from='{DOMAIN}'><error type='modify'>"
        "<bad-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"
        f"<text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>{encrypted.HOW}</text>"
        "</error></message>"
    )
    assert plains([expected]) == plains(heard)


@pytest.mark.parametrize(
    "payload",
    [
        "<composing xmlns='http://jabber.org/protocol/chatstates'/>",
        "<received xmlns='urn:xmpp:receipts' id='x'/>",
        "<body>  </body>",
        "",
    ],
)
async def test_answers_no_machinery(payload: str) -> None:
    """Chat states, receipts and empty bodies start no conversation."""
    heard = await World().hear(f"<message type='chat' from='{ALICE}/x' to='{DOMAIN}'>{payload}</message>")
    assert [] == heard


async def test_never_answers_errors() -> None:
    """An error gets no answer, so that two gateways cannot talk for ever."""
    heard = await World().hear(f"<message type='error' from='{ALICE}/x' to='{DOMAIN}'><body>help</body></message>")
    assert [] == heard


async def test_slows_down_whoever_asks_too_fast() -> None:
    """A burst beyond any human's is answered with a request to wait, and a minute later all is well."""
    world = World()
    said = [(await world.say("status"))[0] for _ in range(30)]
    assert words.BUSY == said[-1]
    world.now += 60
    assert [words.NOT_REGISTERED] == await world.say("status")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/code", Request(ALICE, Ask.CODE)),
        ("DELETE YES", Request(ALICE, Ask.DELETE, sure=True)),
        ("pair\n+33 612345678", Request(ALICE, Ask.PAIR, "+33 612345678")),
        ("?", Request(ALICE, Ask.HELP)),
        ("tell me a story", None),
        ("", None),
    ],
)
def test_reads_texts_as_people_write_them(text: str, expected: Request | None) -> None:
    """Case, slashes, dots and line breaks do not matter; other sentences are not guessed at."""
    assert expected == chat.read(ALICE, text)


@given(st.text(max_size=2000))
def test_reads_any_text_without_failing(text: str) -> None:
    """Whatever is typed, reading gives a request with a bounded argument, or None."""
    request = chat.read(ALICE, text)
    assert request is None or len(request.argument) <= chat.MAX_TEXT
