"""Logging in at a login server: who gets in, and all that lets nobody in, each with its sentence and its word."""

import base64
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, unquote_plus, urlsplit

import pytest

from ponton_operator.cluster import fetch
from ponton_operator.selfservice import words
from ponton_operator.selfservice.web import oidc, provider
from tests.harness.redis import RedisServer, free_port, running_redis
from tests.harness.rogue import CLIENT, Rogue, key, rogue_server
from tests.integration.portal_bed import BOB, Bed, Browser, browser, portal_bed
from tests.unit.desk_world import ALICE

SECRET = "s3cret+with: odd%characters"
BACK = "/login/oidc/back"
KEY = key("first")


@dataclass
class Scene:
    """A portal and the login server that it knows; `login` are its settings."""

    bed: Bed
    server: Rogue

    def says(self, **claims: object) -> None:
        """Have the server say this of whoever comes."""
        self.server.claims = dict(claims)

    async def there(self, person: Browser) -> str:
        """Go to the login server and come back; gives the path of ours with which it sends the browser back."""
        assert 303 == await person.get("/login/oidc")
        async with person.session.get(person.headers["Location"], allow_redirects=False) as answer:
            back = answer.headers["Location"]
        assert back.startswith(self.bed.base + BACK + "?")
        return back.removeprefix(self.bed.base)

    async def log_in(self) -> Browser:
        """Log a new browser in."""
        person = browser(self.bed)
        assert 303 == await person.get(await self.there(person))
        assert 200 == await person.get("/account")
        return person

    async def refused(self, status: int, sentence: str, why: str) -> None:
        """See that nobody gets in, that the page says why in words, and the log in one."""
        person = browser(self.bed)
        assert status == await person.get(await self.there(person))
        await self.is_out(person, sentence, why)

    async def is_out(self, person: Browser, sentence: str, why: str) -> None:
        """See that this browser is not in, and what it was told."""
        assert sentence in person.text.replace("&#39;", "'")
        assert "Log in" in person.text
        assert why == self.events("oidc_failed")[-1]["why"]
        assert [] == self.events("logged_in")
        assert 303 == await person.get("/account")

    def events(self, name: str) -> list[dict[str, str]]:
        """Give what was logged under a name."""
        return [line for line in map(json.loads, self.bed.log.getvalue().splitlines()) if line["event"] == name]


def settings(server: Rogue, **more: object) -> dict[str, object]:
    """Make the portal's settings for this server."""
    oidc_ = {
        "issuer": server.issuer,
        "clientId": CLIENT,
        "clientSecretRef": {"name": "a", "key": "b"},
        "privateNetwork": True,
        "jid": "{preferred_username}@example.org",
        **more,
    }
    return {"oidc": oidc_}


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[RedisServer]:
    """A Redis of its own."""
    async with running_redis(tmp_path / "redis") as made:
        yield made


@pytest.fixture
async def scene(redis: RedisServer) -> AsyncIterator[Scene]:
    """A portal with a login server, at which everybody is Alice."""
    async with (
        rogue_server(KEY) as server,
        portal_bed(redis, login=settings(server, hostGroups=["boss"], title="Example"), secret=SECRET) as bed,
    ):
        made = Scene(bed, server)
        made.says(preferred_username="Alice", groups=[])
        yield made


async def test_an_owner_logs_in_at_the_login_server(scene: Scene) -> None:
    """By code and PKCE, with state and nonce; the secret travels in the header, and nothing of it all is logged."""
    person = await scene.log_in()
    assert ALICE in person.text
    (form,) = scene.server.forms
    assert {"grant_type", "code", "redirect_uri", "code_verifier"} == set(form)
    kind, _, coded = scene.server.headers[0]["Authorization"].partition(" ")
    given = [unquote_plus(part) for part in base64.b64decode(coded).decode().split(":")]
    assert ("Basic", [CLIENT, SECRET]) == (kind, given)
    assert "oidc" == scene.events("logged_in")[0]["way"]
    for secret in (SECRET, "Alice", ALICE, form["code"], form["code_verifier"], person.cookie):
        assert secret not in scene.bed.log.getvalue()


async def test_what_is_asked_for(scene: Scene) -> None:
    """The browser is sent to the server's own address with everything that binds the answer to it."""
    person = browser(scene.bed)
    await person.get("/login/oidc")
    where = urlsplit(person.headers["Location"])
    asked = dict(parse_qsl(where.query))
    assert f"{scene.server.issuer}/authorize" == f"{where.scheme}://{where.netloc}{where.path}"
    assert {"code", CLIENT, "openid profile", scene.bed.base + BACK, "S256", "a"} == {
        asked.pop(name)
        for name in ("response_type", "client_id", "scope", "redirect_uri", "code_challenge_method", "kind")
    }
    assert {"state", "nonce", "code_challenge"} == set(asked)
    assert 3 == len(set(asked.values()))
    assert all(len(value) == 43 for value in asked.values())


async def test_the_login_page_offers_what_there_is(scene: Scene, redis: RedisServer) -> None:
    """Both ways, one, or the other; what is not offered is not there."""
    person = browser(scene.bed)
    await person.get("/login")
    assert "Log in with Example" in person.text
    assert 'name="jid"' in person.text
    only = {"xmppLogin": False, **settings(scene.server)}
    async with portal_bed(redis, login=only, secret=SECRET) as bed:
        person = browser(bed)
        await person.get("/login")
        assert "Log in with 127.0.0.1" in person.text
        assert 'name="jid"' not in person.text
        for path in ("/login", "/login/code"):
            assert 404 == await person.post(path, jid=ALICE, code="12345678")
            await person.get("/login")
        assert [] == bed.said
    async with portal_bed(redis) as bed:
        person = browser(bed)
        await person.get("/login")
        assert "/login/oidc" not in person.text
        assert [404, 404] == [await person.get("/login/oidc"), await person.get(f"{BACK}?code=a&state=b")]


async def test_another_state_is_refused_and_the_right_one_still_works(scene: Scene) -> None:
    """An answer that this browser did not ask for finds nothing, and breaks nothing off."""
    person = browser(scene.bed)
    back = await scene.there(person)
    for forged in (back[:-1] + "_", back.partition("&state")[0], f"{BACK}?state=&code=a", BACK):
        assert 400 == await person.get(forged)
        await scene.is_out(person, words.LOGIN_OLD, "Refused")
    assert 303 == await person.get(back)
    assert 200 == await person.get("/account")


async def test_another_browser_cannot_use_the_answer(scene: Scene) -> None:
    """Neither one that began nothing, nor one with a login of its own under way, which would be login by stealth."""
    mine, other, stranger = browser(scene.bed), browser(scene.bed), browser(scene.bed)
    back = await scene.there(mine)
    await scene.there(other)
    for person in (other, stranger):
        assert 400 == await person.get(back)
        await scene.is_out(person, words.LOGIN_OLD, "Refused")


async def test_an_answer_is_good_once(scene: Scene) -> None:
    """Used again, with the cookie from before the login or the one after it, it finds nothing."""
    person = browser(scene.bed)
    back = await scene.there(person)
    before = person.cookie
    assert 303 == await person.get(back)
    thief = browser(scene.bed)
    thief.plant(before)
    assert 400 == await thief.get(back)
    assert 303 == await thief.get("/account")
    assert 400 == await person.get(back)
    assert 1 == len(scene.server.forms)


async def test_a_code_that_the_server_knows_no_more_is_refused(scene: Scene) -> None:
    """It was used elsewhere: the owner begins once more."""
    person = browser(scene.bed)
    back = await scene.there(person)
    scene.server.codes.clear()
    assert 400 == await person.get(back)
    await scene.is_out(person, words.LOGIN_OLD, "CodeRefused")


async def test_a_cookie_from_before_the_login_is_worth_nothing_after_it(scene: Scene) -> None:
    """Whoever planted a cookie does not share the session (fixation)."""
    victim, thief = browser(scene.bed), browser(scene.bed)
    victim.plant("planted")
    assert 303 == await victim.get(await scene.there(victim))
    assert "planted" != victim.cookie
    thief.plant("planted")
    assert 303 == await thief.get("/account")
    assert "/login" == thief.headers["Location"]


@pytest.mark.parametrize(
    ("token", "why"),
    [
        ({"nonce": "another"}, "id_token_nonce"),
        ({"nonce": None}, "id_token_nonce"),
        ({"aud": "another"}, "id_token_aud"),
        ({"aud": [CLIENT, "another"], "azp": "another"}, "id_token_azp"),
        ({"aud": None}, "id_token_aud"),
        ({"iss": "https://evil.example"}, "id_token_iss"),
        ({"exp": 1_700_000_000}, "id_token_exp"),
        ({"exp": None}, "id_token_exp"),
        ({"exp": "soon"}, "id_token_exp"),
        ({"iat": 4_000_000_000}, "id_token_iat"),
        ({"sub": None}, "id_token_sub"),
    ],
)
async def test_a_token_that_is_not_for_this_login_is_refused(scene: Scene, token: dict[str, object], why: str) -> None:
    """Of another login, for another program, from another server, too old, or without what it must have."""
    scene.server.token = token
    await scene.refused(503, words.PROVIDER_WRONG, why)


async def test_a_token_that_others_have_signed_is_refused(scene: Scene) -> None:
    """By another key, by the public key as a password, or by nobody."""
    scene.server.signed_by = key("first")
    await scene.refused(503, words.PROVIDER_WRONG, "signature")
    scene.server.password = KEY.as_pem(private=False)
    await scene.refused(503, words.PROVIDER_WRONG, "signature")


@pytest.mark.parametrize("text", ["", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", 7, None])
async def test_what_is_no_token_is_refused(scene: Scene, text: object) -> None:
    """Including one that says of itself that it is not signed."""
    scene.server.reply = {"id_token": text}
    await scene.refused(503, words.PROVIDER_WRONG, "signature" if isinstance(text, str) else "no_id_token")


async def test_a_server_that_changes_its_keys_is_followed(scene: Scene) -> None:
    """A key that is not known is looked for, though not more often than once in a minute."""
    await scene.log_in()
    scene.server.key = key("second")
    person = browser(scene.bed)
    assert 503 == await person.get(await scene.there(person))
    known = scene.bed.portal.server
    assert isinstance(known, provider.Provider)
    assert known._keys is not None
    known._keys = (known._keys[0] - provider.AGAIN, known._keys[1])
    await scene.log_in()


@pytest.mark.parametrize(
    ("metadata", "why"),
    [
        ({"issuer": "https://evil.example"}, "issuer"),
        ({"issuer": None}, "issuer"),
        ({"token_endpoint": "http://evil.example/"}, "endpoints"),
        ({"token_endpoint": None}, "endpoints"),
        ({"authorization_endpoint": "javascript:alert(1)"}, "endpoints"),
        ({"authorization_endpoint": "https://user:pw@evil.example/"}, "endpoints"),
        ({"jwks_uri": "file:///etc/passwd"}, "endpoints"),
        ({"userinfo_endpoint": "gopher://127.0.0.1/"}, "endpoints"),
        ({"id_token_signing_alg_values_supported": ["none", "HS256"]}, "algorithms"),
    ],
)
async def test_a_server_that_says_nonsense_of_itself_is_not_asked(
    scene: Scene, metadata: dict[str, object], why: str
) -> None:
    """Another name, addresses that are none of the web's, algorithms that prove nothing: no browser is sent there."""
    scene.server.metadata = metadata
    person = browser(scene.bed)
    assert 503 == await person.get("/login/oidc")
    await scene.is_out(person, words.PROVIDER_WRONG, why)


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/keys", "/token"])
@pytest.mark.parametrize("fault", ["status", "hangs"])
async def test_a_server_that_is_away_is_told_in_words(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, path: str, fault: str
) -> None:
    """At every step: an error of its own, or silence, which is not waited for without end."""
    monkeypatch.setattr(fetch, "SECONDS", 0.5)
    if fault == "hangs":
        scene.server.hangs = path
    else:
        scene.server.status[path] = 502
    person = browser(scene.bed)
    at_once = path.startswith("/.well-known")
    assert 503 == await person.get("/login/oidc" if at_once else await scene.there(person))
    await scene.is_out(person, words.PROVIDER_AWAY, "slow" if fault == "hangs" else "fault")


async def test_a_server_that_is_gone_is_told_in_words(redis: RedisServer) -> None:
    """Nobody listens there; the XMPP way still works."""
    login = settings(Rogue(f"http://127.0.0.1:{free_port()}", KEY))
    async with portal_bed(redis, login=login, secret=SECRET) as bed:
        person = browser(bed)
        assert 503 == await person.get("/login/oidc")
        assert words.PROVIDER_AWAY in person.text
        assert '"why":"unreachable"' in bed.log.getvalue()
        await person.log_in()


async def test_a_server_at_a_private_address_is_asked_only_where_the_host_says_so(
    scene: Scene, redis: RedisServer
) -> None:
    """By default an address that is not public is refused before anything is sent."""
    login = settings(scene.server, privateNetwork=False)
    async with portal_bed(redis, login=login, secret=SECRET) as bed:
        person = browser(bed)
        assert 503 == await person.get("/login/oidc")
        assert '"why":"address"' in bed.log.getvalue()
    assert [] == scene.server.forms


async def test_the_wrong_secret_is_the_hosts_to_mend(scene: Scene) -> None:
    """The server refuses the portal: the page says that the host has to be told, the log which setting it is."""
    scene.server.status["/token"] = 401
    scene.server.reply = {"error": "invalid_client"}
    await scene.refused(503, words.PROVIDER_WRONG, "client")


async def test_whoever_is_turned_away_there_is_told(scene: Scene) -> None:
    """The server sends the browser back with an error, of which nothing is shown."""
    person = browser(scene.bed)
    state = dict(parse_qsl(urlsplit(await scene.there(person)).query))["state"]
    refused = f"{BACK}?state={state}&error=access_denied&error_description=%3Cscript%3Ealert(1)"
    assert 400 == await person.get(refused)
    assert "alert(1)" not in person.text
    await scene.is_out(person, words.PROVIDER_REFUSED, "Refused")


async def test_an_answer_of_another_server_is_refused(scene: Scene) -> None:
    """A server that names itself in its answers has to be the one that was asked (RFC 9207)."""
    person = browser(scene.bed)
    assert 400 == await person.get(await scene.there(person) + "&iss=https%3A%2F%2Fevil.example")
    await scene.is_out(person, words.PROVIDER_REFUSED, "Refused")
    scene.server.metadata = {"authorization_response_iss_parameter_supported": True}
    known = scene.bed.portal.server
    assert isinstance(known, provider.Provider)
    known._metadata = None
    await scene.refused(400, words.PROVIDER_REFUSED, "Refused")


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"preferred_username": "bob@evil.example"},
        {"preferred_username": "<script>alert(1)</script>\n\x00"},
        {"preferred_username": ["a", "b"]},
    ],
)
async def test_claims_that_make_no_address_let_nobody_in(scene: Scene, claims: dict[str, object]) -> None:
    """And nothing of them stands on the page or in the log."""
    scene.says(groups=[], **claims)
    scene.server.userinfo = {"sub": "1"}
    sentence = words.ADDRESS_UNUSABLE if isinstance(claims.get("preferred_username"), str) else words.NO_ADDRESS
    await scene.refused(503, sentence, "claims")
    for hostile in ("evil", "alert"):
        assert hostile not in scene.bed.log.getvalue()


async def test_owners_of_other_servers_get_in_only_while_they_have_an_account(redis: RedisServer) -> None:
    """As with codes: who is not served any more can still take a copy and delete."""
    async with (
        rogue_server(KEY) as server,
        portal_bed(redis, login=settings(server, jid="{xmpp}"), secret=SECRET) as bed,
    ):
        scene = Scene(bed, server)
        scene.says(xmpp="old@elsewhere.net")
        await scene.refused(400, "This gateway serves the accounts of example.org only", "OwnerError")
        await bed.accounts.create("old@elsewhere.net")
        await scene.log_in()


async def test_more_is_asked_for_where_the_token_lacks_it(scene: Scene) -> None:
    """Claims that stand at the userinfo endpoint only are taken from there, if they are of the same person."""
    scene.says()
    scene.server.userinfo = {"sub": "2", "preferred_username": "alice", "groups": []}
    await scene.refused(503, words.PROVIDER_WRONG, "userinfo")
    scene.server.userinfo["sub"] = "1"
    person = await scene.log_in()
    assert ALICE in person.text
    assert "Bearer a" == scene.server.headers[-1]["Authorization"]


async def test_what_the_token_says_counts_more(scene: Scene) -> None:
    """The signed word is not overruled by the other."""
    scene.says(preferred_username="alice")
    scene.server.userinfo = {"sub": "1", "preferred_username": "bob", "groups": ["boss"]}
    person = await scene.log_in()
    assert ALICE in person.text
    assert 200 == await person.get("/host")


async def test_the_hosts_people_are_known_by_their_group(scene: Scene) -> None:
    """Whoever is in it sees all accounts, for this session; without it these pages are not there."""
    assert 404 == await (await scene.log_in()).get("/host")
    scene.says(preferred_username="alice", groups=["boss", "staff"])
    boss = await scene.log_in()
    assert 200 == await boss.get("/host")
    assert 'href="/host"' in boss.text
    assert 404 == await (await browser(scene.bed).log_in()).get("/host")


async def test_logging_out_everywhere_ends_these_sessions_too(scene: Scene) -> None:
    """However somebody has logged in; other owners stay."""
    one, two = await scene.log_in(), await browser(scene.bed).log_in()
    other = await browser(scene.bed).log_in(BOB)
    await two.post("/logout", everywhere="yes")
    assert [303, 303, 200] == [await person.get("/account") for person in (one, two, other)]


async def test_nobody_is_sent_anywhere_else(scene: Scene) -> None:
    """Whatever is added to our addresses, the way leads to the host's server, and then to the account."""
    person = browser(scene.bed)
    await person.get(
        "/login/oidc?back=https://evil.example&redirect_uri=https://evil.example&issuer=https://evil.example"
    )
    assert "evil" not in person.headers["Location"]
    back = await scene.there(person)
    assert 303 == await person.get(back + "&redirect_uri=https://evil.example&next=//evil.example")
    assert "/account" == person.headers["Location"]


async def test_who_is_in_already_is_not_sent_away(scene: Scene) -> None:
    """The way to the login server is for who is not logged in."""
    person = await scene.log_in()
    assert 303 == await person.get("/login/oidc")
    assert "/account" == person.headers["Location"]


async def test_only_so_many_logins_are_begun_from_one_address(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody makes us keep state, or ask the login server, without end."""
    monkeypatch.setattr(oidc, "ADDRESS_LOGINS", 3)
    person = browser(scene.bed)
    assert [303, 303, 303, 429] == [await person.get("/login/oidc") for _ in range(4)]
    assert "ten minutes" in person.text


async def test_what_waits_for_the_browser_stands_in_redis_under_a_hash(scene: Scene) -> None:
    """Neither cookie nor state can be read there, and it goes by itself after ten minutes."""
    person = browser(scene.bed)
    await person.get("/login/oidc")
    state = dict(parse_qsl(urlsplit(person.headers["Location"]).query))["state"]
    (name,) = await scene.bed.redis.call("KEYS", "ponton:gw:portal:e:*")
    text = await scene.bed.redis.call("GET", name)
    assert state not in text
    assert person.cookie not in name + text
    assert 0 < await scene.bed.redis.call("TTL", name) <= 600


async def test_a_public_client_sends_its_name_only(redis: RedisServer) -> None:
    """Without a secret PKCE alone proves that it is the same portal."""
    async with rogue_server(KEY) as server, portal_bed(redis, login=settings(server, clientSecretRef=None)) as bed:
        scene = Scene(bed, server)
        scene.says(preferred_username="alice")
        await scene.log_in()
        assert CLIENT == server.forms[0]["client_id"]
        assert "client_secret" not in server.forms[0]
        assert "Authorization" not in server.headers[0]


async def test_a_server_that_wants_the_secret_in_the_form_gets_it_there(scene: Scene) -> None:
    """It says so in its metadata."""
    scene.server.metadata = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    await scene.log_in()
    assert (CLIENT, SECRET) == (scene.server.forms[0]["client_id"], scene.server.forms[0]["client_secret"])
