"""The host's pages: the gateway in figures, all accounts as a table, one account with its day, history and buttons.

For those whom `spec.selfservice.portal.hosts` names; for everybody else these pages are not there. Accounts are named
by their opaque names, in addresses and in the log; an owner's address is asked for by a form and stands in no URL.
"""

from contextlib import suppress
from typing import Final

from starlette.responses import Response

from ponton_bridge.coordination.contract import Happening
from ponton_bridge.core.day import Day
from ponton_bridge.model.errors import HostError
from ponton_bridge.model.jid import prepare_bare
from ponton_operator.resources.account import BridgeAccount, account_name
from ponton_operator.selfservice import hosting, words
from ponton_operator.selfservice.accounts import NoSuchAccount
from ponton_operator.selfservice.hosting import Choice, Deed
from ponton_operator.selfservice.plots import plots
from ponton_operator.selfservice.web.events import PortalEvent
from ponton_operator.selfservice.web.gate import Visit

_MAX_WORD: Final = 40  # characters of a phase or a reason
_MAX_PAGE: Final = 6  # digits


async def accounts(visit: Visit) -> Response:
    """Show the overview and a page of the table."""
    live = visit.portal.live
    asked = visit.request.query_params
    page = asked.get("page", "")[:_MAX_PAGE]
    number = int(page) if page.isascii() and page.isdigit() else 1
    choice = Choice(asked.get("phase", "")[:_MAX_WORD], asked.get("reason", "")[:_MAX_WORD], number)
    table = hosting.table(live.rows, choice)
    names, now = [account.metadata.name for account in table.rows], live.clock()
    days = await visit.portal.door.days(names)
    return visit.page(
        "host.html",
        table=table,
        choice=choice,
        beats=await live.beats(names),
        load={name: days[name].buckets(now)[-1] for name in days},
        errors={account.metadata.name: hosting.last_error(account) for account in table.rows},
        overview=hosting.overview(live.rows, now),
    )


async def find(visit: Visit) -> Response:
    """Go to the account of an owner's address."""
    name = account_name(visit.portal.limits.domain, prepare_bare(visit.form.get("jid", "")))
    account = await visit.portal.accounts.get(name)
    if account is None:
        raise NoSuchAccount(words.NO_SUCH_ACCOUNT)
    return visit.go(f"/host/account/{account.metadata.name}")


async def account(visit: Visit) -> Response:
    """Show one account."""
    found, live, door = await _found(visit), visit.portal.live, visit.portal.door
    name = found.metadata.name
    day = (await door.days([name])).get(name) or Day()
    return visit.page(
        "host_account.html",
        account=found,
        beat=(await live.beats([name])).get(name),
        error=hosting.last_error(found),
        plots=plots(day.buckets(live.clock())),
        history=await door.history(name),
        people={account_name(visit.portal.limits.domain, jid): jid for jid in visit.portal.site.hosts},
        deeds=Deed,
        notice=await visit.portal.keep.take(visit.cookie),
    )


async def sure(visit: Visit) -> Response:
    """Ask before an account is deleted."""
    return visit.page("host_delete.html", account=await _found(visit))


async def act(visit: Visit) -> Response:
    """Do what a button says."""
    found, deed = await _found(visit), visit.request.path_params["deed"]
    name = found.metadata.name
    if deed not in set(Deed):
        return visit.page("error.html", 404, problem=visit.say(words.NO_PAGE))
    if deed == Deed.DELETE and visit.form.get("sure") != "yes":
        return visit.go(f"/host/account/{name}/delete")
    with suppress(HostError):  # with Redis away it is done all the same, and the log has it
        await visit.portal.door.record([(name, Happening(visit.portal.live.clock(), deed=deed, by=visit.account))])
    await hosting.do(visit.portal.accounts, name, Deed(deed))
    visit.portal.log(PortalEvent.HOST_ACTED, account=name, verb=deed, by=visit.account)
    await visit.portal.keep.leave(visit.cookie, visit.say(words.HOST_DONE))
    return visit.go(f"/host/account/{name}")


async def _found(visit: Visit) -> BridgeAccount:
    account = await visit.portal.accounts.get(visit.request.path_params["name"])
    if account is None:
        raise NoSuchAccount(words.NO_SUCH_ACCOUNT)
    return account
