"""Writes docs/conditions.md from the tables: `python -m tests.tools.conditions_doc`; a test compares.

The tables are `ponton_bridge.model.states`, `ponton_operator.resources.conditions` and `plan.ends`; nobody edits the
page by hand.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from ponton_bridge.model.states import TABLE, Next, Reason
from ponton_operator.cluster.local_summary import FINDINGS
from ponton_operator.plan.deletion import DEADLINE, PROBLEM
from ponton_operator.plan.ends import BACKOFF_FIRST, BACKOFF_MAX, CRASHING_FROM, CURED_BY_UPDATE, HEALTHY_AFTER, PARKS
from ponton_operator.plan.values import Step
from ponton_operator.resources.conditions import ABNORMAL, MEANING, OWN
from ponton_operator.resources.conditions_gateway import GATEWAY_ABNORMAL, GATEWAY_MEANING, Finding

PAGE = Path(__file__).parents[2] / "docs" / "conditions.md"
WHO = {
    Next.NOTHING: "nobody",
    Next.WAIT: "nobody: the bridge goes on by itself",
    Next.SCAN: "the owner scans or types the code",
    Next.PASSKEY: "the owner answers WhatsApp",
    Next.NEW_CODE: "the owner asks for a new code",
    Next.OPEN_PHONE: "the owner opens WhatsApp on the phone",
    Next.HOST: "the host",
    Next.STOP: "the host: the shard has ended for good",
}


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """Give the lines of a table."""
    head = list(head)
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', '/') for cell in row)} |"
    yield ""


def page() -> str:
    """Give the whole page."""
    return "\n".join([*_account(), *_reasons(), *_own(), *_ends(), *_gateway()]).rstrip() + "\n"


def _account() -> Iterator[str]:
    yield "# Conditions, reasons and phases"
    yield ""
    yield "*Made from the tables in the code by `python -m tests.tools.conditions_doc`; do not edit.*"
    yield ""
    yield "An account's `status` has one **phase** and one **reason** that explain it as a whole, and **conditions**"
    yield "that say more. Types and reasons are API: they are added, never renamed."
    yield ""
    yield "## Conditions of an account"
    yield ""
    kinds = (
        (f"`{kind}`", "while it is so" if kind in ABNORMAL else "always", meaning) for kind, meaning in MEANING.items()
    )
    yield from table(("type", "listed", "when it is True"), kinds)


def _reasons() -> Iterator[str]:
    yield "## Reasons that a link can have"
    yield ""
    yield "The sentence is what the owner reads: in chat, in commands, and as the condition's message."
    yield ""
    rows = (
        (f"`{reason}`", row.phase, row.sentence, WHO[row.next], "yes" if reason in PARKS else "")
        for reason, row in TABLE.items()
    )
    yield from table(("reason", "phase", "sentence", "who acts", "parks"), rows)
    yield "*Parks*: a shard that ends with this reason is not started again until somebody asks for it ('code', a"
    yield "door's wake, or Stopped and Running again)."
    cured = " and ".join(f"`{reason}`" for reason in sorted(CURED_BY_UPDATE))
    yield f"{cured} are tried again by themselves when version or template have changed."
    yield f"`{Reason.STALE_STORE}` empties the store first."
    yield ""


def _own() -> Iterator[str]:
    yield "## Reasons of the control plane"
    yield ""
    rows = ((f"`{reason}`", row.phase or "", row.sentence) for reason, row in OWN.items())
    yield from table(("reason", "phase of the account", "sentence"), rows)


def _ends() -> Iterator[str]:
    yield "## Ends and new starts"
    yield ""
    yield "A shard that ends unasked starts again with the next epoch: at once the first time, then after"
    yield f"{BACKOFF_FIRST:g} s, doubling up to {BACKOFF_MAX:g} s; {HEALTHY_AFTER:g} s of life make the next end a"
    yield f"first one again. From {CRASHING_FROM} ends in a row on the reason is `{Reason.CRASHING}`."
    yield ""
    codes = (
        ("0", "as told, or for good: the reason decides"),
        ("75", "try again: the store is locked, for example"),
        ("78", f"bad configuration: after {BACKOFF_MAX:g} s, or at once when it has changed"),
        ("others", "a crash"),
    )
    yield from table(("exit code", "meaning"), codes)
    yield "## Steps of a deletion"
    yield ""
    rows = ((f"`{step}`", f"{DEADLINE[step]:g} s", PROBLEM[step]) for step in Step if step is not Step.DONE)
    yield from table(("step", "at most", "said when it did not work"), rows)


def _gateway() -> Iterator[str]:
    yield "## Conditions of a gateway"
    yield ""
    local = ", ".join(f"`{kind}`" for kind in sorted(FINDINGS))
    yield f"On one machine there are only {local}."
    yield ""
    kinds = (
        (f"`{kind}`", "while it is so" if kind in GATEWAY_ABNORMAL else "always", meaning)
        for kind, meaning in GATEWAY_MEANING.items()
    )
    yield from table(("type", "listed", "when it is True"), kinds)
    yield "## Reasons of a gateway's conditions"
    yield ""
    rows = ((f"`{f.value.type}`", f.value.truth, f"`{f.value.reason}`", f.value.sentence) for f in Finding)
    yield from table(("type", "is", "reason", "sentence"), rows)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
