"""A login server that says whatever a test has it say: one fault at a time. `tests.harness.oidc` is a real one.

It lets everybody in as `claims`, without a page: `authorize` sends the browser straight back.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

from aiohttp import web
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

from tests.harness.redis import HOST, free_port

CLIENT = "ponton"


def key(name: str) -> RSAKey:
    """Make a key."""
    return RSAKey.generate_key(2048, {"kid": name, "use": "sig"}, private=True)


@dataclass
class Rogue:
    """What it says: `metadata`, `token` (claims of the identity token) and `reply` are laid over what is right.

    A value of None takes a field away. `signed_by` is another key than it shows, `password` one that all know.

    `codes` holds what was asked for, by code; `forms` what came to be exchanged.
    """

    issuer: str
    key: RSAKey
    claims: dict[str, object] = field(default_factory=dict)
    metadata: dict[str, object] = field(default_factory=dict)
    token: dict[str, object] = field(default_factory=dict)
    reply: dict[str, object] = field(default_factory=dict)
    userinfo: dict[str, object] | None = None
    signed_by: RSAKey | None = None
    password: bytes = b""
    status: dict[str, int] = field(default_factory=dict)
    hangs: str = ""
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    forms: list[dict[str, str]] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)

    async def told(self, request: web.Request) -> web.StreamResponse:
        """Say what it is."""
        base = self.issuer
        right: dict[str, object] = {
            "issuer": base,
            "authorization_endpoint": f"{base}/authorize?kind=a",
            "token_endpoint": f"{base}/token",
            "jwks_uri": f"{base}/keys",
            "userinfo_endpoint": f"{base}/userinfo",
            "id_token_signing_alg_values_supported": ["RS256", "none", "HS256"],
        }
        return await self._answer(request, right | self.metadata)

    async def authorize(self, request: web.Request) -> web.StreamResponse:
        """Send the browser back at once."""
        asked = dict(request.query)
        code = f"code-{len(self.codes)}"
        self.codes[code] = asked
        raise web.HTTPFound(asked["redirect_uri"] + "?" + urlencode({"code": code, "state": asked["state"]}))

    async def exchange(self, request: web.Request) -> web.StreamResponse:
        """Take a code once, for who has the verifier."""
        form = dict(parse_qsl(await request.text()))
        self.forms.append(form)
        self.headers.append(request.headers)
        asked = self.codes.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if asked is None or _coded(digest) != asked["code_challenge"] or form["redirect_uri"] != asked["redirect_uri"]:
            return web.json_response({"error": "invalid_grant"}, status=400)
        now = int(time.time())
        right: dict[str, object] = {
            "iss": self.issuer,
            "sub": "1",
            "aud": CLIENT,
            "iat": now,
            "exp": now + 60,
            "nonce": asked["nonce"],
        }
        given = _over(right | self.claims, self.token)
        text = self._signed(given)
        return await self._answer(request, {"access_token": "a", "token_type": "Bearer", "id_token": text} | self.reply)

    def _signed(self, claims: dict[str, Any]) -> str:
        header = {"alg": "RS256", "kid": "first"}
        if self.password:  # no library signs with a public key as a password
            body = ".".join(_coded(json.dumps(part).encode()) for part in (header | {"alg": "HS256"}, claims))
            return f"{body}.{_coded(hmac.digest(self.password, body.encode(), 'sha256'))}"
        signer = self.signed_by or self.key
        return jwt.encode(header | {"kid": signer.kid}, claims, signer, algorithms=["RS256"])

    async def keys(self, request: web.Request) -> web.StreamResponse:
        """Give the public key, among others of no use."""
        known = KeySet([self.key]).as_dict(private=False)["keys"]
        return await self._answer(request, {"keys": [*known, {"kty": "OKP", "crv": "X25519", "x": "AA"}, "odd"]})

    async def more(self, request: web.Request) -> web.StreamResponse:
        """Give what is not in the token."""
        self.headers.append(request.headers)
        return await self._answer(request, self.userinfo or {})

    async def _answer(self, request: web.Request, value: Mapping[str, object]) -> web.StreamResponse:
        if self.hangs == request.path:
            await asyncio.sleep(3600)
        given = _over(dict(value), {})
        return web.Response(
            text=json.dumps(given), content_type="application/json", status=self.status.get(request.path, 200)
        )


def _over(right: dict[str, object], laid: Mapping[str, object]) -> dict[str, Any]:
    return {name: value for name, value in (right | dict(laid)).items() if value is not None}


def _coded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@asynccontextmanager
async def rogue_server(known: RSAKey) -> AsyncIterator[Rogue]:
    """Run one until the block ends."""
    port = free_port()
    made = Rogue(f"http://{HOST}:{port}", known)
    app = web.Application()
    app.add_routes(
        [
            web.get("/.well-known/openid-configuration", made.told),
            web.get("/authorize", made.authorize),
            web.post("/token", made.exchange),
            web.get("/keys", made.keys),
            web.get("/userinfo", made.more),
        ]
    )
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, HOST, port).start()
    try:
        yield made
    finally:
        await runner.cleanup()
