"""How an owner answers WhatsApp's request for a passkey: the snippet for the browser, and what is made of its answer.

A browser signs such a request only at web.whatsapp.com, so no page of ours can ask for it: the owner runs a few lines
there, and they bring the answer back (docs/adr/0012-passkey-snippet.md). Pure; called by the account service and the
pages. Sentences are in `words`.
"""

import json
from typing import Final

from ponton_bridge.core import passkey
from ponton_operator.selfservice import words

REQUEST: Final = "passkey"  # kinds of LiveCode, as ponton_bridge.whatsapp.port.CodeKind has them
COMPARE: Final = "compare"
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


def snippet(request: str, page: str = "") -> str:
    """Make the lines to run for a request (JSON): they go to `page` + answer, or without a page show the answer."""
    home = (
        f"location.assign({json.dumps(page)} + text);" if page else f'document.body.textContent = "{PREFIX} " + text;'
    )
    asked = json.dumps(json.loads(request), separators=(",", ":"))  # ASCII, so that it is JavaScript too
    return _SNIPPET.format(origin=json.dumps(passkey.ORIGIN), request=asked, home=home)


def answer_of(text: str) -> str:
    """Read what an owner brings; gives the answer's JSON. Raises OwnerError with a sentence."""
    return passkey.read(passkey.unpacked(text.strip().removeprefix(PREFIX))).to_json()


def how(request: str, seconds: float, page: str) -> str:
    """Say in a chat or a command how to answer; `page` is the address of ours, '' without one."""
    ways = [words.PASSKEY_PAGE.format(url=page)] if page else []
    lines = words.PASSKEY_HOW.format(snippet=snippet(request))
    return "\n\n".join([words.PASSKEY_ASKED.format(minutes=minutes(seconds)), *ways, lines, words.PASSKEY_PHONE_ONLY])


def minutes(seconds: float) -> int:
    """Give the whole minutes that are left, one at least."""
    return max(1, int(seconds / 60))
