"""Malformed and hostile stanzas from clients, on the whole system: each gets a clear answer or is dropped, nobody dies.

One table for each theme (`hostile_cases`); after each theme the neighbour still talks, everything runs in the same
processes, and no address in a message was visited. The town (`tests.harness.town`) is started once for the file.
"""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.harness.town import Case, Town, built_town
from tests.integration import hostile_cases as hostile

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def town(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Town]:
    """Everything, running."""
    async with built_town(tmp_path_factory.mktemp("town")) as built:
        yield built


async def expect(town: Town, who: str, cases: list[Case]) -> None:
    """Each case has the outcome that its line says, and the others noticed nothing."""
    outcomes = await town.throwers[who].outcomes(cases)
    assert {case.name: case.expected for case in cases} == outcomes
    await town.peace()


async def test_every_text_is_delivered_or_refused_with_a_reason(town: Town) -> None:
    """Replies, places, links, mentions, odd text and oversize: sent as words or refused, and no address is visited."""
    await expect(town, "alice", hostile.TEXTS)


async def test_every_kind_of_encryption_is_refused_with_a_reason(town: Town) -> None:
    """What WhatsApp cannot read is refused; keys that came by themselves are dropped."""
    before = len(await town.bob.inbox(kinds="message"))
    await expect(town, "alice", hostile.ENCRYPTED)
    assert [f"peace {town.rounds} there"] == [r["text"] for r in (await town.bob.inbox(kinds="message"))[before:]]


async def test_odd_markers_receipts_and_states_do_nothing_or_are_refused(town: Town) -> None:
    """Ids that nobody knows reach WhatsApp in no receipt; what asks for an act that is not carried is refused."""
    heard = await town.bob.send_text(to=town.phones["alice-phone"], text="to be corrected by nobody")
    await town.users["alice"].message(lambda m: m["id"] == heard)
    since = (await town.sandbox.trace())[-1]["n"]
    noted = [case._replace(xml=case.xml.replace("{{heard}}", heard)) for case in hostile.NOTES]
    await expect(town, "alice", noted)
    asked = [e["stanza"] for e in await town.sandbox.trace(since, town.phones["alice-phone"]) if e["stanza"]]
    assert [] == [s for s in asked if s["tag"] == "receipt" and s["attrs"].get("type") == "read"]


async def test_every_address_reaches_its_contact_or_is_refused(town: Town) -> None:
    """JIDs that stand for nobody get an error; other ways to write a contact's number reach the contact."""
    bob = town.bob.number
    wide = "".join(chr(ord(c) + 0xFEE0) for c in bob)
    more = {"plain": f"{bob[1:]}@{town.names['gateway']}", "wide": f"{wide}@{town.names['gateway']}"}
    more["capitals"] = f"{bob}@{town.names['gateway'].upper()}"
    await expect(town, "alice", [case._replace(xml=town.alice.fill(case.xml, **more)) for case in hostile.ADDRESSES])
    await town.phones["alice-phone"].wait_for("message", text="to myself")


async def test_every_question_to_a_contact_is_answered(town: Town) -> None:
    """An iq gets its result or an error at once (peer defect 10), whatever is in it."""
    await expect(town, "alice", hostile.IQS)


async def test_odd_presences_change_nothing(town: Town) -> None:
    """Presence that makes no sense is dropped; somebody who tries to enter a room is told that there is none."""
    await expect(town, "alice", hostile.PRESENCES)


async def test_odd_registrations_are_refused_and_register_nobody(town: Town) -> None:
    """Numbers that are none, forms in forms, removals of nothing: an error each, and no account comes of it."""
    accounts = town.stage.local.folder / "accounts"
    before = sorted(path.name for path in accounts.iterdir())
    await expect(town, "mallory2", hostile.REGISTRATIONS)
    assert before == sorted(path.name for path in accounts.iterdir())


async def test_odd_commands_are_answered(town: Town) -> None:
    """Each step of each command is checked by itself; what makes no sense gets an error."""
    await expect(town, "mallory3", hostile.COMMANDS)


async def test_stranger_reaches_no_contact_and_forges_no_sender(town: Town) -> None:
    """Without an account nothing reaches WhatsApp; whoever is claimed to have sent it, the server says who did."""
    await expect(town, "mallory", hostile.STRANGER)
    assert "forged" not in [r["text"] for r in await town.bob.inbox(kinds="message")]
    senders = {m["from"].bare for m in town.users["alice"].messages if m["body"] == "forged"}
    assert {f"mallory@{town.names['host']}"} == senders
    assert town.stage.local.status("alice@localhost") is not None
