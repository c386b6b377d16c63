"""What owners choose, by both doors of XMPP: one place keeps it, every shard hears of it, and the newest counts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponton_bridge.coordination.contract import Choices, Result, Verb
from ponton_bridge.model.states import Reason
from ponton_bridge.shard.commands import newest
from ponton_operator.plan.preferences import NAMES, choices_of, choose, chosen
from ponton_operator.resources.account import Desired, Preferences, account_name
from ponton_operator.selfservice import words
from tests.unit.desk_world import ALICE, DOMAIN, World
from tests.unit.test_desk_commands import FORM, command, seen

NAME = account_name(DOMAIN, ALICE)
DONE = Result("x", ok=1)
WANTED = st.dictionaries(st.sampled_from(sorted(NAMES)), st.booleans())


@given(st.lists(WANTED, max_size=5))
def test_what_is_chosen_holds_and_is_newer_each_time(steps: list[dict[str, bool]]) -> None:
    """Each step changes what it names and nothing else; the shard is told the sum, with a higher number."""
    preferences, expected = Preferences(), dict.fromkeys(NAMES, True)
    for number, wanted in enumerate(steps, 1):
        preferences, expected = choose(preferences, wanted), expected | wanted
        assert (expected, number) == (chosen(preferences), preferences.revision)
        told = choices_of(preferences)
        assert expected == {name: bool(getattr(told, name)) for name in NAMES}
        assert told == Choices.from_json(told.to_json())


def test_what_cannot_be_chosen_changes_nothing_else() -> None:
    """A name that is none is left out."""
    assert chosen(Preferences()) == chosen(choose(Preferences(), {"colour": True}))


def test_doors_and_resources_name_the_same() -> None:
    """Every choice has its words, its field and its place in what a shard is told."""
    assert NAMES.keys() == words.CHOICES.keys()
    assert set(NAMES.values()) | {"revision"} == set(Preferences.model_fields)


@pytest.mark.parametrize(
    ("kept", "told", "expected"),
    [
        ("", Choices(), Choices()),
        ("", Choices(3, typing=0), Choices(3, typing=0)),
        (Choices(4, typing=0).to_json(), Choices(3), Choices(4, typing=0)),
        (Choices(3, typing=0).to_json(), Choices(3), Choices(3)),  # people may have edited the resource
        ("{", Choices(1), Choices(1)),
    ],
)
def test_the_newest_counts_when_a_shard_starts(kept: str, told: Choices, expected: Choices) -> None:
    """A crashed container has an older environment than its journal; a new process has a newer one."""
    assert expected == newest(kept, told)


async def registered() -> World:
    """Alice is linked, and her bridge does what it is asked."""
    world = World()
    await world.registered(Reason.CONNECTED)
    world.shards.answer = DONE
    return world


async def test_a_chat_shows_and_changes() -> None:
    """The list says how it is now; a change is kept in the resource and told to the shard."""
    world = await registered()
    (before,) = await world.say("preferences")
    assert f"typing on - {words.CHOICES['typing']}" in before
    assert [words.CHOICE_KEPT] == await world.say("set typing off")
    assert {"receipts": True, "typing": False, "presence": True} == chosen(
        world.accounts.accounts[NAME].spec.preferences
    )
    assert [(Verb.CHOOSE, Choices(1, typing=0).to_json())] == world.shards.asked
    (after,) = await world.say("Settings")
    assert "typing off - " in after


@pytest.mark.parametrize("text", ["set typing", "set colour off", "set typing maybe", "preferences typing"])
async def test_what_is_no_choice_is_told(text: str) -> None:
    """Nothing is changed, and the sentence says where to look."""
    world = await registered()
    assert [words.CHOICE_UNKNOWN] == await world.say(text)
    assert Preferences() == world.accounts.accounts[NAME].spec.preferences


@pytest.mark.parametrize("text", ["set receipts: no", "set RECEIPTS=off", "settings receipts false"])
async def test_people_write_it_in_their_own_way(text: str) -> None:
    """A colon, capitals, another word for no."""
    world = await registered()
    assert [words.CHOICE_KEPT] == await world.say(text)
    assert not world.accounts.accounts[NAME].spec.preferences.read_receipts


async def test_a_command_shows_a_form_with_what_holds_and_takes_it_back() -> None:
    """One field each, as it is now; completing it changes all that it names."""
    world = await registered()
    await world.say("set presence off")
    asked = await world.hear(command("preferences"))
    fields = {
        field.get("var"): field.findtext(f"{FORM}value") for field in asked[0].iter(f"{FORM}field") if field.get("var")
    }
    assert {"receipts": "1", "typing": "1", "presence": "0"} == fields
    done = await world.hear(
        command("preferences", action="complete", fields={"receipts": "0", "typing": "1", "presence": "true"})
    )
    assert "completed" == seen(done)[0]
    assert {"receipts": False, "typing": True, "presence": True} == chosen(
        world.accounts.accounts[NAME].spec.preferences
    )


@pytest.mark.parametrize("answer", [None, Result("x", ok=0, sentence="This bridge does not know what was asked.")])
async def test_a_bridge_that_has_not_heard_is_said(answer: Result | None) -> None:
    """One that does not answer, or is of an older release: the choice is kept all the same."""
    world = await registered()
    world.shards.answer = answer
    assert [words.CHOICE_LATER] == await world.say("set typing off")
    assert not world.accounts.accounts[NAME].spec.preferences.typing


async def test_a_paused_bridge_is_not_asked() -> None:
    """It reads the resource when it starts."""
    world = await registered()
    await world.accounts.patch(NAME, desired=Desired.PARKED)
    assert [words.CHOICE_LATER] == await world.say("set typing off")
    assert [] == world.shards.asked


async def test_who_is_not_registered_has_nothing_to_choose() -> None:
    """By chat and by command, in the same words."""
    world = World()
    assert [words.NOT_REGISTERED] == await world.say("preferences")
    (refused,) = await world.hear(command("preferences"))
    assert "error" == refused.get("type")
