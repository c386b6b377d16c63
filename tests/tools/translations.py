"""Brings the catalogues up to what the code says: `python -m tests.tools.translations`; a test compares.

Sentences come from the templates, from `words`, from the table of link states, and from errors that owners cause.
Translations that are there are kept, new ones are to be filled in, those that nobody needs any more go. The compiled
catalogues (.mo) are checked in, since programs and wheels read nothing else.
"""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Final

from babel.messages.catalog import Catalog
from babel.messages.extract import extract, extract_python
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from ponton_bridge.coordination.client.inbox import TOO_LATE
from ponton_bridge.core import pairing
from ponton_bridge.model.errors import PontonError
from ponton_bridge.model.states import TABLE
from ponton_bridge.shard import commands, linking
from ponton_bridge.whatsapp import failures
from ponton_operator.selfservice import languages, words
from ponton_operator.selfservice.web.pages import TEMPLATES
from ponton_operator.selfservice.xmpp import orders

ROOT: Final = Path(__file__).parents[2]
ERRORS: Final = {"OwnerError": None, "HostError": None, "WhatsAppError": None}
RAISING: Final = ("model/jid.py", "model/address.py", "coordination/client/wire.py", "core/passkey.py")
DATE: Final = datetime(2026, 1, 1, tzinfo=UTC)  # so that the same sentences make the same files
CHAT_ONLY: Final = frozenset({
    "HELP", "HELP_PAGE", "WELCOME", "ASK_HELP", "UNKNOWN", "NOT_SERVED", "AWAY", "CHOICES_NOW",
    "PASSKEY_ASKED", "PASSKEY_PAGE", "PASSKEY_HOW", "PASSKEY_PHONE_ONLY",
})  # fmt: skip
Message = str | tuple[str, str]


def messages() -> list[Message]:
    """Give every sentence once, in a stable order; a pair is a singular and its plural."""
    return list(dict.fromkeys([*_of_templates(), *_of_words(), *_of_errors()]))


def _of_templates() -> Iterator[Message]:
    for file in sorted(TEMPLATES.glob("*.html")):
        with file.open("rb") as stream:
            for _, found, _, _ in extract("jinja2.ext:babel_extract", stream, options={"silent": "false"}):
                yield found if isinstance(found, str) else (str(found[0]), str(found[1]))


def _of_words() -> Iterator[str]:
    named = {name: value for name, value in vars(words).items() if name.isupper() and name not in CHAT_ONLY}
    for value in named.values():
        for text in value.values() if isinstance(value, dict) else [value]:
            if isinstance(text, str):
                yield words.off_chat(text)
    for row in TABLE.values():
        yield words.off_chat(row.sentence)
    yield from (TOO_LATE, commands.LINKED_ALREADY, commands.NOT_UNLINKED, orders.NO_STREAM, PontonError().sentence)
    yield from (words.off_chat(pairing.NOT_ASKED), failures.NOT_TAKEN, linking.NOT_TAKEN)


def _of_errors() -> Iterator[str]:
    for name in RAISING:
        source = (ROOT / "bridge" / "ponton_bridge" / name).read_bytes()
        for _, _, found, _ in extract_python(BytesIO(source), ERRORS, (), {}):
            sentence: object = found  # said to be a list by its types
            if isinstance(sentence, str) and "{" not in sentence:
                yield sentence


def file_of(language: str) -> Path:
    """Give the catalogue that people edit."""
    return languages.FOLDER / language / "LC_MESSAGES" / "ponton.po"


def merged(language: str) -> Catalog:
    """Give the catalogue with what the code says now and the translations that there are."""
    file = file_of(language)
    known = read_po(BytesIO(file.read_bytes()), locale=language) if file.exists() else Catalog(language)
    made = Catalog(language, project="Ponton", fuzzy=False, creation_date=DATE, revision_date=DATE)
    for message in messages():
        before = known.get(message)
        made.add(message, before.string if before else None)
    return made


def texts(catalog: Catalog) -> tuple[bytes, bytes]:
    """Give what stands in the two files: for people, and for programs."""
    po, mo = BytesIO(), BytesIO()
    write_po(po, catalog, width=110, omit_header=True)
    write_mo(mo, catalog)
    head = ('msgid ""', 'msgstr ""', r'"Content-Type: text/plain; charset=utf-8\n"')
    plural = rf'"Plural-Forms: {catalog.plural_forms}\n"'
    return "\n".join([*head, plural, "", ""]).encode() + po.getvalue(), mo.getvalue()


def lacking(catalog: Catalog) -> list[str]:
    """Name the sentences without a translation."""
    return [str(m.id) for m in catalog if m.id and not (all(m.string) if isinstance(m.string, tuple) else m.string)]


def main() -> int:
    """Write both files of each language; the exit code says whether something lacks."""
    missing = 0
    for language in languages.NAMES.keys() - {"en"}:
        catalog = merged(language)
        po, mo = texts(catalog)
        file_of(language).parent.mkdir(parents=True, exist_ok=True)
        file_of(language).write_bytes(po)
        file_of(language).with_suffix(".mo").write_bytes(mo)
        for sentence in lacking(catalog):
            print(f"{language}: {sentence}", file=sys.stderr)  # noqa: T201  # for people
            missing += 1
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
