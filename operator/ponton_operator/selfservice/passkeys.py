"""How an owner answers WhatsApp's request for a passkey: the snippet for the browser, and what is made of its answer.

A browser signs such a request only at web.whatsapp.com, so no page of ours can ask for it: the owner runs a few lines
there, and they bring the answer back (docs/adr/0015-passkey-snippet.md). Pure; called by the account service and the
pages. Sentences are in `words`.
"""

import json
from typing import Final

from ponton_bridge.coordination.contract import LiveCode
from ponton_bridge.core import passkey
from ponton_operator.selfservice import words

REQUEST: Final = "passkey"  # kinds of LiveCode, as ponton_bridge.whatsapp.port.CodeKind has them
COMPARE: Final = "compare"
LONGEST: Final = 8000  # characters of a request, as the core driver has it
PREFIX: Final = "passkey"  # what an answer that is pasted into a chat begins with: there it is the word of the request
# `{home}` is said what to do with `text`, the answer as base64url. Nothing but the request is put in.
_SNIPPET: Final = """\
(async () => {{
  if (location.origin !== {origin}) throw "Run this at " + {origin};
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON({request});
  const answer = JSON.stringify(await navigator.credentials.get({{ publicKey }}));
  const text = btoa(answer).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  {home}
}})().catch(alert);"""


def asked_of(text: str) -> LiveCode | None:
    """Read a shard's answer to `Verb.ASKED`; None when WhatsApp asks nothing."""
    try:
        code = LiveCode.from_json(text) if text else None
    except (ValueError, RecursionError):
        return None
    return code if code and (code.kind == COMPARE or request_of(code)) else None


def request_of(code: LiveCode | None) -> str:
    """Give the request (JSON, ASCII) that is live, '' when there is none; what a shard wrote may be anything."""
    if code is None or code.kind != REQUEST or len(code.text) > LONGEST:
        return ""
    try:
        asked = json.loads(code.text)
    except (ValueError, RecursionError):
        return ""
    return json.dumps(asked, separators=(",", ":")) if isinstance(asked, dict) else ""


def snippet(request: str, page: str = "") -> str:
    """Make the lines to run for a request of `request_of`: they go to `page` + answer, or without one show it."""
    home = (
        f"location.assign({json.dumps(page)} + text);" if page else f'document.body.textContent = "{PREFIX} " + text;'
    )
    return _SNIPPET.format(origin=json.dumps(passkey.ORIGIN), request=request, home=home)  # ASCII JSON is JavaScript


def answer_of(text: str) -> str:
    """Read what an owner brings; gives the answer's JSON. Raises OwnerError with a sentence."""
    return passkey.read(passkey.unpacked(text.strip().removeprefix(PREFIX))).to_json()


def how(asked: LiveCode, page: str) -> str:
    """Say in a chat or a command how to answer a request (`asked_of`); `page` is where ours is, empty without one."""
    ways = [words.PASSKEY_PAGE.format(url=page)] if page else []
    lines = words.PASSKEY_HOW.format(snippet=snippet(request_of(asked)))
    return "\n\n".join(
        [words.PASSKEY_ASKED.format(minutes=minutes(asked.expires)), *ways, lines, words.PASSKEY_PHONE_ONLY]
    )


def minutes(seconds: float) -> int:
    """Give the whole minutes that are left, one at least."""
    return max(1, int(seconds / 60))
