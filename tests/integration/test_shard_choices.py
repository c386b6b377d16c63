"""What an owner lets contacts see, through a whole shard: each choice takes effect, at once, and over restarts."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from ponton_bridge.coordination.contract import Choices, Command, Result, Verb
from ponton_bridge.model.errors import OwnerError
from ponton_bridge.shard.config import Config
from ponton_bridge.whatsapp.port import TypingState
from tests.harness.fake_port import FakeWhatsApp
from tests.harness.prosody import Prosody, running_prosody, until
from tests.harness.shard import Running, config_for, running_shard
from tests.harness.xmpp import Client, logged_in
from tests.integration.test_shard_composition import BOB, BOB_JID, NOWHERE, text

COMPOSING: Final = "<composing xmlns='http://jabber.org/protocol/chatstates'/>"
DISPLAYED: Final = "<displayed xmlns='urn:xmpp:chat-markers:0' id='A1'/>"


@pytest.fixture
async def prosody(tmp_path: Path) -> AsyncIterator[Prosody]:
    """A private Prosody with alice."""
    async with running_prosody(tmp_path / "prosody", users={"alice": "pw"}) as server:
        yield server


@pytest.fixture
def config(prosody: Prosody, tmp_path: Path) -> Config:
    """The configuration of alice's shard."""
    return config_for(prosody, NOWHERE, tmp_path)


async def choose(shard: Running, choices: Choices) -> Result:
    """Ask the shard as a door does."""
    return await shard.shard.commands.handle(Command("c", Verb.CHOOSE, 9e9, choices.to_json()))


def say(alice: Client, payload: str) -> None:
    """Send Bob something that is no text."""
    alice.send_raw(f"<message to='{BOB_JID}' type='chat' id='x'>{payload}</message>")


async def test_typing_is_not_told_any_more(prosody: Prosody, config: Config) -> None:
    """What is written after it is told to WhatsApp, what says that somebody writes is not."""
    whatsapp = FakeWhatsApp(linked=True)
    async with logged_in(prosody, "alice", "pw") as alice, running_shard(config, whatsapp) as shard:
        await whatsapp.until(lambda: whatsapp.running)
        say(alice, COMPOSING)
        await whatsapp.until(lambda: [state for _, state in whatsapp.called("typing")] == [TypingState.COMPOSING])
        await choose(shard, Choices(1, typing=0))
        say(alice, COMPOSING)
        alice.say(BOB_JID, "hi bob")
        await whatsapp.until(lambda: whatsapp.texts() == [(BOB.number, "hi bob")])
        assert 1 == len(whatsapp.called("typing"))
        await choose(shard, Choices(2))
        say(alice, COMPOSING)
        await whatsapp.until(lambda: len(whatsapp.called("typing")) == 2)


async def test_presence_is_taken_back_at_once(prosody: Prosody, config: Config) -> None:
    """An owner who is there is away for WhatsApp as soon as they choose so, and there again when they change it."""
    whatsapp = FakeWhatsApp(linked=True)
    async with logged_in(prosody, "alice", "pw"), running_shard(config, whatsapp) as shard:
        await whatsapp.until(lambda: (True,) in whatsapp.called("presence"))
        await choose(shard, Choices(1, presence=0))
        await whatsapp.until(lambda: whatsapp.called("presence")[-1] == (False,))
        await choose(shard, Choices(2))
        await whatsapp.until(lambda: whatsapp.called("presence")[-1] == (True,))


async def test_what_was_read_is_not_told_any_more_nor_later(prosody: Prosody, config: Config) -> None:
    """A marker is noted and goes nowhere; after the choice is taken back the next marker tells the new one only."""
    whatsapp = FakeWhatsApp(linked=True)
    async with logged_in(prosody, "alice", "pw") as alice, running_shard(config, whatsapp) as shard:
        await whatsapp.until(lambda: whatsapp.running)
        await choose(shard, Choices(1, receipts=0))
        whatsapp.say(text("A1", "one"))
        await alice.message(lambda m: m["body"] == "one")
        say(alice, DISPLAYED)

        async def noted() -> bool:
            return not await shard.account.journal.run(lambda journal: journal.unread_until(BOB.key, "A1"))

        await until(noted)
        await choose(shard, Choices(2))
        whatsapp.say(text("A2", "two"))
        await alice.message(lambda m: m["body"] == "two")
        say(alice, DISPLAYED.replace("A1", "A2"))
        await whatsapp.until(lambda: [ids for _, _, ids in whatsapp.called("mark_read")] == [("A2",)])


async def test_a_choice_outlives_the_process(prosody: Prosody, config: Config) -> None:
    """A container that crashed has an older environment than what its journal kept; a newer one counts more."""
    async with running_shard(config, FakeWhatsApp(linked=True)) as shard:
        await choose(shard, Choices(4, typing=0))
    again = replace(config, choices=Choices(3))
    async with running_shard(again, FakeWhatsApp(linked=True)) as shard:
        assert Choices(4, typing=0) == shard.account.choices
    newer = replace(config, choices=Choices(5, presence=0))
    whatsapp = FakeWhatsApp(linked=True)
    async with logged_in(prosody, "alice", "pw"), running_shard(newer, whatsapp) as shard:
        assert Choices(5, presence=0) == shard.account.choices
        await whatsapp.until(lambda: (False,) in whatsapp.called("presence"))
        assert (True,) not in whatsapp.called("presence")


async def test_a_late_choice_and_a_broken_one_change_nothing(prosody: Prosody, config: Config) -> None:
    """Commands come at least once and in any order; what cannot be read is told to the door."""
    async with running_shard(config, FakeWhatsApp(linked=True)) as shard:
        await choose(shard, Choices(2, typing=0))
        assert 1 == (await choose(shard, Choices(1))).ok
        assert 1 == (await choose(shard, Choices(2, typing=0))).ok
        assert Choices(2, typing=0) == shard.account.choices
        with pytest.raises(OwnerError, match="cannot read"):
            await shard.shard.commands.handle(Command("c", Verb.CHOOSE, 9e9, "nonsense"))
        assert Choices(2, typing=0) == shard.account.choices
