"""What people say of a gallery's items that its source got wrong: stored beside the items and applied when reading.

The source's own labels stay as they are, so that every correction can be undone, indexing the source again loses none,
and the list can be exported. A correction belongs to an image, or to both of a pair: it ends when the file shows
another picture, and goes where that image is found again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields

from unifex.core.errors import UnifexError
from unifex.core.language import say, to_say
from unifex.core.tables import to_csv
from unifex.core.text import printable
from unifex.gallery.records import Record

KINDS = {
    "relabel": "the item has this label and domain",
    "drop": "the item is left out of the gallery; its image stays",
    "same": "both items show the same thing, whatever their labels say",
    "distinct": "the items are no copies of each other, however alike they are",
}

KEY = ("kind", "uri", "sha256", "other_uri", "other_sha256")  # what one is of; a label is what it says of that
TABLE = f"""
CREATE TABLE IF NOT EXISTS corrections (
    kind TEXT NOT NULL, uri TEXT NOT NULL, path TEXT NOT NULL, sha256 TEXT NOT NULL,
    label TEXT NOT NULL, domain TEXT NOT NULL, other_uri TEXT NOT NULL, other_path TEXT NOT NULL,
    other_sha256 TEXT NOT NULL DEFAULT '',
    PRIMARY KEY ({", ".join(KEY)})) WITHOUT ROWID;
CREATE VIEW IF NOT EXISTS shown AS
    SELECT items.id, items.uri, items.path, items.sha256, COALESCE(relabelled.label, items.label) AS label,
        COALESCE(relabelled.domain, items.domain) AS domain, items.split
    FROM items LEFT JOIN corrections AS relabelled
        ON relabelled.kind = 'relabel' AND relabelled.uri = items.uri AND relabelled.sha256 = items.sha256
    WHERE NOT EXISTS (SELECT 1 FROM corrections AS dropped
        WHERE dropped.kind = 'drop' AND dropped.uri = items.uri AND dropped.sha256 = items.sha256);
"""
HIDDEN_IMAGES = """
SELECT COUNT(*) FROM (SELECT DISTINCT sha256 FROM corrections WHERE kind = 'drop') AS dropped
WHERE EXISTS (SELECT 1 FROM features WHERE features.sha256 = dropped.sha256)
    AND NOT EXISTS (SELECT 1 FROM shown WHERE shown.sha256 = dropped.sha256)
"""  # how many only items show that are left out; only these are looked at, of however many there are
INDICES = """
CREATE INDEX IF NOT EXISTS corrections_uri ON corrections (uri);
CREATE INDEX IF NOT EXISTS corrections_other ON corrections (other_uri);
CREATE INDEX IF NOT EXISTS corrections_sha256 ON corrections (sha256);
CREATE INDEX IF NOT EXISTS corrections_other_sha256 ON corrections (other_sha256, other_uri);
"""


SENTENCES = {  # by kind; that of a label has a domain, too
    "drop": to_say("{path} is left out"),
    "same": to_say("{path} and {other} show the same thing"),
    "distinct": to_say("{path} and {other} are no copies of each other"),
}


@dataclass(frozen=True)
class Correction:
    """``kind`` is one of :data:`KINDS`; label and domain belong to relabel, the other item to same and distinct."""

    kind: str
    uri: str
    path: str
    sha256: str
    label: str = ""
    domain: str = ""
    other_uri: str = ""
    other_path: str = ""
    other_sha256: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no correction '{self.kind}'; there are: {', '.join(KINDS)}")
        for name in ("label", "domain"):  # in the form that items have theirs
            object.__setattr__(self, name, printable(getattr(self, name)))

    @property
    def sentence(self) -> str:
        """What it says, for people."""
        if self.kind == "relabel":
            domain = f" ({self.domain})" if self.domain else ""
            return say("{path} is '{label}'", path=self.path, label=self.label) + domain
        return say(SENTENCES[self.kind], path=self.path, other=self.other_path)


def relabel(item: Record, label: str, domain: str | None = None) -> Correction:
    """The item has this label, in this domain (its own when None). Raises ``UnifexError`` without a label."""
    if not label.strip():
        raise UnifexError(say("give the label that the item should have"))
    domain = item.domain if domain is None else domain
    return Correction("relabel", item.uri, item.path, item.sha256, label.strip(), domain.strip())


def drop(item: Record) -> Correction:
    """The item is left out."""
    return Correction("drop", item.uri, item.path, item.sha256)


def same(item: Record, other: Record) -> Correction:
    """Both show the same thing. Raises ``UnifexError`` for one item twice."""
    return _of_pair("same", item, other)


def distinct(item: Record, other: Record) -> Correction:
    """They are no copies of each other. Raises ``UnifexError`` for one item twice, and for items of the same bytes."""
    if item.sha256 == other.sha256 and item.uri != other.uri:
        raise UnifexError(
            say("'{path}' and '{path2}' have the same bytes: they are copies", path=item.path, path2=other.path)
        )
    return _of_pair("distinct", item, other)


def _of_pair(kind: str, item: Record, other: Record) -> Correction:
    """What is stored may be of one item, by an earlier version, and is read to be taken back; nobody says it anew."""
    if item.uri == other.uri:
        raise UnifexError(say("'{path}' is one item; '{kind}' takes two", path=item.path, kind=kind))
    return Correction(kind, item.uri, item.path, item.sha256, "", "", other.uri, other.path, other.sha256)


COLUMNS = tuple(field.name for field in fields(Correction))
STORE = f"INSERT OR REPLACE INTO corrections ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"
TAKE_BACK = f"DELETE FROM corrections WHERE ({', '.join(KEY)}) = ({', '.join('?' * len(KEY))})"
HAS_ITEM = "EXISTS (SELECT 1 FROM items WHERE items.uri = corrections.uri AND items.sha256 = corrections.sha256)"
HAS_OTHER = "EXISTS (SELECT 1 FROM items WHERE items.uri = other_uri AND items.sha256 = other_sha256)"
APPLIES = f"({HAS_ITEM} AND (other_uri = '' OR {HAS_OTHER}))"
IDLE = f"SELECT {', '.join(COLUMNS)} FROM corrections WHERE NOT {APPLIES}"
PAIRS = """
SELECT one.id, other.id FROM corrections JOIN items AS one USING (uri, sha256)
JOIN items AS other ON other.uri = other_uri AND other.sha256 = other_sha256 AND other.id != one.id WHERE kind = ?
"""
OTHER_NOW = "COALESCE((SELECT items.sha256 FROM items WHERE items.uri = other_uri), '')"  # of earlier versions, or none
NAME_OTHERS = f"UPDATE OR REPLACE corrections SET other_sha256 = {OTHER_NOW} WHERE other_uri > '' AND other_sha256 = ''"


def as_csv(corrections: Iterable[Correction]) -> str:
    """One line a correction, with a header; cells that a spreadsheet would run are made harmless."""
    return to_csv(COLUMNS, (astuple(correction) for correction in corrections))
