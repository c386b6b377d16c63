"""Who may what at the pages: two owners and a stranger at every route and method, forged forms, headers, limits."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from starlette.requests import Request

from ponton_bridge.coordination.contract import LiveCode
from ponton_bridge.model.states import Reason
from ponton_operator.resources.account import account_name
from ponton_operator.selfservice.web.app import HEADERS, PAGES
from ponton_operator.selfservice.web.gate import ADDRESS_POSTS, FORM_BYTES, Visit
from ponton_operator.selfservice.web.owner import VERBS
from tests.harness.redis import running_redis
from tests.integration.portal_bed import BOB, Bed, Browser, browser, portal_bed
from tests.unit.desk_world import ALICE, DOMAIN

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
PATHS = sorted({page.path for page in PAGES if "{" not in page.path} | {f"/account/{verb}" for verb in VERBS})
OPEN = {"/", "/login", "/login/answer", "/login/code", "/login/oidc", "/login/oidc/back", "/language"}
ELSEWHERE = (
    "/account/nonsense",
    "/nonsense",
    "/static/nonsense",
    "/static/portal.css",
    "/healthz",
    "/static/../app.py",
)


@pytest.fixture
async def bed(tmp_path: Path) -> AsyncIterator[Bed]:
    """A portal with Alice's account, which waits for a scan."""
    async with running_redis(tmp_path / "redis") as redis, portal_bed(redis) as made:
        await made.accounts.create(ALICE)
        await made.beat(ALICE, Reason.WAITING_FOR_SCAN, LiveCode("qr", "alices-secret-code", 1, 6, 0.0))
        yield made


def alices(bed: Bed) -> object:
    """Give Alice's account as it is now."""
    return bed.accounts.accounts.get(account_name(DOMAIN, ALICE))


async def reached(person: Browser, path: str, method: str) -> int:
    """Ask without following; the stream of events is left at once."""
    try:
        async with asyncio.timeout(0.5 if path.endswith("/events") else 10):
            return await person.ask(method, path, {"token": person.token, "sure": "yes"} if method == "POST" else None)
    except TimeoutError:
        return 200


async def test_a_stranger_reaches_nothing_of_an_owner(bed: Bed) -> None:
    """Without a session every route that is an owner's answers with the login, or 401; nothing is changed or shown."""
    before = alices(bed)
    for path in PATHS:
        for method in METHODS:
            stranger = browser(bed)
            await stranger.get("/login")
            status = await reached(stranger, path, method)
            if path not in OPEN and path != "/logout" and method in {"GET", "HEAD", "POST"}:
                assert status in {303, 401, 405}, (path, method)
            assert status != 500
            assert b"alices-secret-code" not in stranger.body
            assert ALICE not in stranger.text
            await bed.redis.call("DEL", *(await bed.redis.call("KEYS", "ponton:gw:portal:r:posts:*") or ["none"]))
    assert before is alices(bed)


async def test_another_owner_reaches_nothing_of_alice(bed: Bed) -> None:
    """Bob's requests at every route and method concern Bob only."""
    before = alices(bed)
    for path in PATHS:
        for method in METHODS:
            bob = await browser(bed).log_in(BOB)
            status = await reached(bob, path, method)
            assert status != 500, (path, method)
            assert b"alices-secret-code" not in bob.body
            assert ALICE not in bob.text
            await bed.redis.call("DEL", *(await bed.redis.call("KEYS", "ponton:gw:portal:r:*") or ["none"]))
            bed.accounts.accounts.pop(account_name(DOMAIN, BOB), None)
    assert before is alices(bed)
    assert [] == await bed.asked(ALICE)


async def test_only_listed_methods_are_answered(bed: Bed) -> None:
    """Every other method is refused with 405, for owners too."""
    person = await browser(bed).log_in()
    listed: dict[str, set[str]] = {}
    for page in PAGES:
        listed.setdefault(page.path, set()).add(page.method)
    for path in (path for path in PATHS if path in listed):
        for method in METHODS:
            if method not in listed[path] and not (method == "HEAD" and "GET" in listed[path]):
                if "{" not in path and path.startswith("/account/"):
                    continue  # a verb that is none: the row of verbs answers with 404
                assert 405 == await person.ask(method, path), (path, method)


@pytest.mark.parametrize("path", [*PATHS, *ELSEWHERE])
async def test_every_answer_protects_who_reads_it(bed: Bed, path: str) -> None:
    """Pages, parts, files, redirects and errors have the same headers; only style and script may be kept."""
    person = await browser(bed).log_in()
    await reached(person, path, "GET")
    for name, value in HEADERS.items():
        assert value == person.headers[name], path
    assert 1 == len(person.headers.getall("Cache-Control"))  # type: ignore[attr-defined]  # a multidict
    assert ("public, max-age=3600" if path == "/static/portal.css" else "no-store") == person.headers["Cache-Control"]
    assert "Server" not in person.headers


@pytest.mark.parametrize(
    ("form", "headers"),
    [
        ({}, {}),
        ({"token": "0" * 64}, {}),
        ({"token": ""}, {}),
        ({"token": "ok"}, {"Origin": "https://evil.example"}),
        ({"token": "ok"}, {"Origin": "null"}),
        ({"token": "ok"}, {"Sec_Fetch_Site": "cross-site"}),
        ({"token": "ok"}, {"Sec_Fetch_Site": "same-site"}),
    ],
)
@pytest.mark.parametrize("path", ["/login", "/logout", "/language", "/account/delete", "/account/pause"])
async def test_forged_forms_do_nothing(bed: Bed, path: str, form: dict[str, str], headers: dict[str, str]) -> None:
    """Without the token of this cookie, or from another origin, a form is refused and nothing is done."""
    person = await browser(bed).log_in()
    before, said = alices(bed), len(bed.said)
    sent = form | ({"token": person.token} if form.get("token") == "ok" else {}) | {"sure": "yes", "jid": ALICE}
    assert 403 == await person.ask("POST", path, sent, **headers)
    assert (before, said) == (alices(bed), len(bed.said))
    assert 200 == await person.get("/account")


async def test_a_token_of_another_browser_is_none(bed: Bed) -> None:
    """Bob's own token does not work with Alice's cookie."""
    alice, bob = await browser(bed).log_in(), await browser(bed).log_in(BOB)
    assert 403 == await alice.ask("POST", "/account/pause", {"token": bob.token})


async def test_our_own_origin_is_taken(bed: Bed) -> None:
    """What browsers send with our own forms passes."""
    person = await browser(bed).log_in()
    sent = {"token": person.token}
    assert 303 == await person.ask("POST", "/account/pause", sent, Origin=bed.base, Sec_Fetch_Site="same-origin")


async def test_what_is_too_large_or_no_form_is_refused(bed: Bed) -> None:
    """A long body, too many fields, and bytes that are no text are told, not thrown."""
    person = await browser(bed).log_in()
    many = {f"f{n}": "x" for n in range(50)}
    assert 413 == await person.ask("POST", "/account/pause", {"token": person.token, "x": "y" * FORM_BYTES})
    assert 413 == await person.ask("POST", "/account/pause", {"token": person.token} | many)
    async with person.session.post(bed.base + "/account/pause", data=b"\xff\xfe") as answer:
        assert 413 == answer.status


async def test_one_address_cannot_send_forms_for_ever(bed: Bed) -> None:
    """Before a login, forms from one address are counted."""
    person = browser(bed)
    await person.get("/login")
    statuses = [await person.post("/language", language="de") for _ in range(ADDRESS_POSTS + 1)]
    assert [303] * ADDRESS_POSTS + [429] == statuses


@pytest.mark.parametrize(("proxies", "expected"), [(["127.0.0.1/32"], 303), (["192.0.2.0/24"], 429), ([], 429)])
async def test_addresses_are_believed_from_our_own_proxy_only(
    tmp_path: Path, proxies: list[str], expected: int
) -> None:
    """X-Forwarded-For from the host's proxy tells visitors apart; from anybody else it changes nothing."""
    async with running_redis(tmp_path / "redis") as redis, portal_bed(redis, proxies=proxies) as bed:
        person = browser(bed)
        await person.get("/login")
        sent = {"token": person.token, "language": "de"}
        for number in range(ADDRESS_POSTS + 1):
            address = f"203.0.113.{number % 2}"
            status = await person.ask("POST", "/language", sent, X_Forwarded_For=address)
        assert expected == status


async def test_a_customers_whole_network_counts_as_one(bed: Bed) -> None:
    """An IPv6 address is one of 2^64 that a customer has; IPv4 ones are told apart."""
    person = browser(bed)
    visits = [_visit(person, address) for address in ("2001:db8::1", "2001:db8::ffff", "2001:db8:1::1", "192.0.2.1")]
    assert ["2001:db8::/64", "2001:db8::/64", "2001:db8:1::/64", "192.0.2.1"] == [visit.address for visit in visits]


def _visit(person: Browser, address: str) -> Visit:
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b"", "client": (address, 1)}
    return Visit(person.bed.portal, Request(scope), "", "en")


@pytest.mark.parametrize(
    "cookie", ["x" * 5000, "", "%00", "ponton:gw:portal:s:*", "../../etc/passwd", "\N{LATIN SMALL LETTER E WITH ACUTE}"]
)
async def test_odd_cookies_are_nobodys(bed: Bed, cookie: str) -> None:
    """Whatever stands in the cookie, it is no session and no error."""
    async with browser(bed).session.get(
        bed.base + "/account", headers={"Cookie": f"ponton-gw={cookie}"}, allow_redirects=False
    ) as answer:
        assert 303 == answer.status


@pytest.mark.parametrize(
    "back", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "evil", ""]
)
async def test_the_choice_of_a_language_leads_nowhere_else(bed: Bed, back: str) -> None:
    """The way back is one of our own pages, whatever was sent."""
    person = browser(bed)
    await person.get("/login")
    assert 303 == await person.post("/language", language="de", back=back)
    assert "/" == person.headers["Location"]


async def test_names_are_escaped(bed: Bed) -> None:
    """An owner whose name is markup reads it as text."""
    jid = "a;b=c{{7*7}}%3cb%3e@example.org"
    person = await browser(bed).log_in(jid)
    assert jid in person.text
    assert "<b>" not in person.text


async def test_the_cookie_cannot_be_read_by_scripts_or_sent_from_elsewhere(bed: Bed) -> None:
    """HttpOnly and SameSite; with TLS also Secure and the prefix that keeps neighbours out."""
    person = browser(bed)
    await person.get("/login")
    given = person.headers["Set-Cookie"]
    assert given.startswith("ponton-gw=")
    assert {"HttpOnly", "Path=/", "SameSite=lax"} <= {part.strip() for part in given.split(";")}


async def test_behind_a_proxy_with_tls_and_a_path(tmp_path: Path) -> None:
    """Links, cookies and HSTS are as browsers know the page; with the path or without it the proxy may ask."""
    url = "https://example.org/whatsapp"
    async with running_redis(tmp_path / "redis") as redis, portal_bed(redis, url=url) as bed:
        person = browser(bed)
        for path in ("/whatsapp/login", "/login"):
            assert 200 == await person.get(path)
            assert 'action="/whatsapp/login"' in person.text
            assert 'href="/whatsapp/static/portal.css"' in person.text
        given = person.headers["Set-Cookie"]
        assert given.startswith("__Host-ponton-gw=")
        assert "Secure" in given
        assert "max-age=63072000" == person.headers["Strict-Transport-Security"]
        assert 200 == await person.get("/whatsapp/static/portal.css")
        assert 404 == await person.get("/whatsappother/login")
        assert 303 == await person.get("/whatsapp/account")
        assert "/whatsapp/login" == person.headers["Location"]
        assert 303 == await person.get("/whatsapp/")
