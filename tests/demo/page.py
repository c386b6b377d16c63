"""What an owner does at the self-service page: log in by the code that comes as a message, see how the link is.

Called by the story, and by the tests of the portal on a cluster and in a browser; what the demo says of the page at
its end stands here, too.
"""

import re

from ponton_bridge.model.states import Reason
from tests.harness.prosody import until
from tests.harness.visitor import Visitor
from tests.harness.xmpp import Client

PATIENCE = 60.0  # seconds for what starts processes, or pods
PAGE = """The self-service page is {page}

Log in there as {jid}: the code comes as a message to the client that you are logged in with.
"""
OVER = "It ends now with everything else; without AUTO=1 it stays until you end it."
_STATE = re.compile(r'data-state="([A-Za-z]*)"')


async def code_said(client: Client, gateway: str, before: int) -> str:
    """Wait for the code that the gateway says after so many messages; gives its digits."""
    message = await client.message(
        lambda m: (
            m in client.messages[before:] and m["from"].bare == gateway and bool(re.match(r"\d{8} is", m["body"]))
        ),
        timeout=PATIENCE,
    )
    return str(message["body"])[:8]


async def log_in(browser: Visitor, client: Client, gateway: str) -> None:
    """Log in as the owner of a client."""
    before = len(client.messages)
    assert 200 == await browser.get("/login")
    assert 303 == await browser.post("/login", jid=client.boundjid.bare), browser.text
    assert 200 == await browser.get("/login/code")
    assert 303 == await browser.post("/login/code", code=await code_said(client, gateway, before)), browser.text
    assert 200 == await browser.get("/account")
    assert client.boundjid.bare in browser.text


async def shows(browser: Visitor, reason: Reason) -> None:
    """Wait until the owner's page shows a state."""

    async def shown() -> bool:
        assert 200 == await browser.get("/account")
        found = _STATE.search(browser.text)
        return found is not None and found[1] == reason

    await until(shown, what=f"the page to show {reason}", timeout=PATIENCE)
