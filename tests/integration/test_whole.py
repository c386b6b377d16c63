"""The whole of Ponton at once, from the doors to the phone: what an owner does, on real servers and the sandbox."""

from collections.abc import AsyncIterator
from pathlib import Path
from xml.etree.ElementTree import Element

import pytest

from ponton_bridge.model.states import TABLE, Reason
from ponton_operator.selfservice import words
from tests.demo import picture
from tests.demo.say import Say
from tests.demo.stage import PASSWORD, USER, Stage, built
from tests.demo.story import OOB, Story
from tests.harness.prosody import until
from tests.harness.xmpp import Client, logged_in
from tests.sandbox.client import AccountHandle, SandboxClient

CODE = "Your code is "


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """All parts, running."""
    async with built(tmp_path, Say(lambda _line: None)) as parts:
        yield parts


@pytest.fixture
async def alice(stage: Stage) -> AsyncIterator[Client]:
    """The owner's client."""
    async with logged_in(stage.prosody, USER, PASSWORD, resource="laptop", carbons=True) as client:
        yield client


@pytest.fixture
def sandbox(stage: Stage) -> SandboxClient:
    """The sandbox of the stage."""
    assert stage.sandbox is not None
    return stage.sandbox


@pytest.fixture
async def phone(sandbox: SandboxClient) -> AccountHandle:
    """The owner's phone."""
    return await sandbox.account(push_name="Alice", contacts=["Bob"])


async def asked(client: Client, stage: Stage, text: str) -> str:
    """Write to the gateway; gives the next text that it writes back."""
    gateway = stage.prosody.component
    before = len(client.messages)
    client.say(gateway, text)
    reply = await client.message(
        lambda m: m in client.messages[before:] and m["from"].bare == gateway and m["body"] and m.xml.find(OOB) is None
    )
    return str(reply["body"])


async def shown(client: Client, stage: Stage, after: int = 0) -> str:
    """Wait for a picture of a code among the messages from number `after` on; gives the code."""
    message = await client.message(lambda m: m in client.messages[after:] and m.xml.find(OOB) is not None)
    return picture.read(stage.fetch(str(message["body"])))


async def presence_is(client: Client, stage: Stage, reason: Reason) -> None:
    """Wait until the gateway's presence shows that state."""
    gateway = stage.prosody.component
    await client.presence(lambda p: p["from"].bare == gateway and p["status"] == TABLE[reason].sentence)


async def linked(client: Client, stage: Stage, phone: AccountHandle) -> None:
    """Register by chat and link by the picture."""
    assert words.REGISTERED == await asked(client, stage, "register")
    await phone.scan(await shown(client, stage))
    await client.message(lambda m: m["body"] == TABLE[Reason.CONNECTED].sentence)
    await presence_is(client, stage, Reason.CONNECTED)


async def test_plays_the_whole_story(stage: Stage, sandbox: SandboxClient) -> None:
    """The demo's story holds: discover, register, scan, talk, crash, go on, leave, nothing left."""
    await Story(stage, sandbox, Say(lambda _line: None)).play()


async def test_links_by_chat_and_eight_letters(stage: Stage, alice: Client, phone: AccountHandle) -> None:
    """An owner without commands and camera registers by chat with a number and types the letters that come."""
    assert words.REGISTERED_PHONE == await asked(alice, stage, f"register {phone.number}")
    message = await alice.message(lambda m: "-" in m["body"] and any(_is_code(part) for part in m["body"].split()))
    code = next(part.strip(".,:") for part in str(message["body"]).split() if _is_code(part))
    await phone.type_code(code)
    await presence_is(alice, stage, Reason.CONNECTED)


async def test_asks_for_letters_later(stage: Stage, alice: Client, phone: AccountHandle) -> None:
    """While a picture is shown the owner asks for the letters instead, and they stand in the answer."""
    await asked(alice, stage, "register")
    await shown(alice, stage)
    answer = await asked(alice, stage, f"pair {phone.number}")
    assert answer.startswith(CODE)
    await phone.type_code(answer.removeprefix(CODE)[:9])
    await presence_is(alice, stage, Reason.CONNECTED)


async def test_unlinks_and_links_again(stage: Stage, alice: Client, phone: AccountHandle) -> None:
    """Unlinking ends the link at WhatsApp and keeps the account; a new code links it again."""
    await linked(alice, stage, phone)
    assert words.UNLINK_CONFIRM == await asked(alice, stage, "unlink")
    await asked(alice, stage, "unlink yes")
    await until(lambda: _is_unlinked(phone), what="the end of the link")
    await presence_is(alice, stage, Reason.UNLINKED)
    before = len(alice.messages)
    await asked(alice, stage, "code")
    await phone.scan(await shown(alice, stage, before))
    await until(lambda: _is_linked(phone), what="the new link")


async def test_answers_a_second_user_while_the_first_one_links(
    stage: Stage, alice: Client, sandbox: SandboxClient
) -> None:
    """With WhatsApp silent for one owner, another one's question is answered all the same."""
    stage.prosody.add_user("carol", "carol-demo")
    await sandbox.fault("refuse")
    await asked(alice, stage, "register")
    async with logged_in(stage.prosody, "carol", "carol-demo", resource="x") as carol:
        assert words.NOT_REGISTERED == await asked(carol, stage, "status")


async def test_explains_an_encrypted_message_to_a_contact(stage: Stage, alice: Client, phone: AccountHandle) -> None:
    """OMEMO to a contact is answered with how to switch it off, and nothing reaches the contact."""
    await linked(alice, stage, phone)
    bob = await phone.sandbox.contact("Bob")
    message = alice.make_message(f"{bob.number}@{stage.prosody.component}", mtype="chat")
    encrypted = Element("{eu.siacs.conversations.axolotl}encrypted")
    encrypted.append(Element("{eu.siacs.conversations.axolotl}payload"))
    message.append(encrypted)
    message["body"] = "I sent you an OMEMO encrypted message"
    message["id"] = "omemo-1"
    message.send()
    error = await alice.message(lambda m: m["type"] == "error" and m["id"] == "omemo-1")
    assert "encrypt" in error["error"]["text"].lower()
    assert [] == await bob.inbox(kinds="message")


async def test_tells_the_owner_when_the_phone_ends_the_link(stage: Stage, alice: Client, phone: AccountHandle) -> None:
    """Removing the device on the phone is told once, in words, with what to do next."""
    await linked(alice, stage, phone)
    await phone.unlink()
    await alice.message(lambda m: m["body"] == TABLE[Reason.LOGGED_OUT].sentence)
    await presence_is(alice, stage, Reason.LOGGED_OUT)
    before = len(alice.messages)
    await asked(alice, stage, "code")
    await phone.scan(await shown(alice, stage, before))
    await until(lambda: _is_linked(phone), what="the new link")


def _is_code(word: str) -> bool:
    letters = word.strip(".,:")
    return len(letters) == 9 and letters[4] == "-" and letters.replace("-", "").isalnum() and letters.isupper()


async def _is_linked(phone: AccountHandle) -> bool:
    return bool(await phone.linked())


async def _is_unlinked(phone: AccountHandle) -> bool:
    return not await phone.linked()
