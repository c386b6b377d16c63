"""A login server, as a client of OpenID Connect sees it: where to send a browser, and who came back with a code.

Authlib makes requests and checks claims, joserfc (which comes with it) signatures; what goes over the network goes
through `cluster.fetch`. Imported where a login server is set only: it costs the portal some 18 MiB. Called by
`programs.portal`, which makes it, and by `web.oidc`.
"""

import hmac
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote_plus

from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from ponton_bridge.model.errors import HostError, OwnerError
from ponton_operator.cluster.fetch import Answer, Fetcher, FetchFailed
from ponton_operator.resources.oidc import Oidc
from ponton_operator.selfservice import claims, words
from ponton_operator.selfservice.web.settings import Begun

KEPT: Final = 3600.0  # seconds that metadata and keys are used before they are asked for again
AGAIN: Final = 60.0  # seconds between two looks for a key that is not among those known
LEEWAY: Final = 60  # seconds that clocks may differ
ALGORITHMS: Final = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"})
_FORM: Final = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
_JSON: Final = {"Accept": "application/json"}
_OK: Final = 200
_SERVER_FAULT: Final = 500


class ProviderFailed(HostError):
    """The login server was of no use; `why` is one word for the log, of ours and never of theirs."""

    def __init__(self, why: str, sentence: str = words.PROVIDER_WRONG) -> None:
        super().__init__(sentence)
        self.why = why


class CodeRefused(OwnerError):
    """The login server does not know the code (any more)."""


@dataclass(frozen=True, slots=True)
class _Metadata:
    """What the server says of itself (OpenID Connect Discovery, section 3)."""

    authorize: str
    token: str
    keys: str
    userinfo: str
    algorithms: frozenset[str]
    post: bool  # whether the secret goes into the form
    names_itself: bool  # whether it says who it is when the browser comes back (RFC 9207)


class Provider:
    """One login server; `secret` '' for a public client, `back` where browsers come back to, `clock` since 1970."""

    def __init__(
        self, settings: Oidc, secret: str, back: str, fetcher: Fetcher, clock: Callable[[], float] = time.time
    ) -> None:
        self.settings = settings
        self._secret = secret
        self._back = back
        self._fetcher = fetcher
        self._clock = clock
        self._metadata: tuple[float, _Metadata] | None = None
        self._keys: tuple[float, KeySet] | None = None

    async def address(self, begun: Begun) -> str:
        """Give the address to which the browser goes. Raises ProviderFailed."""
        metadata = await self._known()
        return str(
            prepare_grant_uri(
                metadata.authorize,
                self.settings.client_id,
                "code",
                redirect_uri=self._back,
                scope=["openid", *self.settings.scopes],
                state=begun.state,
                nonce=begun.nonce,
                code_challenge=create_s256_code_challenge(begun.verifier),
                code_challenge_method="S256",
            )
        )

    async def is_named(self, issuer: str) -> bool:
        """Whether the answer that the browser brought is this server's (RFC 9207); '' where it does not say."""
        needed = (await self._known()).names_itself
        return issuer == self.settings.issuer if issuer or needed else True

    async def claims(self, code: str, begun: Begun) -> Mapping[str, object]:
        """Take a code for what the server says of who logged in. Raises ProviderFailed, CodeRefused."""
        metadata = await self._known()
        tokens = await self._tokens(metadata, code, begun.verifier)
        known = await self._checked(metadata, tokens, begun.nonce)
        access = tokens.get("access_token")
        if metadata.userinfo and isinstance(access, str) and claims.lacks(known, self.settings):
            return await self._more(metadata, access, known) | known
        return known

    # ---- what the server says of itself ------------------------------------------------------------------------

    async def _known(self) -> _Metadata:
        if self._metadata and self._clock() < self._metadata[0] + KEPT:
            return self._metadata[1]
        url = self.settings.issuer.rstrip("/") + "/.well-known/openid-configuration"
        metadata = self._read(_object(await self._get(url, _JSON), "metadata"))
        self._metadata = (self._clock(), metadata)
        return metadata

    def _read(self, told: Mapping[str, Any]) -> _Metadata:
        if told.get("issuer") != self.settings.issuer:
            raise ProviderFailed("issuer")
        authorize, token, keys = (
            self._address(told.get(name)) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")
        )
        userinfo = told.get("userinfo_endpoint")
        ways = told.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        algorithms = ALGORITHMS.intersection(_words(told.get("id_token_signing_alg_values_supported"), "RS256"))
        if not algorithms:
            raise ProviderFailed("algorithms")
        return _Metadata(
            authorize=authorize,
            token=token,
            keys=keys,
            userinfo=self._address(userinfo) if userinfo else "",
            algorithms=algorithms,
            post="client_secret_basic" not in ways,
            names_itself=told.get("authorization_response_iss_parameter_supported") is True,
        )

    def _address(self, url: object) -> str:
        """Take an address that the server gave; it is looked at before it is used. Raises ProviderFailed."""
        known = url if isinstance(url, str) else ""
        try:
            self._fetcher.check(known)
        except FetchFailed:
            raise ProviderFailed("endpoints") from None
        return known

    # ---- who came back -----------------------------------------------------------------------------------------

    async def _tokens(self, metadata: _Metadata, code: str, verifier: str) -> Mapping[str, Any]:
        way = "none" if not self._secret else "client_secret_post" if metadata.post else "client_secret_basic"
        body = prepare_token_request("authorization_code", redirect_uri=self._back, code=code, code_verifier=verifier)
        # In the header both are encoded as in a form (RFC 6749, 2.3.1), which Authlib leaves to us.
        encoded = quote_plus if way == "client_secret_basic" else str
        auth = ClientAuth(encoded(self.settings.client_id), encoded(self._secret), way)
        url, headers, body = auth.prepare("POST", metadata.token, dict(_FORM), body)
        answer = await self._get(url, headers, body)
        told = _object(answer, "token", ok=False)
        if answer.status == _OK:
            return told
        if told.get("error") == "invalid_grant":
            raise CodeRefused(words.LOGIN_OLD)
        raise ProviderFailed("client" if told.get("error") in {"invalid_client", "unauthorized_client"} else "token")

    async def _checked(self, metadata: _Metadata, tokens: Mapping[str, Any], nonce: str) -> dict[str, object]:
        """Give the claims of the identity token (OpenID Connect Core, section 3.1.3.7). Raises ProviderFailed."""
        text = tokens.get("id_token")
        if not isinstance(text, str):
            raise ProviderFailed("no_id_token")
        token = await self._verified(metadata, text)
        known = CodeIDToken(
            token.claims,
            token.header,
            {
                "iss": {"essential": True, "value": self.settings.issuer},
                "aud": {"essential": True, "value": self.settings.client_id},
            },
            {"nonce": nonce, "client_id": self.settings.client_id, "access_token": tokens.get("access_token")},
        )
        try:
            known.validate(int(self._clock()), LEEWAY)
        except (JoseError, ValueError, TypeError) as error:
            claim = getattr(error, "claim", "")
            raise ProviderFailed(f"id_token_{claim}" if claim in _CHECKED else "id_token") from None
        return dict(token.claims)

    async def _verified(self, metadata: _Metadata, text: str) -> jwt.Token:
        """Check the signature; a key that is not known may be a new one."""
        for newest in (False, True):
            keys = await self._key_set(metadata, newest=newest)
            try:
                return jwt.decode(text, keys, algorithms=sorted(metadata.algorithms))
            except (JoseError, ValueError, TypeError):
                continue
        raise ProviderFailed("signature")

    async def _key_set(self, metadata: _Metadata, *, newest: bool) -> KeySet:
        holds = AGAIN if newest else KEPT
        if self._keys and self._clock() < self._keys[0] + holds:
            return self._keys[1]
        told = _object(await self._get(metadata.keys, _JSON), "keys")
        try:
            # Keys of kinds that we do not use are no reason to refuse the others.
            usable = [key for key in told["keys"] if isinstance(key, dict) and key.get("kty") in {"RSA", "EC"}]
            keys = KeySet.import_key_set({"keys": usable})
        except (JoseError, ValueError, TypeError, KeyError):
            raise ProviderFailed("keys") from None
        self._keys = (self._clock(), keys)
        return keys

    async def _more(self, metadata: _Metadata, access: str, known: Mapping[str, object]) -> dict[str, object]:
        """Ask for claims that are not in the token; they must be of the same person (section 5.3.2)."""
        answer = await self._get(metadata.userinfo, _JSON | {"Authorization": f"Bearer {access}"})
        told = dict(_object(answer, "userinfo"))
        if not hmac.compare_digest(str(told.get("sub", "")).encode(), str(known.get("sub", "")).encode()):
            raise ProviderFailed("userinfo")
        return told

    async def _get(self, url: str, headers: Mapping[str, str], body: str | None = None) -> Answer:
        try:
            answer = await self._fetcher.fetch(url, headers, body)
        except FetchFailed as failed:
            raise ProviderFailed(failed.why, words.PROVIDER_AWAY) from None
        if answer.status >= _SERVER_FAULT:
            raise ProviderFailed("fault", words.PROVIDER_AWAY)
        return answer


_CHECKED: Final = frozenset({"iss", "aud", "exp", "iat", "nbf", "nonce", "azp", "at_hash", "sub"})


def _object(answer: Answer, what: str, *, ok: bool = True) -> Mapping[str, Any]:
    """Read an object of JSON; `ok`: it counts with status 200 only. Raises ProviderFailed."""
    try:
        value = json.loads(answer.body)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict) or (ok and answer.status != _OK):
        raise ProviderFailed(what)
    return value


def _words(value: object, default: str) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else [default]
