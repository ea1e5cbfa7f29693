"""What indexing a source has done, counted as it goes and told at the end."""

from __future__ import annotations

from dataclasses import dataclass, field

from unifex.core.language import say, thousands, to_say
from unifex.core.text import plural
from unifex.data.item import Item, Skipped
from unifex.gallery.errors import GalleryError
from unifex.gallery.records import Ended


class PruneRefused(GalleryError):
    """So much of a source is gone that its disk may be missing: nothing was removed. ``gone`` of ``known`` items."""

    def __init__(self, spec: str, known: int, gone: int):
        self.known, self.gone = known, gone
        left = say("only {count:,}", count=known - gone) if known > gone else say("none")
        sentence = to_say(
            "nothing was removed: {left} of the {items} of '{source}' can be found; if no disk is missing and you mean "
            "it, --prune-all removes the {gone:,} that are gone"
        )
        super().__init__(say(sentence, left=left, items=plural(known, "item", "items"), source=spec, gone=gone))

    @property
    def doubt(self) -> str:
        """How much is gone, where no option of a command helps."""
        items = plural(self.known, "item", "items")
        return say("{gone:,} of {items} are gone from their source; is a disk missing?", gone=self.gone, items=items)


@dataclass(frozen=True)
class IndexReport:
    """The outcome. ``skipped`` were there already and unchanged; ``moved`` are the same items at another place.

    ``removed``: what the source no longer has (prune), and frames that a changed video has no more. ``relabelled``:
    items that were there and have another label, domain or split now. ``missing``: what is gone from the source and
    stays, since nobody asked to prune. ``remarks``: what was made of files that are not read as they stand, and
    what was said of pictures that are no more. ``left_out``: items beside ``items`` that corrections leave out.
    """

    gallery: str
    items: int
    added: int
    skipped: int
    removed: int
    failed: list[Skipped]
    seconds: float
    moved: int = 0
    relabelled: int = 0
    missing: int = 0
    remarks: list[Remark] = field(default_factory=list)
    left_out: int = 0

    def changes(self) -> str:
        """As "3 added, 1 removed"; empty when the gallery is as it was, whatever was refused again."""
        done = {
            say("added"): self.added,
            say("moved"): self.moved,
            say("relabelled"): self.relabelled,
            say("removed"): self.removed,
        }
        if not any(done.values()):
            return ""
        told = {**done, say("refused"): len(self.failed)}
        return ", ".join(f"{thousands(count)} {what}" for what, count in told.items() if count)


@dataclass(frozen=True)
class Remark:
    """What is to be said of ``count`` indexed items, of which ``path`` is the first."""

    path: str
    text: str
    count: int

    def __str__(self) -> str:
        of = {"path": self.path, "text": self.text, "more": self.count - 1}
        return say("{path} and {more:,} more: {text}", **of) if self.count > 1 else f"{self.path}: {self.text}"


@dataclass
class Counts:
    """What an indexing has done so far; ``noted``: what is to be said -> paths of which; ``ended``: what was said of
    pictures that are no more."""

    done: int = 0
    added: int = 0
    skipped: int = 0
    moved: int = 0
    relabelled: int = 0
    failed: list[Skipped] = field(default_factory=list)
    noted: dict[str, list[str]] = field(default_factory=dict)
    ended: Ended = Ended()

    def note(self, item: Item) -> None:
        """What the report must say of an item that is in the gallery."""
        for text in item.notes:
            self.noted.setdefault(text, []).append(item.path)

    def remarks(self) -> list[Remark]:
        """Each once, however many items it is of."""
        found = [Remark(paths[0], text, len(paths)) for text, paths in self.noted.items()]
        if self.ended.items:
            corrections = plural(self.ended.corrections, "correction", "corrections") if self.ended.corrections else ""
            tags = plural(self.ended.tags, "tag", "tags") if self.ended.tags else ""
            both = say(" and ").join(filter(None, (corrections, tags)))
            told = say("what people said of it ends, as another picture is there, or none: {both}", both=both)
            found.append(Remark(self.ended.path, told, self.ended.items))
        return found
