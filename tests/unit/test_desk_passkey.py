"""WhatsApp's request for a passkey at the front desk: told how, answered, compared, called off, by both doors."""

import json
import re
from xml.sax.saxutils import escape

import pytest

from ponton_bridge.coordination.contract import LiveCode, Result, Verb
from ponton_bridge.core import passkey
from ponton_bridge.model.states import TABLE, Reason
from ponton_operator.selfservice import passkeys, words
from ponton_operator.selfservice.service import AccountService, Ask, Asks, Limits, Request
from ponton_operator.selfservice.xmpp import chat
from tests.unit.desk_world import ALICE, DOMAIN, World
from tests.unit.test_desk_commands import FORM, command, seen
from tests.unit.test_passkey import KEY, REQUEST

OK = Result(id="1", ok=1)
ASKED = passkeys.request_of(LiveCode("passkey", REQUEST, 1, 1, 0.0))


async def asked(kind: str = "passkey", text: str = REQUEST) -> World:
    """A desk whose Alice is asked something by WhatsApp, for ten more minutes."""
    world = World()
    reason = Reason.WAITING_FOR_PASSKEY if kind == "passkey" else Reason.COMPARING_CODES
    await world.registered(reason)
    world.shards.code = LiveCode(kind, text, 1, 1, 600.0)
    world.shards.answer = OK
    return world


async def test_says_how_to_answer() -> None:
    """The lines to run hold the request and nothing else of anybody; the time is told, and what to do with a phone."""
    (told,) = await (await asked()).say("passkey")
    assert told.startswith(words.PASSKEY_ASKED.format(minutes=10))
    assert passkeys.snippet(ASKED) in told
    assert words.PASSKEY_PHONE_ONLY in told
    assert "/account/passkey" not in told


async def test_names_the_page_where_there_is_one() -> None:
    """Whoever can open it has the easier way, told first."""
    world = await asked()
    limits = Limits(DOMAIN, ("example.org",), page="https://example.org/whatsapp")
    service = AccountService(limits, world.accounts, world.shards, lambda: world.now)
    answer = await service.perform(Request(ALICE, Ask.PASSKEY))
    assert Asks.ANSWER is answer.asks
    assert answer.sentence.index("https://example.org/whatsapp/account/passkey") < answer.sentence.index("```")


async def test_hands_an_answer_on() -> None:
    """The shard gets the answer's JSON with what WhatsApp is told alone, whatever the chat did to the line."""
    world = await asked()
    packed = KEY.packed(REQUEST)
    broken = " ".join(packed[at : at + 70] for at in range(0, len(packed), 70))
    for line in (f"passkey {packed}", f"  PASSKEY\n{broken}"):
        assert [words.PASSKEY_TAKEN] == await world.say(line)
    (first, second) = world.shards.asked
    assert first == second
    assert (Verb.PASSKEY, passkey.check(passkey.unpacked(packed), REQUEST).to_json()) == first


async def test_an_answer_that_is_none_stays_here() -> None:
    """Neither shard nor WhatsApp hears of it."""
    world = await asked()
    for line in ("passkey please", "passkey " + "A" * 3900, "passkey eyJ9"):
        (told,) = await world.say(line)
        assert "Copy" in told
    assert [] == world.shards.asked


async def test_what_the_shard_says_is_told() -> None:
    """Its sentence, when it refuses; a word on patience, when it does not answer."""
    world = await asked()
    world.shards.answer = Result(id="1", ok=0, sentence="Another request.")
    assert ["Another request."] == await world.say(f"passkey {KEY.packed(REQUEST)}")
    world.shards.answer = None
    assert [words.NO_ANSWER] == await world.say(f"passkey {KEY.packed(REQUEST)}")


@pytest.mark.parametrize(
    ("kind", "line", "argument", "sentence"),
    [
        ("compare", "passkey yes", "yes", words.CODES_SAME),
        ("compare", "passkey ja", "yes", words.CODES_SAME),
        ("compare", "passkey no", "no", words.PASSKEY_STOPPED),
        ("passkey", "passkey no", "no", words.PASSKEY_STOPPED),
    ],
)
async def test_hands_a_word_on(kind: str, line: str, argument: str, sentence: str) -> None:
    """Yes and no are for codes; no ends a request, too."""
    world = await asked(kind, REQUEST if kind == "passkey" else "ABCD-EFGH")
    assert [sentence] == await world.say(line)
    assert [(Verb.COMPARED, argument)] == world.shards.asked


async def test_shows_the_code_to_compare() -> None:
    """The code, how to answer, and how long."""
    world = await asked("compare", "ABCD-EFGH")
    assert [words.COMPARE.format(code="ABCD-EFGH", minutes=10)] == await world.say("passkey")
    assert [] == world.shards.asked


@pytest.mark.parametrize("code", [None, LiveCode("qr", "2@x", 1, 6, 2000.0)])
async def test_without_a_request_there_is_nothing_to_answer(code: LiveCode | None) -> None:
    """A code to scan is no request; without a shard nobody is asked."""
    world = await asked()
    world.shards.code, world.shards.reason = code, Reason.WAITING_FOR_SCAN
    assert [words.NO_PASSKEY] == await world.say("passkey")
    world.accounts.park(ALICE, Reason.PASSKEY_FAILED)
    assert [words.NO_PASSKEY] == await world.say(f"passkey {KEY.packed(REQUEST)}")
    assert [] == world.shards.asked


async def test_a_driver_that_cannot_is_told_as_such() -> None:
    """The owner learns whom to ask."""
    world = await asked()
    world.accounts.park(ALICE, Reason.PASSKEY_NEEDED)
    assert [TABLE[Reason.PASSKEY_NEEDED].sentence] == await world.say("passkey")


@pytest.mark.parametrize("line", ["code", "pair +44 7700 900123"])
async def test_a_code_would_not_help(line: str) -> None:
    """Whoever asks for one is told what WhatsApp waits for instead."""
    world = await asked()
    assert [words.ANSWER_FIRST] == await world.say(line)
    world.shards.reason = Reason.PASSKEY_ANSWERED
    assert [TABLE[Reason.PASSKEY_ANSWERED].sentence] == await world.say(line)
    assert [] == world.shards.asked


async def test_strangers_are_told_to_register() -> None:
    """Without an account there is no request."""
    assert [words.NOT_REGISTERED] == await World().say("passkey")


async def test_command_asks_for_the_answer() -> None:
    """The form explains and takes the answer; completing it hands it on."""
    world = await asked()
    heard = await world.hear(command("passkey"))
    assert ("executing", "fresh", None) == seen(heard)
    assert passkeys.snippet(ASKED) in (heard[0].findtext(f".//{FORM}instructions") or "")
    assert ["answer"] == [field.get("var") for field in heard[0].iter(f"{FORM}field")]
    done = await world.hear(
        command("passkey", action="complete", fields={"answer": escape(KEY.packed(REQUEST))}, session="fresh")
    )
    assert ("completed", "fresh", words.PASSKEY_TAKEN) == seen(done)
    assert [Verb.PASSKEY] == [verb for verb, _ in world.shards.asked]


async def test_command_asks_again_without_an_answer() -> None:
    """An empty field is no answer; going back shows the same form."""
    world = await asked()
    for step in (command("passkey", fields={"answer": ""}), command("passkey", action="execute")):
        assert "executing" == seen(await world.hear(step))[0]
    assert [] == world.shards.asked


@pytest.mark.parametrize(("word", "sentence"), [("yes", words.CODES_SAME), ("no", words.PASSKEY_STOPPED)])
async def test_command_compares_codes(word: str, sentence: str) -> None:
    """A list of two, and none of them chosen beforehand."""
    world = await asked("compare", "ABCD-EFGH")
    heard = await world.hear(command("passkey"))
    (field,) = heard[0].iter(f"{FORM}field")
    assert ("same", "list-single", None) == (field.get("var"), field.get("type"), field.find(f"{FORM}value"))
    assert "ABCD-EFGH" in (heard[0].findtext(f".//{FORM}instructions") or "")
    done = await world.hear(command("passkey", fields={"same": word}))
    assert ("completed", sentence) == (seen(done)[0], seen(done)[2])
    assert [(Verb.COMPARED, word)] == world.shards.asked


async def test_command_without_a_request_says_so() -> None:
    """It completes at once."""
    world = await asked()
    world.shards.code = None
    assert ("completed", "fresh", words.NO_PASSKEY) == seen(await world.hear(command("passkey")))


def test_only_answers_may_be_long() -> None:
    """What else is written is cut as before."""
    long = chat.read(ALICE, "passkey " + "a" * 3000)
    assert long is not None
    assert "a" * 3000 == long.argument
    other = chat.read(ALICE, "pair " + "1" * 3000)
    assert other is not None
    assert chat.MAX_TEXT > len(other.argument)


def test_the_snippet_holds_the_request_and_where_to_go_alone() -> None:
    """It is JavaScript whatever WhatsApp writes into a request, and says where it may run."""
    strange = json.dumps(json.loads(REQUEST) | {"rpId": "</script>\u2028'\"`${x}"})
    request = passkeys.request_of(LiveCode("passkey", strange, 1, 1, 0.0))
    made = passkeys.snippet(request, "https://example.org/#once.")
    found = re.search(r"parseRequestOptionsFromJSON\((.*)\);", made)
    assert found
    assert json.loads(strange) == json.loads(found[1])
    assert made.isascii()
    assert 'location.assign("https://example.org/#once." + text);' in made
    assert 'location.origin !== "https://web.whatsapp.com"' in made


@pytest.mark.parametrize("text", ["", "nonsense", "[]", "7", "[" * 7000, '{"a":"' + "x" * 9000 + '"}'])
async def test_what_a_shard_may_write_is_no_request(text: str) -> None:
    """A shard of another version, or a bad one, breaks nobody's door."""
    world = await asked("passkey", text)
    assert [words.NO_PASSKEY] == await world.say("passkey")
    assert "" == passkeys.request_of(world.shards.code) == passkeys.request_of(None)
    assert None is passkeys.asked_of(text)


def test_minutes_are_whole_and_never_none() -> None:
    """Whoever is told to hurry is not told that it is too late."""
    assert [10, 1, 1, 1] == [passkeys.minutes(seconds) for seconds in (600.0, 119.0, 20.0, -5.0)]
    assert "1." in passkeys.how(LiveCode("passkey", REQUEST, 1, 1, 0.0), "")
