"""What decides what the Search tab finds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from unifex.core import derived
from unifex.core.language import say, to_say
from unifex.core.regions import WHOLE, Region
from unifex.models.image_like import Crop
from unifex.retrieval.filters import Filters
from unifex.retrieval.query import Query
from unifex.ui.components.marks import Marks
from unifex.ui.components.query_regions import about_item, about_upload, drawn, told
from unifex.ui.page_state import Selection
from unifex.ui.view import View

EVERY_HIT, ANY_SIMILARITY = 0.0, -1
MAX_K = 100  # hits
TRUSTED = (0.01, 0.05, 0.1, 0.2)  # shares of false accepts to choose from


@dataclass(frozen=True)
class Form:
    """Everything that decides what is found: the values of the tab's components of these names.

    The defaults are what the page begins with, and what Clear goes back to.
    """

    gallery: str | None = None
    pressed: bool = False  # Search, and not Clear since: who did wants to know what is missing
    image: str | None = None
    more: list[str] | None = None
    picked: str = ""  # items that are searched with: a `Selection` as JSON; an image that comes later takes their place
    within: Selection = Selection()  # items that were chosen on the map
    without: Selection = Selection()  # items that are not to be found
    saved: str = ""  # a saved search by an image that is not here; whatever is shown takes its place
    text: str = ""
    text_weight: float = 0.5
    k: int = 20
    view: str = ""  # which items, and in which order: a `View` as JSON
    fold: str = ""  # near-copies of this level are one hit
    min_score: float = ANY_SIMILARITY
    trust: float = EVERY_HIT
    rerank: bool = False
    marks: Marks = Marks()
    regions: str = ""  # boxes on the query, as :func:`query_regions.drawn` reads them

    @property
    def question(self) -> str:
        """Equal where the same is asked for; it does not say what."""
        return derived.digest(repr(self).encode())

    @property
    def words(self) -> str:
        """What is searched for in words; a field that was never shown holds nothing at all."""
        return (self.text or "").strip()

    @property
    def paths(self) -> tuple[str, ...]:
        """The images."""
        return tuple(path for path in [self.image, *(self.more or [])] if path)

    @property
    def parts(self) -> list[tuple[str, Region]]:
        """The images, each with what is searched with of it. Raises ``UnifexError``."""
        first = [(self.image, box) for box in self.boxes or (WHOLE,)] if self.image else []
        return [*first, *((path, WHOLE) for path in self.more or [])]

    @property
    def item(self) -> Selection:
        """The picked items, where they are the query. Raises ``UnifexError`` for what no page tells of."""
        picked = Selection.told(self.picked)
        return picked if picked.gallery == self.gallery and not self.paths else Selection()

    @property
    def remembered(self) -> str:
        """The saved search whose image is the query, if it is."""
        return "" if self.paths or self.item.ids else self.saved

    @property
    def query(self) -> Query:
        """What is searched with."""
        marks, boxes = self.counting_marks, self.boxes
        images = tuple(path if part == WHOLE else Crop(path, part) for path, part in self.parts)
        items = self.item.ids
        shown = Query(images, items, self.words, float(self.text_weight), boxes if items else ())
        return replace(shown, more=marks.more, less=marks.less, feedback=marks.feedback)

    @property
    def about(self) -> str:
        """The one picture that boxes can be drawn on; empty where there is none, or several items."""
        if self.image:
            return about_upload(self.image)
        return about_item(self.item.gallery, self.item.ids[0]) if len(self.item.ids) == 1 else ""

    @property
    def boxes(self) -> tuple[Region, ...]:
        """The parts of it that are searched with in place of the whole. Raises ``UnifexError``."""
        return drawn(self.regions, self.about)

    @property
    def counting_marks(self) -> Marks:
        """The marks that were made about this query."""
        return self.marks.of(self.gallery or "", (self.paths or self.remembered, self.item.ids, self.words))

    def called(self, gallery: str) -> Form:
        """The same search, where its gallery is called otherwise: what was chosen and marked in it stays.

        Raises ``UnifexError`` for what no page tells of."""
        picked, boxes, own = Selection.told(self.picked), self.boxes, self.gallery or ""
        moved = replace(
            self,
            gallery=gallery,
            picked=picked.called(own, gallery).as_json() or self.picked,
            within=self.within.called(own, gallery),
            without=self.without.called(own, gallery),
            view=replace(self.shown, gallery=gallery).as_json(),
            marks=replace(self.marks, gallery=gallery) if self.marks.gallery == own else self.marks,
        )
        return replace(moved, regions=told(moved.about, ";".join(map(str, boxes)))) if boxes else moved

    def unless(self, unasked: str) -> Form:
        """Without its query, where this is the gallery that nobody asked."""
        if unasked != self.gallery:
            return self
        nothing = {name: getattr(FIRST, name) for name in ("pressed", "image", "more", "picked", "saved", "text")}
        return replace(self, **nothing, marks=FIRST.marks, regions="")

    def or_else(self, *values: Any) -> Form:
        """Itself; where nothing was answered yet, as far as a server knows that began anew, that of the values."""
        return self if self.gallery else Form(*values)

    @property
    def shown(self) -> View:
        """What the filter bar says of this gallery. Raises ``UnifexError`` for what it cannot say."""
        return View.parse(self.view).within(self.gallery)

    @property
    def filters(self) -> Filters:
        """What may be found. Raises as :attr:`shown` does."""
        return replace(
            self.shown.filters,
            min_score=None if self.min_score <= ANY_SIMILARITY else self.min_score,
            within=frozenset(self.within.of(self.gallery)),
            exclude=frozenset(self.without.of(self.gallery)),
            false_accept_rate=float(self.trust) or None,
        )


FIRST = Form()


def trust_choices() -> list[tuple[str, float]]:
    """What each share of false accepts is called, and the share."""
    offered = to_say("Only matches I can trust at {share} % false accepts")
    return [(say("Show every hit"), EVERY_HIT), *((say(offered, share=round(100 * rate)), rate) for rate in TRUSTED)]
