"""The state of a link: what each event does, what the owner hears, and that nothing loops."""

import pytest

from ponton_bridge.core import events as on
from ponton_bridge.core.effects import (
    AskPhoneCode,
    Effect,
    ForgetKeys,
    Logout,
    NotUnlinked,
    RestartDriver,
    SetReason,
    StartDriver,
    StopDriver,
    StopForGood,
    Tell,
)
from ponton_bridge.core.link import BLOCKED, PHONE_QUIET, RARE, TRIES, Link
from ponton_bridge.core.link_table import CUES, LIMITS, LINGER, TABLE, Cue, State
from ponton_bridge.core.pairing import Pairing
from ponton_bridge.core.pairing_table import Step
from ponton_bridge.model.address import Address
from ponton_bridge.model.states import Reason
from ponton_bridge.whatsapp import port

T = 1_700_000_000.0
OWN = Address(lid="1")


def link(*, linked: bool = True, told: Reason | None = None, phone_seen: float = T) -> Link:
    """A link that waits for the XMPP server; chance always gives the longest pause."""
    return Link(Pairing(), linked=linked, random=lambda: 1.0, told=told, phone_seen=phone_seen)


def at(reason: Reason, until: int = 0) -> port.Link:
    """The driver's word."""
    return port.Link(reason, until)


def connected(**options: Reason | None) -> Link:
    """A link that stands since T."""
    made = link(**options)  # type: ignore[arg-type]  # told only
    made.receive(on.XmppOpened(), T)
    made.receive(at(Reason.CONNECTED), T)
    assert State.CONNECTED is made.state
    return made


def tick(made: Link) -> list[Effect]:
    """Let the time come that the machine waits for."""
    assert made.due is not None
    return made.receive(on.Tick(), made.due)


def told(effects: list[Effect]) -> list[Reason]:
    """What the owner hears."""
    return [effect.reason for effect in effects if isinstance(effect, Tell)]


# ---- beginning ----------------------------------------------------------------------------------------------------


def test_whatsapp_waits_for_the_xmpp_server() -> None:
    """Nothing touches WhatsApp before our epoch was accepted."""
    made = link()
    for event in (on.NewCode(), on.Present("home"), on.PhoneAsked("44770"), on.Tick(), at(Reason.CONNECTED)):
        assert StartDriver() not in made.receive(event, T)
    assert [StartDriver(), SetReason(Reason.CONNECTING, T)] == made.receive(on.XmppOpened(), T)


def test_says_how_it_starts() -> None:
    """The first event of any kind publishes where the link stands."""
    assert [SetReason(Reason.STARTING, T)] == link().receive(on.Present("home"), T)


def test_connects() -> None:
    """A connected link is published; the owner is not told what is only as expected."""
    made = link()
    made.receive(on.XmppOpened(), T)
    assert [SetReason(Reason.CONNECTED, T + 1)] == made.receive(at(Reason.CONNECTED), T + 1)


def test_a_second_opening_starts_nothing() -> None:
    """The XMPP stream may come and go; the WhatsApp link stays."""
    made = connected()
    assert [] == made.receive(on.XmppClosed(), T + 5)
    assert [] == made.receive(on.XmppOpened(), T + 6)


def test_without_keys_it_pairs() -> None:
    """An account without a link waits for its owner, then asks for codes."""
    made = link(linked=False)
    assert [SetReason(Reason.WAITING_FOR_OWNER, T)] == made.receive(on.XmppOpened(), T)
    assert [StartDriver(), SetReason(Reason.STARTING, T)] == made.receive(on.Present("home"), T)


def test_a_number_given_before_the_first_stream_is_asked_for_letters() -> None:
    """What a door passed on while the shard was only starting is done with the first connection."""
    made = link(linked=False)
    assert [] == [
        effect for effect in made.receive(on.PhoneAsked("447700900123"), T) if not isinstance(effect, SetReason)
    ]
    made.receive(on.Present("phone"), T)
    made.receive(on.XmppOpened(), T)
    effects = made.receive(port.Code(port.CodeKind.QR, "2@a", 60.0, 1), T)
    assert [AskPhoneCode("447700900123")] == [effect for effect in effects if isinstance(effect, AskPhoneCode)]


def test_linking_is_told() -> None:
    """The owner hears that the scan has worked once the link stands, and only then."""
    made = link(linked=False)
    made.receive(on.Present("home"), T)
    made.receive(on.XmppOpened(), T)
    made.receive(port.Code(port.CodeKind.QR, "one", 60), T)
    assert [] == told(made.receive(port.Paired(OWN), T + 5))
    assert State.CONNECTING is made.state
    assert [] == made.receive(at(Reason.CONNECTING), T + 6)
    assert [SetReason(Reason.CONNECTED, T + 7), Tell(Reason.CONNECTED)] == made.receive(at(Reason.CONNECTED), T + 7)


def test_a_scan_in_the_last_moment() -> None:
    """The phone accepted a code as the attempt ended: the late word is dropped, and the next start finds the keys."""
    made = link(linked=False)
    made.receive(on.Present("home"), T)
    made.receive(on.XmppOpened(), T)
    made.receive(port.PairingFailed(Reason.CODES_USED_UP), T + 1)
    assert [] == made.receive(port.Paired(OWN), T + 2)
    assert [StartDriver()] == made.receive(on.NewCode(), T + 3)[:1]
    assert [Reason.CONNECTED] == told(made.receive(at(Reason.CONNECTED), T + 4))
    assert State.CONNECTED is made.state


# ---- troubles that pass -------------------------------------------------------------------------------------------


def test_a_flap_is_no_news() -> None:
    """A short loss is published but not told, and neither is its end."""
    made = connected()
    assert [SetReason(Reason.CONNECTION_LOST, T + 5)] == made.receive(at(Reason.CONNECTION_LOST), T + 5)
    assert [] == made.receive(at(Reason.CONNECTING), T + 6)
    assert [SetReason(Reason.CONNECTED, T + 7)] == made.receive(at(Reason.CONNECTED), T + 7)


def test_a_lasting_loss_is_told_once_and_its_end() -> None:
    """After a minute the owner hears of it, and then that it is over."""
    made = connected()
    made.receive(at(Reason.CONNECTION_LOST), T + 5)
    assert T + 65 == made.due
    assert [SetReason(Reason.CONNECTION_REFUSED, T + 65), Tell(Reason.CONNECTION_REFUSED)] == tick(made)
    made.receive(at(Reason.CONNECTING), T + 70)
    made.receive(at(Reason.CONNECTION_LOST), T + 80)
    assert Reason.CONNECTION_REFUSED is made.reason
    assert [SetReason(Reason.CONNECTED, T + 90), Tell(Reason.CONNECTED)] == made.receive(at(Reason.CONNECTED), T + 90)


def test_a_flapping_link_is_one_trouble() -> None:
    """Within ten minutes the same trouble is not told again; later it is."""
    made = connected()
    heard = []
    for minute in range(0, 30, 2):
        start = T + minute * 60
        heard += told(made.receive(at(Reason.CONNECTION_LOST), start + 1))
        heard += told(made.receive(on.Tick(), start + 61))
        heard += told(made.receive(at(Reason.CONNECTED), start + 62))
    assert [Reason.CONNECTION_REFUSED, Reason.CONNECTED] * 3 == heard


def test_silence_on_a_standing_connection() -> None:
    """Keep-alives without answer: a loss at first, told as silence when it lasts."""
    made = connected()
    assert [SetReason(Reason.CONNECTION_LOST, T + 5)] == made.receive(at(Reason.KEEPALIVE_LOST), T + 5)
    assert [SetReason(Reason.KEEPALIVE_LOST, T + 65), Tell(Reason.KEEPALIVE_LOST)] == tick(made)
    assert [] == told(made.receive(at(Reason.CONNECTION_LOST), T + 70))
    assert [Reason.CONNECTED] == told(made.receive(at(Reason.CONNECTED), T + 80))


def test_a_driver_that_does_not_come_back_is_made_anew() -> None:
    """Five minutes without a connection, however busy the driver looks, end in a fresh one."""
    made = connected()
    made.receive(at(Reason.CONNECTION_LOST), T)
    for second in range(10, 300, 10):
        cue = (Reason.CONNECTING, Reason.KEEPALIVE_LOST, Reason.CONNECTION_LOST)[second // 10 % 3]
        assert StopDriver() not in made.receive(at(cue), T + second)
    assert T + 300 == made.due
    assert StopDriver() in tick(made)
    assert [StartDriver()] == tick(made)


def test_a_refused_start_is_tried_again() -> None:
    """A driver that gives up is started again, with growing pauses."""
    made = link()
    made.receive(on.XmppOpened(), T)
    now, pauses = T, []
    for _ in range(TRIES):
        assert StopDriver() in made.receive(at(Reason.CONNECTION_REFUSED), now)
        stopped = now
        while made.state is State.PAUSED:
            assert made.due is not None
            now = made.due
            made.receive(on.Tick(), now)
        pauses.append(now - stopped)
    assert [2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, *[300.0] * 12] == pauses
    assert StopDriver() in made.receive(at(Reason.FAILED), now)
    assert (Reason.UNREACHABLE, now + RARE) == (made.reason, made.due)


def test_it_never_gives_a_good_link_up() -> None:
    """However long WhatsApp is away, the keys stay, tries go on rarely, and the end is told."""
    made = link()
    heard = told(made.receive(on.XmppOpened(), T))
    now, starts = T, 0
    while now < T + 7 * 86400:
        assert made.due is not None
        now = made.due
        effects = made.receive(on.Tick(), now)
        heard += told(effects)
        assert ForgetKeys() not in effects
        if StartDriver() in effects:
            starts += 1
            heard += told(made.receive(at(Reason.CONNECTION_REFUSED), now))
    assert TRIES < starts < 400
    assert [Reason.CONNECTION_REFUSED, Reason.UNREACHABLE] == heard
    tick(made)
    assert [Reason.CONNECTED] == told(made.receive(at(Reason.CONNECTED), now + 9999))


def test_a_dead_event_stream_is_restarted_at_once() -> None:
    """Without events the driver is made anew in the same moment, and the owner hears that something may be missing."""
    made = connected()
    assert [
        RestartDriver(),
        SetReason(Reason.EVENTS_STALLED, T + 99),
        Tell(Reason.EVENTS_STALLED),
    ] == made.receive(at(Reason.EVENTS_STALLED), T + 99)
    assert [SetReason(Reason.CONNECTED, T + 100)] == made.receive(at(Reason.CONNECTED), T + 100)


def test_an_event_stream_that_keeps_dying() -> None:
    """A stanza that kills every fresh driver makes pauses grow, not a loop, and is told once."""
    made = connected()
    now, restarts = T + 100, 0
    heard = told(made.receive(at(Reason.EVENTS_STALLED), now))
    while now < T + 700:
        assert made.due is not None
        made.receive(at(Reason.CONNECTED), now)
        effects = made.receive(at(Reason.EVENTS_STALLED), now)
        heard += told(effects)
        while made.state is State.PAUSED:
            assert made.due is not None
            now = made.due
            heard += told(made.receive(on.Tick(), now))
        restarts += 1
        now += 0.01
    assert restarts < 15
    assert 1 == heard.count(Reason.EVENTS_STALLED)


def test_stability_forgives() -> None:
    """After a minute of connection a dead event stream counts as the first again."""
    made = connected()
    for _ in range(3):
        start = made.since
        assert RestartDriver() in made.receive(at(Reason.EVENTS_STALLED), start + 60)
        made.receive(at(Reason.CONNECTED), start + 61)


def test_what_a_stopped_driver_still_says() -> None:
    """In a pause only what ends the link counts."""
    made = connected()
    made.receive(at(Reason.CONNECTION_REFUSED), T)
    for reason in (Reason.CONNECTED, Reason.CONNECTION_LOST, Reason.CONNECTION_REFUSED, Reason.EVENTS_STALLED):
        assert [] == made.receive(at(reason), T + 1)
    assert [ForgetKeys()] == made.receive(at(Reason.LOGGED_OUT), T + 1)[:1]


# ---- ends ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", [Reason.LOGGED_OUT, Reason.PHONE_GONE])
def test_logged_out(reason: Reason) -> None:
    """WhatsApp ended the link: keys go, the owner hears why, 'new code' links again, and without it the shard ends."""
    made = connected()
    assert [StopDriver(), ForgetKeys(), SetReason(reason, T + 5), Tell(reason)] == made.receive(at(reason), T + 5)
    assert T + 5 + LINGER == made.due
    assert [StopForGood(reason)] == tick(made)
    assert [] == made.receive(on.NewCode(), T + 999)


def test_new_code_after_a_logout() -> None:
    """Within the shard's last minutes 'new code' begins in place, and the shard stays."""
    made = connected()
    made.receive(on.Present("home"), T)
    made.receive(at(Reason.LOGGED_OUT), T + 5)
    assert [StartDriver(), SetReason(Reason.STARTING, T + 9)] == made.receive(on.NewCode(), T + 9)
    assert Step.OPENING is made.pairing.step
    assert T + 9 + 30 == made.due


def test_used_up_codes_end_the_shard() -> None:
    """An attempt that nobody finished is told and frees the shard after a while."""
    made = link(linked=False)
    made.receive(on.Present("home"), T)
    made.receive(on.XmppOpened(), T)
    made.receive(port.PairingFailed(Reason.CODES_USED_UP), T + 1)
    assert Reason.CODES_USED_UP is made.reason
    assert [StopForGood(Reason.CODES_USED_UP)] == tick(made)


def test_a_ban_keeps_the_keys() -> None:
    """A banned account stops at once, keeps its keys, and its owner hears until when."""
    made = connected()
    until = int(T) + 3600
    assert [
        StopDriver(),
        SetReason(Reason.BANNED, T + 5, until),
        Tell(Reason.BANNED, until),
    ] == made.receive(at(Reason.BANNED, until), T + 5)
    assert until == made.until
    assert [] == made.receive(at(Reason.CONNECTED), T + 6)
    assert [StopForGood(Reason.BANNED)] == tick(made)


def test_the_owner_tries_after_a_ban() -> None:
    """'new code' connects with the link that is still there; another ban is told again, no loop runs."""
    made = connected()
    made.receive(at(Reason.BANNED), T + 5)
    assert [StartDriver(), SetReason(Reason.CONNECTION_LOST, T + 60)] == made.receive(on.NewCode(), T + 60)
    assert 0.0 == made.until
    effects = made.receive(at(Reason.BANNED), T + 61)
    assert [StopDriver()] == effects[:1]
    assert [Reason.BANNED] == told(effects)


def test_an_outdated_client_keeps_the_keys() -> None:
    """The host has to update: no restart, no 'new code', the link is kept."""
    made = connected()
    assert [StopDriver(), SetReason(Reason.OUTDATED, T), Tell(Reason.OUTDATED)] == made.receive(at(Reason.OUTDATED), T)
    assert [] == made.receive(on.NewCode(), T + 1)
    assert [NotUnlinked()] == made.receive(on.Unlink(), T + 1)
    assert [StopForGood(Reason.OUTDATED)] == tick(made)


@pytest.mark.parametrize("down", [None, Reason.CONNECTION_LOST, Reason.KEEPALIVE_LOST])
def test_replaced_never_fights(down: Reason | None) -> None:
    """Another process holds the link: stop for good, at once, whatever state we are in."""
    made = connected()
    if down:
        made.receive(at(down), T)
    assert [
        StopDriver(),
        SetReason(Reason.REPLACED, T + 5),
        Tell(Reason.REPLACED),
        StopForGood(Reason.REPLACED),
    ] == made.receive(at(Reason.REPLACED), T + 5)
    assert made.due is None
    for event in (on.NewCode(), on.XmppOpened(), on.Tick(), at(Reason.CONNECTED), on.Fenced(), on.Unlink()):
        assert [] == made.receive(event, T + 99)


def test_fenced_stops_wherever_it_is() -> None:
    """A newer epoch ends this process from every state, silently for the owner."""
    for state in set(State) - {State.ENDED}:
        assert State.ENDED is TABLE[state][Cue.FENCED][0], state
    made = connected()
    assert [StopDriver(), SetReason(Reason.FENCED, T), StopForGood(Reason.FENCED)] == made.receive(on.Fenced(), T)


def test_fenced_while_showing_codes() -> None:
    """A fenced shard takes its codes back and stops the driver before it goes."""
    made = link(linked=False)
    made.receive(on.Present("home"), T)
    made.receive(on.XmppOpened(), T)
    made.receive(port.Code(port.CodeKind.QR, "one", 60), T)
    effects = made.receive(on.Fenced(), T)
    assert StopDriver() in effects
    assert StopForGood(Reason.FENCED) == effects[-1]


# ---- unlinking ----------------------------------------------------------------------------------------------------


def test_unlinks() -> None:
    """The owner's wish: WhatsApp is told first, then the keys go, then 'new code' is possible."""
    made = connected()
    assert [Logout()] == made.receive(on.Unlink(), T + 5)
    assert [StopDriver(), ForgetKeys()] == made.receive(on.Unlinked(ok=True), T + 6)[:2]
    assert (State.UNLINKED, Reason.UNLINKED) == (made.state, made.reason)
    made.receive(on.Present("home"), T + 7)
    assert [StartDriver()] == made.receive(on.NewCode(), T + 8)[:1]


def test_our_own_logout_is_no_logout_by_whatsapp() -> None:
    """A driver that reports the logout that we asked for before it answers: unlinked, not logged out."""
    made = connected()
    made.receive(on.Unlink(), T + 5)
    assert [StopDriver(), ForgetKeys()] == made.receive(at(Reason.LOGGED_OUT), T + 5)[:2]
    assert [] == made.receive(on.Unlinked(ok=True), T + 6)
    assert (State.UNLINKED, Reason.UNLINKED) == (made.state, made.reason)


def test_unlinking_forgets_after_whatsapp() -> None:
    """Keys are kept until WhatsApp has confirmed."""
    made = connected()
    assert ForgetKeys() not in made.receive(on.Unlink(), T + 5)
    assert [StopDriver(), ForgetKeys(), SetReason(Reason.UNLINKED, T + 6), Tell(Reason.UNLINKED)] == made.receive(
        on.Unlinked(ok=True), T + 6
    )


@pytest.mark.parametrize("how", ["refused", "late"])
def test_unlinking_that_does_not_work(how: str) -> None:
    """Without WhatsApp's word the keys stay, whoever asked hears of it, and the link goes on."""
    made = connected()
    made.receive(on.Unlink(), T + 5)
    effects = made.receive(on.Unlinked(ok=False), T + 6) if how == "refused" else tick(made)
    assert [NotUnlinked(), StopDriver()] == effects[:2]
    assert ForgetKeys() not in effects
    assert [StartDriver()] == tick(made)


def test_unlinking_waits_for_a_connection() -> None:
    """Asked for while the connection is away, it is done as soon as there is one, if that comes in time."""
    made = connected()
    made.receive(at(Reason.CONNECTION_LOST), T)
    assert [] == made.receive(on.Unlink(), T + 1)
    assert [Logout()] == made.receive(at(Reason.CONNECTED), T + 5)
    made = connected()
    made.receive(at(Reason.CONNECTION_REFUSED), T)
    assert [StartDriver()] == made.receive(on.Unlink(), T + 1)
    assert T + 1 + LIMITS[State.LEAVING] == made.due
    assert NotUnlinked() in tick(made)


def test_unlinking_before_the_xmpp_server_answers() -> None:
    """A shard that was started to unlink does it once it may touch WhatsApp, or says that it could not."""
    made = link()
    made.receive(on.Unlink(), T)
    assert [StartDriver()] == made.receive(on.XmppOpened(), T + 1)[:1]
    assert [Logout()] == made.receive(at(Reason.CONNECTED), T + 2)
    late = link()
    late.receive(on.Unlink(), T)
    assert [NotUnlinked()] == tick(late)
    assert [StartDriver(), SetReason(Reason.CONNECTING, T + 60)] == late.receive(on.XmppOpened(), T + 60)


def test_unlinking_an_attempt_calls_it_off() -> None:
    """While codes are shown, unlinking ends the attempt."""
    made = link(linked=False)
    made.receive(on.Present("home"), T)
    made.receive(on.XmppOpened(), T)
    made.receive(port.Code(port.CodeKind.QR, "one", 60), T)
    assert StopDriver() in made.receive(on.Unlink(), T + 1)
    assert Reason.UNLINKED is made.reason


def test_unlinking_what_was_never_linked() -> None:
    """A shard without keys that is asked to unlink has nothing to do and says so by its state."""
    made = link(linked=False)
    made.receive(on.Unlink(), T)
    made.receive(on.XmppOpened(), T + 1)
    assert (State.UNLINKED, Reason.UNLINKED) == (made.state, made.reason)


# ---- notices beside the connection --------------------------------------------------------------------------------


def test_the_phone_is_quiet() -> None:
    """After twelve days without the phone the owner hears of it once, until it is seen again."""
    made = connected()
    assert T + PHONE_QUIET == made.due
    assert [SetReason(Reason.PHONE_QUIET, T + PHONE_QUIET), Tell(Reason.PHONE_QUIET)] == tick(made)
    late = T + PHONE_QUIET
    made.receive(at(Reason.CONNECTION_LOST), late + 1)
    assert [] == told(made.receive(at(Reason.CONNECTED), late + 2))
    assert [SetReason(Reason.CONNECTED, late + 9)] == made.receive(on.PhoneSeen(late + 8), late + 9)
    assert late + 8 == made.phone_seen
    assert late + 8 + PHONE_QUIET == made.due


def test_the_phone_was_quiet_before_a_restart() -> None:
    """The time without the phone is counted over restarts; a new link begins with now."""
    made = link(phone_seen=T - PHONE_QUIET)
    made.receive(on.XmppOpened(), T)
    made.receive(at(Reason.CONNECTED), T)
    assert Reason.PHONE_QUIET is made.reason
    fresh = link(phone_seen=0.0)
    fresh.receive(on.XmppOpened(), T)
    fresh.receive(at(Reason.CONNECTED), T)
    assert (Reason.CONNECTED, T) == (fresh.reason, fresh.phone_seen)


def test_a_phone_from_the_future() -> None:
    """A time that is still to come is taken as now."""
    made = connected()
    made.receive(on.PhoneSeen(T * 2), T + 5)
    assert T + 5 == made.phone_seen


def test_new_contacts_blocked() -> None:
    """Error 463: told once, the link goes on, and after a day without another it counts as over."""
    made = connected()
    assert [
        SetReason(Reason.NEW_CONTACTS_BLOCKED, T + 5),
        Tell(Reason.NEW_CONTACTS_BLOCKED),
    ] == made.receive(on.ContactsBlocked(), T + 5)
    assert [] == made.receive(on.ContactsBlocked(), T + 100)
    assert T + 100 + BLOCKED == made.due
    assert [SetReason(Reason.CONNECTED, T + 100 + BLOCKED)] == tick(made)


def test_a_restart_does_not_repeat_itself() -> None:
    """What this epoch told before a crash is not told again by the process that follows."""
    made = link(told=Reason.BANNED)
    made.receive(on.XmppOpened(), T)
    assert [] == told(made.receive(at(Reason.BANNED), T + 1))
    back = link(told=Reason.CONNECTION_REFUSED)
    back.receive(on.XmppOpened(), T)
    assert [Reason.CONNECTED] == told(back.receive(at(Reason.CONNECTED), T + 1))


# ---- the table ----------------------------------------------------------------------------------------------------


def test_the_table_is_whole() -> None:
    """Every state has a row; every cue is used; every reason that a driver can say is understood."""
    assert set(State) == set(TABLE)
    assert set(Cue) == {cue for row in TABLE.values() for cue in row}
    assert set(State) == {State.WAITING} | {turn[0] for row in TABLE.values() for turn in row.values()}
    assert set(CUES.values()) < set(Cue)


def test_a_state_with_a_limit_has_a_way_out() -> None:
    """Whatever may last only so long says what comes then."""
    assert all(Cue.DUE in TABLE[state] for state in LIMITS)
