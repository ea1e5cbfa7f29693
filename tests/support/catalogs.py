"""Catalogs of sentences (``unifex/locale``): ``python -m tests.support.catalogs [LANGUAGE]``.

Brings every catalog up to what stands in code, templates and scripts, and begins one for a LANGUAGE that is new: what
is to be translated has an empty ``msgstr`` then.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

from babel import Locale
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_file
from babel.messages.pofile import read_po, write_po

from unifex.core.language import LOCALE

ROOT = Path(__file__).resolve().parent.parent.parent
KEYWORDS = {
    "_": None,
    "gettext": None,
    "ngettext": (1, 2),  # what {% trans %} becomes
    "say": None,
    "to_say": None,
    "say_many": (2, 3),
    "plural": (2, 3),
}
# Where sentences stand: files, how they are read. What the command line says is English everywhere.
TEMPLATES = {"extensions": "jinja2.ext.i18n", "newstyle_gettext": "true", "silent": "false"}
PLACES = {
    "unifex/**/*.py": ("python", {}),
    "unifex/templates/*.html": ("jinja2", TEMPLATES),
    "assets/*.js": ("javascript", {}),
}
HEAD = (b'"Language:', b'"Plural-Forms:', b'"MIME-Version:', b'"Content-Type:', b'"Content-Transfer-Encoding:')
NOT_SAID = ROOT / "unifex" / "cli"


def sentences() -> Catalog:
    """All that is said on the page and by what it does, each with the files that it stands in."""
    found = Catalog(charset="utf-8")
    for pattern, (method, options) in PLACES.items():
        for path in sorted(ROOT.glob(pattern)):
            if NOT_SAID in path.parents:
                continue
            where = path.relative_to(ROOT).as_posix()
            for _, text, _, context in extract_from_file(method, path, KEYWORDS, options=options):
                found.add(text, locations=[(where, None)], context=context)
    return found


def read(path: Path) -> Catalog:
    """A catalog as it is written."""
    with path.open("rb") as file:
        return read_po(file, path.stem)


def translations(catalog: Catalog) -> list[Message]:
    """Its messages without its head."""
    return [message for message in catalog if message.id]


def is_whole(message: Message) -> bool:
    """Whether it is translated, in all of its forms."""
    return bool(message.string) and (isinstance(message.string, str) or all(message.string))


def written(catalog: Catalog) -> bytes:
    """As it stands in the file: in the order of the sources, without line numbers and dates, so that little changes."""
    catalog.header_comment = f"# UniFEx in {Locale.parse(str(catalog.locale)).get_language_name('en')}."
    out = io.BytesIO()
    write_po(out, catalog, width=120, ignore_obsolete=True, sort_by_file=True, include_lineno=False)
    head, _, messages = out.getvalue().partition(b"\n\n")
    kept = [line for line in head.splitlines() if not line.startswith(b'"') or line.startswith(HEAD)]
    return b"\n".join(kept) + b"\n\n" + messages


def brought_up(path: Path) -> Catalog:
    """The catalog at ``path``, or a new one, with the sentences that there are."""
    language = Locale.parse(path.stem)
    catalog = read(path) if path.is_file() else Catalog(language, charset="utf-8", fuzzy=False)
    catalog.update(sentences(), no_fuzzy_matching=True, update_creation_date=False)
    return catalog


if __name__ == "__main__":
    for wanted in {*LOCALE.glob("*.po"), *(LOCALE / f"{name}.po" for name in sys.argv[1:])}:
        catalog = brought_up(wanted)
        wanted.write_bytes(written(catalog))
        missing = sum(not is_whole(message) for message in translations(catalog))
        print(f"{wanted.relative_to(ROOT)}: {len(catalog)} sentences, {missing} to translate")
