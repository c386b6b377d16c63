"""The passkey step of linking, as every driver of the port has to serve it, against the sandbox with a real P-256 key.

A driver that declares that it cannot has one promise left: to say so, with the reason that names the host.
"""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from ponton_bridge.model.errors import HostError, WhatsAppError
from ponton_bridge.model.states import Reason
from ponton_bridge.whatsapp import port
from tests.harness.authenticator import LATE, Authenticator
from tests.integration.driver_bed import KINDS, Scene, needs, scene, until
from tests.sandbox.client import SandboxClient
from tests.sandbox.harness import running_sandbox

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def sandbox(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SandboxClient]:
    """One sandbox for all tests of this module."""
    async with running_sandbox(tmp_path_factory.mktemp("sandbox"), fresh_count=100) as running:
        yield running


@pytest.fixture(params=sorted(KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    """Each driver in turn."""
    return str(request.param)


@pytest_asyncio.fixture(loop_scope="module")
async def alice(sandbox: SandboxClient, tmp_path: Path, kind: str) -> AsyncIterator[Scene]:
    """Alice with a driver that is not started."""
    async with scene(sandbox, tmp_path, kind) as made:
        yield made


async def asked(alice: Scene, key: Authenticator, **knobs: Any) -> port.Code:  # noqa: ANN401 - of the sandbox
    """Let WhatsApp demand this passkey, start, scan; gives the request."""
    await alice.alice.demand_passkey(key.registered, **knobs)
    await alice.driver.call("start")
    code = await alice.driver.hear(port.Code)
    alice.device = await alice.alice.scan(code.text, wait=False)
    return await alice.driver.hear(port.Code, lambda code: code.kind is port.CodeKind.PASSKEY)


async def give(alice: Scene, answer: dict[str, Any]) -> None:
    """Give an answer to the driver as the shard does."""
    await alice.driver.call("passkey_answer", json.dumps(answer))


async def test_a_driver_that_cannot_says_so(alice: Scene, kind: str) -> None:
    """Linking ends with the reason that tells the owner whom to ask; an answer is refused in words."""
    if KINDS[kind].passkey:
        pytest.skip(f"{KINDS[kind].name} declares passkey = True")
    await alice.alice.demand_passkey(Authenticator().registered)
    await alice.driver.call("start")
    await alice.alice.scan((await alice.driver.hear(port.Code)).text, wait=False)
    assert port.PairingFailed(Reason.PASSKEY_NEEDED) == await alice.driver.hear(port.PairingFailed)
    with pytest.raises(HostError):
        await give(alice, {})
    assert any("passkey" in sentence for sentence in KINDS[kind].limits)


async def test_a_quick_answer_links(alice: Scene, kind: str) -> None:
    """The request is what a browser takes; its answer links, without codes to compare."""
    needs(kind, "passkey")
    key = Authenticator()
    request = await asked(alice, key)
    options = json.loads(request.text)
    assert ("whatsapp.com", "required", 600.0) == (options["rpId"], options["userVerification"], request.seconds)
    await give(alice, key.answer(request.text))
    await alice.driver.hear(port.Paired)
    await alice.driver.link(Reason.CONNECTED)
    await alice.alice.synced(alice.device)
    assert [] == [code for code in alice.driver.all(port.Code) if code.kind is port.CodeKind.COMPARE]
    await alice.bob.send_text(alice.alice, "behind a passkey")
    await alice.driver.text("behind a passkey")


async def test_a_late_answer_has_codes_to_compare(alice: Scene, kind: str) -> None:
    """Both sides show the same code; said to be the same, it links."""
    needs(kind, "passkey")
    key = Authenticator(user=LATE)
    await give(alice, key.answer((await asked(alice, key)).text))
    compare = await alice.driver.hear(port.Code, lambda code: code.kind is port.CodeKind.COMPARE)
    shown = await alice.alice.wait_for("passkey_code")
    assert shown["code"] == compare.text
    assert [] == alice.driver.all(port.Paired)
    await alice.driver.call("passkey_confirm")
    await alice.driver.link(Reason.CONNECTED)


async def test_another_code_on_the_phone_links_nothing(alice: Scene, kind: str) -> None:
    """The codes differ when somebody has come between; whoever says yes all the same is refused by the phone."""
    needs(kind, "passkey")
    key = Authenticator(user=LATE)
    await give(alice, key.answer((await asked(alice, key, misshows=True)).text))
    compare = await alice.driver.hear(port.Code, lambda code: code.kind is port.CodeKind.COMPARE)
    assert compare.text != (await alice.alice.wait_for("passkey_code"))["code"]
    with pytest.raises(WhatsAppError):
        await alice.driver.call("passkey_confirm")
    assert [] == alice.driver.all(port.Paired)
    assert [] == await alice.alice.linked()


WRONG: dict[str, dict[str, Any]] = {
    "origin": {"origin": "https://ponton.example.org"},
    "challenge": {"challenge": "AAAA"},
    "no verified user": {"flags": 1},
}


@pytest.mark.parametrize("name", WRONG)
async def test_a_wrong_answer_may_be_mended(alice: Scene, kind: str, name: str) -> None:
    """WhatsApp refuses it, which is told as a sentence; the right one still links."""
    needs(kind, "passkey")
    key = Authenticator()
    request = await asked(alice, key)
    with pytest.raises(WhatsAppError, match="did not take this answer"):
        await give(alice, key.answer(request.text, **WRONG[name]))
    await give(alice, key.answer(request.text))
    await alice.driver.link(Reason.CONNECTED)


async def test_a_stranger_s_key_links_nothing(alice: Scene, kind: str) -> None:
    """A signature that the registered key did not make is refused."""
    needs(kind, "passkey")
    key = Authenticator()
    request = await asked(alice, key)
    with pytest.raises(WhatsAppError):
        await give(alice, Authenticator(id=key.id).answer(request.text))
    assert [] == await alice.alice.linked()


async def test_an_answer_that_whatsapp_does_not_want(alice: Scene, kind: str) -> None:
    """Right or not, a refusal is told as such."""
    needs(kind, "passkey")
    key = Authenticator()
    request = await asked(alice, key, refuse=True)
    with pytest.raises(WhatsAppError):
        await give(alice, key.answer(request.text))


async def test_the_request_s_own_time_is_told(alice: Scene, kind: str) -> None:
    """Whoever waits knows how long; a phone that keeps silent behind the answer is nothing that the driver invents."""
    needs(kind, "passkey")
    key = Authenticator()
    request = await asked(alice, key, timeout=90_000, silent=True)
    assert 90.0 == request.seconds
    await give(alice, key.answer(request.text))
    await alice.sandbox.wait_for(lambda entry: "webauthn_assertion" in str(entry["stanza"]), events="heard_unlinked")
    assert [] == alice.driver.all(port.Paired) + alice.driver.all(port.PairingFailed)


async def test_a_core_that_dies_in_the_middle_asks_anew(alice: Scene, kind: str) -> None:
    """Its keys of the step are gone: codes come again, the old answer is worth nothing, and a new scan links."""
    needs(kind, "passkey")
    key = Authenticator()
    before = await asked(alice, key)
    heard = len(alice.driver.heard)
    core = alice.driver.core
    os.kill(core, signal.SIGKILL)
    code = await alice.driver.hear(port.Code, lambda code: code.kind is port.CodeKind.QR, since=heard)

    async def scanned() -> bool:
        alice.device = await alice.alice.scan(code.text, wait=False)
        return True

    await until(scanned)
    after = await alice.driver.hear(port.Code, lambda code: code.kind is port.CodeKind.PASSKEY, since=heard)
    with pytest.raises(WhatsAppError):
        await give(alice, key.answer(before.text))
    await give(alice, key.answer(after.text))
    await alice.driver.link(Reason.CONNECTED)


async def test_letters_lead_to_the_same_step(alice: Scene, kind: str) -> None:
    """A number that was linked by the eight letters is asked for its passkey, too."""
    needs(kind, "passkey")
    key = Authenticator()
    await alice.alice.demand_passkey(key.registered)
    await alice.driver.call("start")
    await alice.driver.hear(port.Code)
    letters = await alice.driver.call("pair_by_number", alice.alice.number.removeprefix("+"))
    typing = asyncio.create_task(alice.alice.type_code(letters))
    request = await alice.driver.hear(port.Code, lambda code: code.kind is port.CodeKind.PASSKEY)
    await give(alice, key.answer(request.text))
    await alice.driver.link(Reason.CONNECTED)
    assert await typing
