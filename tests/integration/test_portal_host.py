"""The host's pages: who sees them, what they show of 10,000 accounts and how fast, and what their buttons do."""

import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from ponton_bridge.coordination.contract import Happening, Heartbeat, Keys
from ponton_bridge.core.day import BUCKET, Day
from ponton_bridge.model.states import Reason
from ponton_operator.resources.account import AccountStatus, Desired, RetryStatus, ShardStatus, account_name
from ponton_operator.resources.base import moment
from ponton_operator.selfservice import words
from ponton_operator.selfservice.links import is_deleting
from ponton_operator.selfservice.web.app import PAGES
from tests.harness.redis import running_redis
from tests.integration.portal_bed import BOB, GATEWAY, Bed, Browser, browser, portal_bed
from tests.unit.desk_world import ALICE, DOMAIN, NOW
from tests.unit.test_hosting import account

ADMIN = "admin@example.org"
NAME = account_name(DOMAIN, ALICE)
MANY = 10_000
FAST = 0.3  # seconds for a page of the table: what the product promises on a machine like this, when it is quiet


@pytest.fixture
async def bed(tmp_path: Path) -> AsyncIterator[Bed]:
    """A portal whose host is one person; Alice and Bob have accounts."""
    async with running_redis(tmp_path / "redis") as redis, portal_bed(redis, hosts=[ADMIN]) as made:
        for jid in (ALICE, BOB):
            await made.accounts.create(jid)
        yield made


async def host(bed: Bed) -> Browser:
    """Log the host's person in, and wait until the portal knows the accounts."""
    person = await browser(bed).log_in(ADMIN)
    while len(bed.portal.live.rows) < len(bed.accounts.accounts):
        await person.get("/account")
    return person


async def test_only_the_hosts_people_see_the_pages(bed: Bed) -> None:
    """For an owner they are not there, by any method, and nothing is done; for a stranger there is the login."""
    bob, stranger = await browser(bed).log_in(BOB), browser(bed)
    await stranger.get("/login")
    before = dict(bed.accounts.accounts)
    for page in (page for page in PAGES if page.path.startswith("/host")):
        path = page.path.replace("{name}", NAME).replace("{deed}", "stop")
        form = {"sure": "yes", "jid": ALICE}
        sent = [form | {"token": p.token} if page.method == "POST" else None for p in (bob, stranger)]
        assert 404 == await bob.ask(page.method, path, sent[0]), path
        assert 303 == await stranger.ask(page.method, path, sent[1]), path
        for person in (bob, stranger):
            assert ALICE not in person.text
    assert before == bed.accounts.accounts
    await bob.get("/account")
    assert 'href="/host"' not in bob.text


async def test_every_page_of_the_host_is_for_the_host() -> None:
    """No row of the table of pages forgets it."""
    assert all(page.owner and page.host for page in PAGES if page.path.startswith("/host"))


async def test_shows_all_accounts(bed: Bed) -> None:
    """Owner, state, load and memory; the host's own page links to it."""
    await bed.beat(ALICE, Reason.CONNECTED, queue_out=3, queue_in=4, rss=70 * 1024)
    person = await host(bed)
    assert 'href="/host"' in person.text
    assert 200 == await person.get("/host")
    for text in (ALICE, BOB, "<td>7</td>", "<td>70 MiB</td>", 'id="found">2 accounts', 'id="logins">0.0<'):
        assert text in person.text


async def test_shows_load_age_and_the_last_error(bed: Bed) -> None:
    """Messages of the last five minutes, since when there is the account, how its process failed."""
    now = time.time()
    await leave_day(bed, [(now - BUCKET, 4)])
    old = bed.accounts.accounts[NAME]
    status = AccountStatus(
        shard=ShardStatus(epoch=3, started=NOW, ended=NOW, exit_code=70), retry=RetryStatus(failures=4), epoch=3
    )
    made = old.metadata.model_copy(update={"creation_timestamp": moment(now - 3 * 86400 - 60)})
    bed.accounts.accounts[NAME] = old.model_copy(update={"status": status, "metadata": made})
    person = await host(bed)
    while "exit code 70 · 4 in a row" not in person.text:  # the portal is told of the change in a moment
        await person.get("/host")
    for text in (">3 d</time>", "<td>4</td>", "<td>3</td>"):
        assert text in person.text
    await person.get(f"/host/account/{NAME}")
    assert 'id="last-error">exit code 70 · 4 in a row<' in person.text


async def test_shows_the_last_day_of_an_account(bed: Bed) -> None:
    """Three plots, each with its figures in words; an account that never ran has none."""
    now = time.time()
    await leave_day(bed, [(now - 3 * BUCKET, 4), (now - 2 * BUCKET, 19), (now - BUCKET, 1)])
    person = await host(bed)
    await person.get(f"/host/account/{NAME}")
    for name in ("messages", "waiting", "memory"):
        assert f'<svg class="plot" id="plot-{name}"' in person.text
    assert "Latest 1, highest 19, lowest 1." in person.text
    assert "Latest 70, highest 70, lowest 70." in person.text
    await person.get(f"/host/account/{account_name(DOMAIN, BOB)}")
    assert "<svg" not in person.text
    assert 3 == person.text.count("Nothing is known: the bridge of this account did not run")


async def test_shows_what_happened_to_an_account(bed: Bed) -> None:
    """What the control plane told, and who of the host did what, newest first; nobody of the host is in Redis."""
    await bed.portal.door.record([
        (NAME, Happening(NOW.timestamp(), state="Running Connected", turned="Ready=True Paired=True")),
        (NAME, Happening(NOW.timestamp() + 60, ended="70", started=17, tier="large")),
    ])  # fmt: skip
    person = await host(bed)
    await person.get(f"/host/account/{NAME}")
    await person.post(f"/host/account/{NAME}/park")
    await person.get(f"/host/account/{NAME}")
    told = [
        f"park, by {ADMIN}", "exit code 70", "epoch 17", "size large", "State: Running · Connected",
        "Ready: True, Paired: True",
    ]  # fmt: skip
    places = [person.text.index(text, person.text.index('id="history"')) for text in told]
    assert sorted(places) == places
    stored = await bed.redis.call("XRANGE", Keys(GATEWAY, NAME).history, "-", "+")
    assert ADMIN not in str(stored)
    await person.get(f"/host/account/{account_name(DOMAIN, BOB)}")
    assert "Nothing is known yet." in person.text


async def leave_day(bed: Bed, messages: Sequence[tuple[float, int]]) -> None:
    """Let Alice's shard have counted so many messages at these times."""
    day, total = Day(), 0
    for at, count in messages:
        total += count
        day.note(Heartbeat(1, "i", at, sent=total, rss=70 * 1024))
    await bed.redis.call("SET", Keys(GATEWAY, NAME).day, day.to_text())


async def test_finds_an_owner_without_an_address_in_the_url(bed: Bed) -> None:
    """The way leads to the opaque name; an unknown address is told."""
    person = await host(bed)
    await person.get("/host")
    assert 303 == await person.post("/host/find", jid="Alice@Example.org")
    assert f"/host/account/{NAME}" == person.headers["Location"]
    await person.get("/host")
    assert 400 == await person.post("/host/find", jid="nobody@example.org")
    assert words.NO_SUCH_ACCOUNT in person.text


async def test_buttons_of_one_account(bed: Bed) -> None:
    """Stop, park and start change what is wanted; the log names both by opaque names."""
    person = await host(bed)
    for deed, desired in (("stop", Desired.STOPPED), ("park", Desired.PARKED), ("start", Desired.RUNNING)):
        await person.get(f"/host/account/{NAME}")
        assert 303 == await person.post(f"/host/account/{NAME}/{deed}")
        assert desired is bed.accounts.accounts[NAME].spec.desired
        await person.get(f"/host/account/{NAME}")
        assert f'id="wanted">{desired}<' in person.text
        assert words.HOST_DONE in person.text
    assert f'"event":"host_acted","account":"{NAME}","verb":"start"' in bed.log.getvalue().replace(
        '"program":"portal",', ""
    )
    assert ALICE not in bed.log.getvalue()


async def test_deleting_is_asked_first(bed: Bed) -> None:
    """A bare form asks; yes does it."""
    person = await host(bed)
    await person.get(f"/host/account/{NAME}")
    await person.post(f"/host/account/{NAME}/delete")
    assert not is_deleting(bed.accounts.accounts[NAME])
    await person.get(f"/host/account/{NAME}/delete")
    assert 303 == await person.post(f"/host/account/{NAME}/delete", sure="yes")
    assert is_deleting(bed.accounts.accounts[NAME])


@pytest.mark.parametrize("path", ["/host/account/acc-none", f"/host/account/{NAME}/nonsense"])
async def test_what_is_not_there_is_told(bed: Bed, path: str) -> None:
    """An account that is gone, a button that is none."""
    person = await host(bed)
    await person.get("/host")
    assert await (person.get(path) if path.endswith("none") else person.post(path)) in {400, 404}


@pytest.mark.parametrize("query", ["?page=-1", "?page=99999999999", "?page=x", "?phase=%3Cb%3E&reason='", "?page="])
async def test_odd_choices_are_no_error(bed: Bed, query: str) -> None:
    """Whatever stands in the address, a page comes, and nothing of it is markup."""
    person = await host(bed)
    assert 200 == await person.get(f"/host{query}")
    assert "<b>" not in person.text


async def test_ten_thousand_accounts_are_no_trouble(bed: Bed) -> None:
    """First page, last page and a choice each come in the time that is promised (best of five, for busy machines)."""
    reasons = [("Running", "Connected"), ("Parked", "LoggedOut"), ("Failed", "Crashing")]
    for number in range(MANY):
        made = account(number, *reasons[number % 3])
        bed.accounts.accounts[account_name(DOMAIN, made.spec.owner)] = made
    person = await host(bed)
    times: dict[str, float] = {}
    for query in ("", "?page=200", "?phase=Parked", "?phase=Failed&reason=Crashing&page=3"):
        took = []
        for _ in range(5):
            began = time.process_time()
            assert 200 == await person.get(f"/host{query}")
            took.append(time.process_time() - began)
        times[query] = min(took)
    print({query: f"{seconds * 1000:.0f} ms" for query, seconds in times.items()})  # noqa: T201  # a figure
    assert [] == [query for query, seconds in times.items() if seconds > FAST]
    await person.get("/host?phase=Parked")
    assert f'id="found">{MANY // 3} accounts' in person.text
