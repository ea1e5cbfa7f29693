"""What decides what the Search tab finds."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field, replace

from unifex.retrieval.filters import Filters
from unifex.retrieval.query import Query
from unifex.ui.components.marks import Marks
from unifex.ui.context import Selection

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
    picked: Selection = Selection()  # an item that is searched with; an image that comes later takes its place
    within: Selection = Selection()  # items that were chosen on the map
    without: Selection = Selection()  # items that are not to be found
    text: str = ""
    text_weight: float = 0.5
    k: int = 20
    domains: list[str] = field(default_factory=list)
    min_score: float = ANY_SIMILARITY
    trust: float = EVERY_HIT
    rerank: bool = False
    marks: Marks = Marks()

    @property
    def paths(self) -> tuple[str, ...]:
        """The images."""
        return tuple(path for path in [self.image, *(self.more or [])] if path)

    @property
    def item(self) -> Selection:
        """The picked item, where it is the query."""
        return self.picked if self.picked.gallery == self.gallery and not self.paths else Selection()

    @property
    def query(self) -> Query:
        """What is searched with."""
        marks = self.counting_marks
        shown = Query(self.paths, self.item.ids, self.text.strip(), float(self.text_weight))
        return replace(shown, more=marks.more, less=marks.less)

    @property
    def counting_marks(self) -> Marks:
        """The marks that were made about this query."""
        return self.marks.of(self.gallery or "", (self.paths, self.item.ids, self.text.strip()))

    def filters(self, known: Container[str]) -> Filters:
        """``known``: the domains that the gallery has."""
        return Filters(
            domains=tuple(domain for domain in self.domains or () if domain in known),
            min_score=None if self.min_score <= ANY_SIMILARITY else self.min_score,
            within=frozenset(self.within.of(self.gallery)),
            exclude=frozenset(self.without.of(self.gallery)),
            false_accept_rate=float(self.trust) or None,
        )


FIRST = Form()
