"""Linking a number for which WhatsApp wants a passkey, as the owner sees it by chat and command, on the whole system.

Everything is real but WhatsApp and the browser: the sandbox demands the passkey and checks the answers, a P-256 key of
the tests makes them. The browser's own part is in tests/browser.
"""

import json
import os
import re
import signal
from collections.abc import AsyncIterator
from typing import Any
from xml.etree.ElementTree import Element, fromstring
from xml.sax.saxutils import escape

import pytest
import pytest_asyncio

from ponton_bridge.core.pairing import NOT_ASKED
from ponton_bridge.model.states import TABLE, Reason
from ponton_bridge.whatsapp.core_driver import place
from ponton_operator.selfservice import words
from tests.demo.stage import GATEWAY
from tests.harness.authenticator import LATE, Authenticator
from tests.harness.prosody import until
from tests.integration.link_bed import NOTE, PATIENCE, Bed, Owner, built_bed
from tests.sandbox.launch import DRIVER_VARIABLE

pytestmark = pytest.mark.asyncio(loop_scope="module")

ASKS = "WhatsApp asks for your passkey"
FORM = "{jabber:x:data}"
COMMANDS = "{http://jabber.org/protocol/commands}"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def bed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bed]:
    """One stage with the core for all tests of this module but the last."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(DRIVER_VARIABLE, place.CORE)
        async with built_bed(tmp_path_factory.mktemp("bed")) as running:
            yield running


@pytest_asyncio.fixture(loop_scope="module")
async def owner(bed: Bed) -> AsyncIterator[Owner]:
    """An owner who has not registered."""
    async with bed.owner() as made:
        yield made


async def scanned(owner: Owner, key: Authenticator, ask: str = "register", **knobs: Any) -> int:  # noqa: ANN401
    """Register, let WhatsApp demand this passkey, scan; gives the number of the first message since."""
    await owner.phone.demand_passkey(key.registered, **knobs)
    before = len(owner.client.messages)
    await owner.ask(ask)
    await owner.phone.scan(await owner.code(before), wait=False)
    return before


async def asked(owner: Owner, key: Authenticator, ask: str = "register", **knobs: Any) -> str:  # noqa: ANN401
    """The same; gives the request, as it stands in the lines to run that the owner is told when asking for them."""
    before = await scanned(owner, key, ask, **knobs)
    told = await owner.client.message(
        lambda m: m in owner.client.messages[before:] and str(m["body"]).startswith(ASKS), timeout=PATIENCE
    )
    owner.answers.append(told)
    await owner.stands(Reason.WAITING_FOR_PASSKEY)
    return request_in(await answers(owner, "passkey", "parseRequest"))


async def answers(owner: Owner, line: str, *expected: str) -> str:
    """Write to the gateway; gives its answer, known by one of these parts: the shard has its own to say meanwhile."""
    before = len(owner.client.messages)
    owner.client.say(GATEWAY, line)
    answer = await owner.client.message(
        lambda m: m in owner.client.messages[before:] and any(part in str(m["body"]) for part in expected),
        timeout=PATIENCE,
    )
    owner.answers.append(answer)
    return str(answer["body"])


def request_in(text: str) -> str:
    """The request within the lines that were told."""
    found = re.search(r"parseRequestOptionsFromJSON\((\{.*\})\);", text)
    assert found, text
    assert json.loads(found[1])["rpId"] == "whatsapp.com"
    return found[1]


async def step(owner: Owner, **fields: str) -> Element:
    """One step of the command; with fields a form is submitted."""
    parts = "".join(f"<field var='{k}'><value>{escape(v)}</value></field>" for k, v in fields.items())
    form = f"<x xmlns='jabber:x:data' type='submit'>{parts}</x>" if fields else ""
    command = f"<command xmlns='http://jabber.org/protocol/commands' node='passkey'>{form}</command>"
    return fromstring(await owner.client.ask(command, to=GATEWAY, kind="set"))  # noqa: S314 - our own server


async def linked(owner: Owner) -> None:
    """The link is told and shown, and messages pass."""
    await owner.hears(Reason.CONNECTED, 0)
    await owner.stands(Reason.CONNECTED)
    await owner.talk("behind a passkey")


async def test_the_answer_pasted_into_the_chat(owner: Owner) -> None:
    """Asked in words, told how, answered by one line: linked."""
    key = Authenticator()
    request = await asked(owner, key)
    await answers(owner, f"passkey {key.packed(request)}", words.PASSKEY_TAKEN)
    await linked(owner)
    await answers(owner, "passkey", words.NO_PASSKEY)


async def test_the_answer_given_to_the_command(owner: Owner) -> None:
    """The form shows the lines to run and takes the answer; a late one leads to codes, compared in the next form."""
    key = Authenticator(user=LATE)
    await asked(owner, key)
    form = await step(owner)
    assert ["answer"] == [field.get("var") for field in form.iter(f"{FORM}field")]
    request = request_in(form.findtext(f".//{FORM}instructions") or "")
    done = await step(owner, answer=key.packed(request))
    assert words.PASSKEY_TAKEN == done.findtext(f".//{NOTE}")
    await owner.stands(Reason.COMPARING_CODES)
    code = (await owner.phone.wait_for("passkey_code"))["code"]
    await owner.client.message(lambda m: code in str(m["body"]), timeout=PATIENCE)
    form = await step(owner)
    assert code in (form.findtext(f".//{FORM}instructions") or "")
    assert ["yes", "no"] == [each.text for each in form.findall(f".//{FORM}option/{FORM}value")]
    assert words.CODES_SAME == (await step(owner, same="yes")).findtext(f".//{NOTE}")
    await linked(owner)


async def test_codes_that_differ(owner: Owner) -> None:
    """The phone shows another one: nothing is linked, which is told; 'code' leads back to a link that works."""
    key = Authenticator(user=LATE)
    request = await asked(owner, key, misshows=True)
    await answers(owner, f"passkey {key.packed(request)}", words.PASSKEY_TAKEN)
    await owner.stands(Reason.COMPARING_CODES)
    shown = (await owner.phone.wait_for("passkey_code"))["code"]
    assert shown not in await answers(owner, "passkey", "Is it")
    await answers(owner, "passkey no", words.PASSKEY_STOPPED)
    await owner.hears(Reason.CODES_DIFFER, 0)
    await owner.stands(Reason.CODES_DIFFER)
    assert [] == await owner.devices()
    request = await asked(owner, key, "code")
    await answers(owner, f"passkey {key.packed(request)}", words.PASSKEY_TAKEN)
    await owner.stands(Reason.COMPARING_CODES)
    await answers(owner, "passkey yes", words.CODES_SAME)
    await linked(owner)


async def test_answers_that_cannot_be_used(owner: Owner) -> None:
    """Each is told what is wrong with it, and the right one still links."""
    key = Authenticator()
    request = await asked(owner, key)
    for answer, sentence in (
        ("nonsense", "Copy it again"),
        (key.packed(request, origin="https://example.org"), "not made at web.whatsapp.com"),
        (key.packed(request, challenge="AAAA"), "another request"),
        (Authenticator().packed(request), "another passkey"),
        (key.packed(request, flags=1), "did not take this answer"),
    ):
        await answers(owner, f"passkey {answer}", sentence)
    await answers(owner, f"passkey {key.packed(request)}", words.PASSKEY_TAKEN)
    await linked(owner)


async def test_nobody_answers_in_time(owner: Owner) -> None:
    """The request's own time ends the attempt, once and in words."""
    await scanned(owner, Authenticator(), timeout=4000)
    await owner.hears(Reason.PASSKEY_UNANSWERED, 0)
    await owner.stands(Reason.PASSKEY_UNANSWERED)
    await owner.says(Reason.PASSKEY_UNANSWERED)
    assert [] == await owner.devices()


async def test_called_off(owner: Owner) -> None:
    """Whoever cannot answer need not wait."""
    await asked(owner, Authenticator())
    await answers(owner, "passkey no", words.PASSKEY_STOPPED)
    await owner.hears(Reason.PASSKEY_UNANSWERED, 0)


async def test_a_shard_that_dies_in_the_middle_asks_anew(owner: Owner) -> None:
    """Nothing of the step survives: codes come again, the old answer is refused in words, and a new scan links."""
    key = Authenticator()
    old = await asked(owner, key)
    before, pid = len(owner.client.messages), owner.pid()
    os.kill(pid or 0, signal.SIGKILL)
    code = await owner.code(before)
    await answers(owner, f"passkey {key.packed(old)}", words.NO_PASSKEY, NOT_ASKED, "another request")
    await owner.phone.scan(code, wait=False)
    await owner.stands(Reason.WAITING_FOR_PASSKEY)
    await answers(owner, f"passkey {key.packed(old)}", "another request")
    request = request_in(await answers(owner, "passkey", "parseRequest"))
    await answers(owner, f"passkey {key.packed(request)}", words.PASSKEY_TAKEN)
    await linked(owner)


async def test_no_answer_in_a_log(bed: Bed, owner: Owner) -> None:
    """Neither the answer, nor the request, nor the code to compare is written down anywhere."""
    key = Authenticator(user=LATE)
    request = await asked(owner, key)
    answer = key.packed(request)
    await answers(owner, f"passkey {answer}", words.PASSKEY_TAKEN)
    await owner.stands(Reason.COMPARING_CODES)
    code = (await owner.phone.wait_for("passkey_code"))["code"]
    await answers(owner, "passkey yes", words.CODES_SAME)
    await linked(owner)
    local = bed.stage.local
    files = [local.output, *(local.folder / "state").rglob("*.log*"), *(local.folder / "state").rglob("*words*")]
    logs = [file.read_text(errors="replace") for file in files]
    assert any("command_handled" in log for log in logs)
    signature = key.answer(request)["response"]["signature"][:20]
    for secret in (answer[:40], json.loads(request)["challenge"], code, signature):
        assert not any(secret in log for log in logs), "written down"


async def test_with_neonize_the_owner_is_told_whom_to_ask(tmp_path_factory: pytest.TempPathFactory) -> None:
    """That driver cannot, which is no secret: one sentence that names what the host has to install."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(DRIVER_VARIABLE, place.NEONIZE)
        async with built_bed(tmp_path_factory.mktemp("neonize")) as running, running.owner() as owner:
            await scanned(owner, Authenticator())
            assert "WhatsApp core" in await owner.hears(Reason.PASSKEY_NEEDED, 0)
            await until(lambda: owner.status().get("reason") == Reason.PASSKEY_NEEDED, timeout=PATIENCE)
            await answers(owner, "passkey", TABLE[Reason.PASSKEY_NEEDED].sentence)
