"""One attempt to link: codes for those who can see them, and one clear end."""

import itertools

import pytest

from ponton_bridge.coordination.contract import LiveCode
from ponton_bridge.core import events as on
from ponton_bridge.core.effects import (
    AskPhoneCode,
    ClearCode,
    Effect,
    ExpireCode,
    PublishCode,
    RestartDriver,
    ShowCode,
    StartDriver,
    StopDriver,
)
from ponton_bridge.core.pairing import TRIES, WINDOW, Pairing
from ponton_bridge.core.pairing_table import TABLE, Step
from ponton_bridge.model.address import Address
from ponton_bridge.model.states import Reason
from ponton_bridge.whatsapp import port
from ponton_bridge.whatsapp.port import CodeKind

T = 1_700_000_000.0
HOME, PHONE = "home", "phone"


def qr(text: str, seconds: float = 20.0) -> port.Code:
    """A QR as the driver gives it."""
    return port.Code(CodeKind.QR, text, seconds)


def live(text: str, number: int, expires: float, total: int = 6) -> LiveCode:
    """A QR as it is shown."""
    return LiveCode("qr", text, number, total, expires)


def opened(*, total: int = 6, resources: tuple[str, ...] = (HOME,)) -> Pairing:
    """An attempt that waits for its first code."""
    pairing = Pairing(total=total)
    pairing.receive(on.XmppOpened(), T)
    effects = [effect for resource in resources for effect in pairing.receive(on.Present(resource), T)]
    assert [StartDriver()] == effects
    return pairing


def showing(*, total: int = 6) -> Pairing:
    """An attempt whose first code is live until T + 60."""
    pairing = opened(total=total)
    pairing.receive(qr("one", 60.0), T)
    assert Step.SHOWING is pairing.step
    return pairing


def tick(pairing: Pairing) -> list[Effect]:
    """Let the time come that the machine waits for."""
    assert pairing.due is not None
    return pairing.receive(on.Tick(), pairing.due)


# ---- who can see a code -------------------------------------------------------------------------------------------


def test_asks_nothing_while_nobody_is_there() -> None:
    """Without an available resource WhatsApp is not even asked."""
    pairing = Pairing()
    assert [] == pairing.receive(on.XmppOpened(), T)
    assert (Step.ABSENT, Reason.WAITING_FOR_OWNER, None) == (pairing.step, pairing.reason, pairing.due)


def test_starts_when_the_owner_comes() -> None:
    """The first resource starts the attempt, the second one does not start another."""
    pairing = Pairing()
    pairing.receive(on.XmppOpened(), T)
    assert [StartDriver()] == pairing.receive(on.Present(HOME), T)
    assert [] == pairing.receive(on.Present(PHONE), T)
    assert Step.OPENING is pairing.step


def test_starts_at_once_for_an_owner_who_is_there() -> None:
    """Resources known before the stream was opened count."""
    pairing = Pairing()
    pairing.receive(on.Present(HOME), T)
    assert [StartDriver()] == pairing.receive(on.XmppOpened(), T)


def test_a_watched_page_counts() -> None:
    """Somebody on the portal sees codes without any XMPP client; they are published, not sent."""
    pairing = Pairing()
    pairing.receive(on.XmppOpened(), T)
    assert [StartDriver()] == pairing.receive(on.NewCode(watching=True), T)
    assert [PublishCode(live("one", 1, T + 60))] == pairing.receive(qr("one", 60.0), T)


def test_a_request_by_chat_is_not_a_watched_page() -> None:
    """'code' by chat shows codes to those who are there, and to nobody else."""
    pairing = Pairing()
    pairing.receive(on.XmppOpened(), T)
    assert [] == pairing.receive(on.NewCode(), T)


def test_stops_asking_when_nobody_can_see_the_next_code() -> None:
    """The owner leaves: the next code stops WhatsApp, takes back what was shown, and waits for the owner."""
    pairing = showing()
    assert [] == pairing.receive(on.Absent(HOME), T + 10)
    assert [ClearCode(), ExpireCode(CodeKind.QR, linked=False), StopDriver()] == pairing.receive(qr("two"), T + 60)
    assert (Step.ABSENT, Reason.WAITING_FOR_OWNER) == (pairing.step, pairing.reason)


def test_a_short_absence_costs_nothing() -> None:
    """Whoever is back before the next code is due misses nothing, and sees the live one again."""
    pairing = showing()
    pairing.receive(on.Absent(HOME), T + 10)
    assert [ShowCode(live("one", 1, T + 60), (HOME,))] == pairing.receive(on.Present(HOME), T + 20)


def test_absences_do_not_add_codes() -> None:
    """Codes are counted over the whole attempt, however often the owner comes and goes."""
    pairing = Pairing(total=2)
    pairing.receive(on.XmppOpened(), T)
    for number in (1, 2):
        pairing.receive(on.Present(HOME), T)
        assert ShowCode(live(f"{number}", number, T + 20, 2), (HOME,)) in pairing.receive(qr(f"{number}"), T)
        pairing.receive(on.Absent(HOME), T)
        pairing.receive(qr("unseen"), T + 20)
    pairing.receive(on.Present(HOME), T)
    pairing.receive(qr("three"), T)
    assert (Step.ENDED, Reason.CODES_USED_UP) == (pairing.step, pairing.reason)


def test_a_lost_stream_forgets_who_is_there() -> None:
    """Without a stream nobody can be shown anything."""
    pairing = showing()
    pairing.receive(on.XmppClosed(), T + 1)
    assert StopDriver() in pairing.receive(qr("two"), T + 60)


# ---- codes --------------------------------------------------------------------------------------------------------


def test_shows_and_publishes_the_first_code() -> None:
    """The first code goes to everybody who is there and to the doors, with number and validity."""
    pairing = opened()
    pairing.receive(on.Present(PHONE), T)
    code = live("one", 1, T + 70)
    assert [ShowCode(code, (HOME, PHONE)), PublishCode(code)] == pairing.receive(qr("one", 60.0), T + 10)
    assert (code, Reason.WAITING_FOR_SCAN) == (pairing.code, pairing.reason)


def test_knows_whatsapps_times() -> None:
    """A driver that does not say how long a code lives: 60 s the first, 20 s the others."""
    pairing = opened()
    pairing.receive(qr("one", 0.0), T)
    assert pairing.code == live("one", 1, T + 60)
    pairing.receive(qr("two", 0.0), T + 60)
    assert pairing.code == live("two", 2, T + 80)


def test_a_successor_takes_its_place() -> None:
    """A newer code replaces the older one without a word in between."""
    pairing = showing()
    code = live("two", 2, T + 80)
    assert [ShowCode(code, (HOME,)), PublishCode(code)] == pairing.receive(qr("two"), T + 60)


def test_a_code_without_successor_expires() -> None:
    """A code is never left standing after its end."""
    pairing = showing()
    assert [] == pairing.receive(on.Tick(), T + 60)
    assert [ClearCode(), ExpireCode(CodeKind.QR, linked=False)] == pairing.receive(on.Tick(), T + 63)
    assert pairing.code is None
    assert Step.SHOWING is pairing.step


def test_a_newcomer_sees_the_live_code() -> None:
    """A client that comes later gets the live code, alone, unless it is about to end."""
    pairing = showing()
    assert [ShowCode(live("one", 1, T + 60), (PHONE,))] == pairing.receive(on.Present(PHONE), T + 55)
    assert [] == pairing.receive(on.Present("late"), T + 56)


def test_asking_again_shows_the_same_code() -> None:
    """'new code' while one is live shows it again, and begins nothing."""
    pairing = showing()
    code = live("one", 1, T + 60)
    assert [ShowCode(code, (HOME,)), PublishCode(code)] == pairing.receive(on.NewCode(), T + 5)
    assert [] == pairing.receive(on.NewCode(), T + 59)


def test_six_codes_and_an_end() -> None:
    """After the last code there is one clear end, and nothing more comes of anything."""
    pairing = showing()
    at = T + 60
    for number in range(2, 7):
        assert ShowCode(live(f"{number}", number, at + 20), (HOME,)) in pairing.receive(qr(f"{number}"), at)
        at += 20
    assert [ClearCode(), ExpireCode(CodeKind.QR, linked=False), StopDriver()] == tick(pairing)
    assert (Step.ENDED, Reason.CODES_USED_UP, None) == (pairing.step, pairing.reason, pairing.due)
    for event in (qr("more"), on.Present(PHONE), on.XmppOpened(), on.Tick(), port.Paired(Address(lid="1"))):
        assert [] == pairing.receive(event, at + 100)


def test_the_host_may_allow_fewer() -> None:
    """With two codes allowed the third one ends the attempt unseen."""
    pairing = showing(total=2)
    pairing.receive(qr("two"), T + 60)
    assert [ClearCode(), ExpireCode(CodeKind.QR, linked=False), StopDriver()] == pairing.receive(qr("three"), T + 80)
    assert Reason.CODES_USED_UP is pairing.reason


def test_new_code_begins_anew() -> None:
    """After the end 'new code' begins a whole attempt."""
    pairing = showing(total=1)
    tick(pairing)
    assert Step.ENDED is pairing.step
    assert [StartDriver()] == pairing.receive(on.NewCode(), T + 1000)
    assert ShowCode(live("fresh", 1, T + 1060, 1), (HOME,)) in pairing.receive(qr("fresh", 60.0), T + 1000)


def test_a_restart_does_not_begin_anew() -> None:
    """A process that comes back after the end waits for 'new code' like its predecessor."""
    pairing = Pairing(ended=Reason.CODES_USED_UP)
    assert [] == pairing.receive(on.XmppOpened(), T)
    assert [] == pairing.receive(on.Present(HOME), T)
    assert Reason.CODES_USED_UP is pairing.reason
    assert [StartDriver()] == pairing.receive(on.NewCode(), T)


def test_the_drivers_silent_end() -> None:
    """A driver whose codes run out without a word is noticed; with codes left the attempt goes on."""
    pairing = opened(total=10)
    pairing.receive(qr("one", 60.0), T)
    for number, at in enumerate(range(60, 160, 20), start=2):
        pairing.receive(qr(f"{number}"), T + at)
    assert [ClearCode(), ExpireCode(CodeKind.QR, linked=False)] == tick(pairing)
    assert T + WINDOW == pairing.due
    assert [RestartDriver()] == tick(pairing)
    assert ShowCode(live("seven", 7, T + 260, 10), (HOME,)) in pairing.receive(qr("seven", 60.0), T + 200)


def test_the_silent_end_with_nobody_there() -> None:
    """At the silent end with nobody to see more, the attempt waits for the owner."""
    pairing = opened(total=10)
    pairing.receive(qr("one", 160.0), T)
    pairing.receive(on.Absent(HOME), T + 1)
    tick(pairing)
    assert [StopDriver()] == tick(pairing)
    assert Step.ABSENT is pairing.step


# ---- WhatsApp is away ---------------------------------------------------------------------------------------------


def test_no_first_code_in_time() -> None:
    """A driver that gives nothing for 30 s is stopped and tried again after a pause."""
    pairing = opened()
    assert T + 30 == pairing.due
    assert [StopDriver()] == tick(pairing)
    assert (Step.RESTING, Reason.CONNECTION_REFUSED, T + 32) == (pairing.step, pairing.reason, pairing.due)
    assert [StartDriver()] == tick(pairing)


@pytest.mark.parametrize("reason", [Reason.CONNECTION_REFUSED, Reason.FAILED])
def test_not_reachable(reason: Reason) -> None:
    """A refused connection takes back the live code and is tried again."""
    pairing = showing()
    assert [ClearCode(), ExpireCode(CodeKind.QR, linked=False), StopDriver()] == pairing.receive(
        port.Link(reason), T + 5
    )
    assert Step.RESTING is pairing.step


@pytest.mark.parametrize("reason", [Reason.CONNECTING, Reason.CONNECTION_LOST])
def test_what_the_driver_mends_itself(reason: Reason) -> None:
    """Ups and downs that the driver handles change nothing."""
    pairing = showing()
    assert [] == pairing.receive(port.Link(reason), T + 5)
    assert Step.SHOWING is pairing.step


def test_pauses_grow_and_end() -> None:
    """Tries become rarer, stop after twenty, and end in one state."""
    pairing = opened()
    begun: list[float] = []
    while pairing.step is not Step.ENDED:
        assert pairing.due is not None
        at = pairing.due
        if tick(pairing) == [StartDriver()]:
            begun.append(at)
    steps = [later - earlier for earlier, later in itertools.pairwise(begun)]
    assert TRIES == len(begun)
    assert sorted(steps) == steps
    assert 330.0 == steps[-1]
    assert Reason.FAILED is pairing.reason


def test_the_owner_need_not_wait_for_the_pause() -> None:
    """'new code' in a pause tries at once."""
    pairing = opened()
    tick(pairing)
    assert [StartDriver()] == pairing.receive(on.NewCode(), T + 31)


def test_a_code_forgets_earlier_failures() -> None:
    """Once WhatsApp has answered, pauses are short again."""
    pairing = opened()
    for _ in range(5):
        tick(pairing)
        tick(pairing)
    at = pairing.due or 0.0
    pairing.receive(qr("one", 60.0), at)
    pairing.receive(port.Link(Reason.CONNECTION_REFUSED), at)
    assert at + 2 == pairing.due


# ---- the 8 letters ------------------------------------------------------------------------------------------------


def test_letters_beside_the_codes() -> None:
    """Letters are asked for on the open connection, shown beside the QR, and live as long as the connection."""
    pairing = showing()
    assert [AskPhoneCode("44770")] == pairing.receive(on.PhoneAsked("44770"), T + 5)
    letters = LiveCode("phone", "ABCD-EFGH", 1, 1, T + WINDOW)
    assert [ShowCode(letters, (HOME,))] == pairing.receive(on.PhoneCode("ABCD-EFGH"), T + 6)
    assert [ShowCode(live("one", 1, T + 60), (PHONE,)), ShowCode(letters, (PHONE,))] == pairing.receive(
        on.Present(PHONE), T + 10
    )


def test_letters_first() -> None:
    """Asked for before there is a connection, they are fetched as soon as there is one."""
    pairing = Pairing()
    pairing.receive(on.XmppOpened(), T)
    assert [StartDriver()] == pairing.receive(on.PhoneAsked("44770"), T)
    assert [AskPhoneCode("44770")] == pairing.receive(qr("one", 60.0), T)
    assert [] == pairing.receive(qr("two"), T + 60)


def test_an_owner_who_types_letters_may_leave() -> None:
    """On one and the same phone the XMPP client goes to sleep while the letters are typed: the connection stays."""
    pairing = showing()
    pairing.receive(on.PhoneAsked("44770"), T + 5)
    pairing.receive(on.PhoneCode("ABCD-EFGH"), T + 6)
    pairing.receive(on.Absent(HOME), T + 7)
    assert [ClearCode(), ExpireCode(CodeKind.QR, linked=False)] == pairing.receive(qr("two"), T + 60)
    assert [ExpireCode(CodeKind.PHONE, linked=True)] == pairing.receive(port.Paired(Address(lid="1")), T + 70)
    assert Step.LINKED is pairing.step


def test_letters_outlive_the_last_code() -> None:
    """When the QR codes are used up the letters are still good until the connection's end; then all of it ends."""
    pairing = showing(total=1)
    pairing.receive(on.PhoneAsked("44770"), T + 5)
    pairing.receive(on.PhoneCode("ABCD-EFGH"), T + 6)
    assert [ClearCode(), ExpireCode(CodeKind.QR, linked=False)] == pairing.receive(qr("two"), T + 60)
    assert [] == pairing.receive(qr("three"), T + 80)
    assert T + WINDOW == pairing.due
    assert [ExpireCode(CodeKind.PHONE, linked=False), StopDriver()] == tick(pairing)
    assert Reason.CODES_USED_UP is pairing.reason


def test_refused_letters_keep_nothing_open() -> None:
    """Letters that WhatsApp refused hold up no end."""
    pairing = showing(total=1)
    pairing.receive(on.PhoneAsked("44770"), T + 5)
    assert [] == pairing.receive(on.PhoneRefused(), T + 6)
    assert StopDriver() in pairing.receive(qr("two"), T + 60)


def test_letters_after_the_end_begin_anew() -> None:
    """Asking for letters is asking for a new attempt."""
    pairing = Pairing(ended=Reason.LOGGED_OUT)
    assert [StartDriver()] == pairing.receive(on.PhoneAsked("44770"), T)
    assert [AskPhoneCode("44770")] == pairing.receive(qr("one"), T)


def test_a_driver_may_give_letters_as_a_code() -> None:
    """Letters that come as a code event are the same letters."""
    pairing = showing()
    letters = LiveCode("phone", "ABCD-EFGH", 1, 1, T + WINDOW)
    assert [ShowCode(letters, (HOME,))] == pairing.receive(port.Code(CodeKind.PHONE, "ABCD-EFGH", 160), T + 1)


# ---- ends ---------------------------------------------------------------------------------------------------------


def test_paired() -> None:
    """The scan takes the picture back as used, and leaves the driver running."""
    pairing = showing()
    assert [ClearCode(), ExpireCode(CodeKind.QR, linked=True)] == pairing.receive(port.Paired(Address(lid="1")), T + 5)
    assert (Step.LINKED, None, None) == (pairing.step, pairing.due, pairing.code)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (Reason.FAILED, Reason.PAIRING_FAILED),
        (Reason.PASSKEY_NEEDED, Reason.PASSKEY_NEEDED),
        (Reason.PASSKEY_FAILED, Reason.PASSKEY_FAILED),
        (Reason.CODES_USED_UP, Reason.CODES_USED_UP),
        (Reason.OUTDATED, Reason.OUTDATED),
    ],
)
def test_pairing_failed(given: Reason, expected: Reason) -> None:
    """A failed attempt ends under a reason with an action for somebody."""
    pairing = showing()
    assert [ClearCode(), ExpireCode(CodeKind.QR, linked=False), StopDriver()] == pairing.receive(
        port.PairingFailed(given), T + 5
    )
    assert (Step.ENDED, expected) == (pairing.step, pairing.reason)


@pytest.mark.parametrize("reason", [Reason.OUTDATED, Reason.BANNED, Reason.LOGGED_OUT, Reason.PASSKEY_NEEDED])
def test_refused_for_good(reason: Reason) -> None:
    """What no new code can cure ends the attempt at once."""
    pairing = showing()
    assert StopDriver() in pairing.receive(port.Link(reason), T + 5)
    assert (Step.ENDED, reason) == (pairing.step, pairing.reason)


def test_parked_from_outside() -> None:
    """An attempt that is called off is taken back; one that has ended gives nothing more."""
    pairing = showing()
    assert [ClearCode(), ExpireCode(CodeKind.QR, linked=False), StopDriver()] == pairing.park(Reason.UNLINKED)
    assert [] == pairing.park(Reason.UNLINKED)
    assert (Step.ENDED, Reason.UNLINKED) == (pairing.step, pairing.reason)


def test_keys_that_nobody_knew_of() -> None:
    """A scan that was not heard of any more has left keys: the driver connects instead of giving codes."""
    pairing = opened()
    assert [] == pairing.receive(port.Link(Reason.CONNECTED), T + 1)
    assert Step.LINKED is pairing.step


def test_letters_before_any_code() -> None:
    """A driver that gives only letters opens the attempt's window with them."""
    pairing = opened()
    letters = LiveCode("phone", "ABCD-EFGH", 1, 1, T + WINDOW)
    assert [ShowCode(letters, (HOME,))] == pairing.receive(port.Code(CodeKind.PHONE, "ABCD-EFGH", 160), T)
    assert T + WINDOW == pairing.due


def test_the_table_is_whole() -> None:
    """Every step has a row, and every handler named in it exists."""
    assert set(Step) == set(TABLE)
    assert all(hasattr(Pairing, f"_{name}") for row in TABLE.values() for name in row.values())
