"""What is asked and answered at ``/api/v1``, as its OpenAPI document describes it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from unifex.core import ranges
from unifex.core.jobs import Job, State
from unifex.core.regions import AUTO, MAX_REGIONS, Region
from unifex.gallery.gallery import Facts, Record
from unifex.retrieval.conditions import Condition
from unifex.retrieval.filters import Filters
from unifex.retrieval.hits import Hit, SearchResult
from unifex.retrieval.query import MAX_MARKS, MAX_TEXT, Query
from unifex.ui.server.picture_addresses import version
from unifex.ui.view import MOST_CHOSEN

MOST_NAME = 1000  # characters
MOST_HITS = int(ranges.HITS.high)
Name = Annotated[str, Field(min_length=1, max_length=MOST_NAME)]
Names = Annotated[list[Name], Field(max_length=MOST_CHOSEN)]
ItemId = Annotated[int, Field(ge=0, lt=2**63)]
Marks = Annotated[list[ItemId], Field(max_length=MAX_MARKS)]
Coordinate = Annotated[float, Field(ge=0, le=1)]


class Asked(BaseModel):
    """What is sent: numbers are numbers, and what nobody knows is refused."""

    model_config = ConfigDict(strict=True, extra="forbid")


class Wanted(Asked):
    """Which items may be found: of every list any, and all that is said has to hold."""

    label: Names = Field(default=[], description="Only items of these labels.", examples=[["cross"]])
    domain: Names = Field(default=[], description="Only items of these domains.", examples=[["signs"]])
    tag: Names = Field(default=[], description="Only items with any of these tags.")
    folder: Names = Field(default=[], description="Only what lies in these folders, or below.")
    split: Names = Field(default=[], description="Only items of these splits.")
    where: Names = Field(
        default=[],
        description="Of further columns: COLUMN=VALUE, or COLUMN>=NUMBER or a date (<=, >, <). Not on a public server.",
        examples=[["taken<=2021-03"]],
    )

    def filters(self, min_score: float | None = None) -> Filters:
        """Raises ``UnifexError`` for conditions that are none."""
        return Filters(
            tuple(self.domain), tuple(self.split), min_score, labels=tuple(self.label), folders=tuple(self.folder),
            where=tuple(map(Condition.parse, self.where)), tags=tuple(self.tag),
        )  # fmt: skip


class Paging(Asked):
    """Which part of a list."""

    model_config = ConfigDict(strict=False)  # of an address everything is text

    offset: int = Field(0, ge=0, lt=2**31, description="So many are skipped; go on with the page's `next`.")
    limit: int = Field(100, ge=1, le=1000, description="So many at most.", examples=[100])

    def next(self, total: int) -> int | None:
        """The offset of the next page; None on the last one."""
        after = self.offset + self.limit
        return after if after < total else None

    @property
    def part(self) -> slice:
        """Of the list."""
        return slice(self.offset, self.offset + self.limit)


class Listing(Paging, Wanted):
    """Which part of a gallery's items."""

    model_config = ConfigDict(strict=False)

    order: str = Field(
        "",
        max_length=MOST_NAME,
        description="Empty: as they were added; newest, label, path; +COLUMN or -COLUMN.",
    )

    @field_validator("order")
    @classmethod
    def _as_typed(cls, order: str) -> str:
        """A ``+`` that is written as it is means a space in an address."""
        return f"+{order[1:]}" if order[:1] == " " else order


class Box(Asked):
    """A part of a picture, each number 0 to 1 of its width or height."""

    x: Coordinate = Field(description="Left edge.", examples=[0.25])
    y: Coordinate = Field(description="Upper edge.", examples=[0.1])
    w: Coordinate = Field(description="Width.", examples=[0.5])
    h: Coordinate = Field(description="Height.", examples=[0.8])


class Options(Asked):
    """How is searched, and how much is told, whatever is searched with."""

    words: str = Field("", max_length=MAX_TEXT, description="What is to be seen.", examples=["a red bicycle"])
    text_weight: Coordinate = Field(
        Query.text_weight, description="Of words beside what shows it: 0 shown only, 1 words only."
    )
    min_similarity: float = Field(-1.0, ge=-1, le=1, description="Only hits at least so similar (cosine).")
    k: int = Field(10, ge=1, le=MOST_HITS, description="How many hits.", examples=[10])
    offset: int = Field(
        0, ge=0, lt=MOST_HITS, description=f"So many hits are skipped, of {MOST_HITS}; go on with the answer's `next`."
    )
    dim: int | None = Field(None, ge=1, le=65536, description="Length of embeddings; null: the gallery's own.")
    rerank: bool = Field(False, description="Rank by the gallery's own neighbourhood, too.")
    fold: bool = Field(False, description="Near-copies are one hit. Not on a public server.")
    level: Literal["bytes", "picture", "alike"] = Field(
        "picture", description="What near-copies are: the same file, the same picture, or what is very alike."
    )

    @property
    def folded(self) -> str:
        """The level that hits are folded by; empty: they are not."""
        return self.level if self.fold else ""

    @property
    def depth(self) -> int:
        """How many hits have to be found."""
        return min(self.offset + self.k, MOST_HITS)

    def next(self, found: int, searched: int) -> int | None:
        """The offset to go on with after ``found`` hits among ``searched`` items; None where no more can come."""
        more = found == self.depth < min(searched, MOST_HITS)
        return self.depth if more else None


class SearchRequest(Options):
    """One thing to find: shown by items of the gallery or by images that are sent, said by words, or marked."""

    items: Marks = Field([], description="Ids of items that show it.", examples=[[12]])
    regions: list[Box] = Field(
        [], max_length=MAX_REGIONS, description="Search with these parts, in place of whole pictures."
    )
    auto_box: bool = Field(
        False,
        description="Where a part of a picture is found far better than the whole, search with that; the answer says "
        "which. Of one picture without words and marks. Not on a public server.",
    )
    more: Marks = Field([], description="Ids of items that are right.")
    less: Marks = Field([], description="Ids of items that are wrong.")
    feedback: Literal["rocchio", "nearest"] = Field("rocchio", description="How marks count.")
    filters: Wanted = Field(default_factory=Wanted, description="What may be found.")

    def query(self, images: list[bytes]) -> Query:
        """With the images that were sent. Raises ``UnifexError`` as :class:`Query` and :class:`Region` do."""
        regions = tuple(Region(box.x, box.y, box.w, box.h) for box in self.regions)
        return Query(
            tuple(images), tuple(self.items), self.words, self.text_weight, regions, tuple(self.more),
            tuple(self.less), self.feedback,
        )  # fmt: skip


class ImageOptions(Options, Wanted):
    """What is said of an image that is sent as it is, in the address."""

    model_config = ConfigDict(strict=False)

    box: str = Field(
        "",
        max_length=MOST_NAME,
        description="Search with this part: x,y,width,height, each 0 to 1; several with ; between. auto: where a part "
        "is found far better than the whole, that (not on a public server).",
        examples=["0.25,0.1,0.5,0.8"],
    )

    def request(self) -> SearchRequest:
        """The same as JSON says it. Raises ``UnifexError`` for a box that is none."""
        auto = self.box.strip() == AUTO
        boxes = [] if auto else [Box(**asdict(region)) for region in Region.parse_all(self.box)]
        shared = {name: getattr(self, name) for name in Options.model_fields}
        wanted = Wanted(**{name: getattr(self, name) for name in Wanted.model_fields})
        return SearchRequest(**shared, regions=boxes, auto_box=auto, filters=wanted)


class IndexRequest(Asked):
    """A folder of the server's computer to add, or to bring a gallery up to date with."""

    folder: str = Field(
        min_length=1, max_length=4096, description="Path of a folder, a .zip or a .csv.", examples=["/home/me/pictures"]
    )
    gallery: str = Field(
        "", max_length=MOST_NAME, description="Its name; empty: the one made of it, or a new one.", examples=["holiday"]
    )


class GalleryFacts(BaseModel):
    """A gallery, and what is in it."""

    name: str = Field(examples=["holiday"])
    items: int = Field(description="Items that can be found.", examples=[24])
    images: int = Field(description="Different images among them.")
    domains: dict[str, int] = Field(description="Items of each domain.", examples=[{"signs": 12, "shapes": 12}])
    labels: int = Field(description="How many labels there are.")
    splits: dict[str, int] = Field(description="Items of each split.")
    refused: int = Field(description="Files that were no images.")
    corrections: int = Field(description="Labels that people changed.")
    model: str = Field(examples=["unifex-lite-4"])
    backbone: str
    dim: int = Field(description="Length of its embeddings.", examples=[256])
    bytes: int = Field(description="On disk.")

    @classmethod
    def of(cls, facts: Facts) -> GalleryFacts:
        """What everybody may know."""
        return cls(**{name: getattr(facts, name) for name in cls.model_fields})


class BrokenGallery(BaseModel):
    """A gallery that cannot be used."""

    name: str
    problem: str = Field(description="Why, and what to do.")


class Page(BaseModel):
    """A part of a list."""

    total: int = Field(description="Length of the whole list.", examples=[24])
    next: int | None = Field(description="The offset of the next page; null on the last one.", examples=[100])


class GalleryPage(Page):
    """Galleries, by name."""

    galleries: list[GalleryFacts | BrokenGallery]


class ItemFacts(BaseModel):
    """An item of a gallery, and what is known of it."""

    id: int = Field(examples=[12])
    path: str = Field(description="How its source calls it.", examples=["signs/cross/3.png"])
    label: str = Field(description="Empty: unknown.", examples=["cross"])
    domain: str = Field(description="Empty: unknown.", examples=["signs"])
    split: str = Field(description="Empty: none.")
    tags: list[str]
    width: int = Field(description="Pixels.")
    height: int = Field(description="Pixels.")
    bytes: int = Field(description="Of its file.")
    version: str = Field(description="Another one when its picture is another.")
    uri: str = Field(description="Where its file is; empty on a public server.")
    extra: dict[str, str] = Field(description="Further columns; empty on a public server.")

    @classmethod
    def of(cls, record: Record, public: bool) -> ItemFacts:
        """``public``: neither where the image lies is told, nor what further columns say of it."""
        shared = {name: getattr(record, name) for name in ("id", "path", "label", "domain", "split")}
        size = {name: getattr(record, name) for name in ("width", "height", "bytes")}
        own: dict[str, Any] = {"uri": record.uri, "extra": dict(record.labels.extra)}
        if public:
            own = {"uri": "", "extra": {}}
        return cls(**shared, **size, **own, tags=list(record.tags), version=version(record))


class ItemPage(Page):
    """Items, in the order that was asked for."""

    items: list[ItemFacts]


class FoundItem(BaseModel):
    """An item that was found."""

    rank: int = Field(description="From 1.", examples=[1])
    score: float = Field(description="Cosine similarity, -1 to 1.", examples=[0.873])
    chance: float | None = Field(description="0 to 1 that it is right; null where labels cannot tell.")
    copies: int | None = Field(description="Near-copies that are folded into it; null where none are.")
    item: ItemFacts

    @classmethod
    def of(cls, hit: Hit, public: bool) -> FoundItem:
        """As :meth:`Hit.as_json` rounds."""
        told = hit.as_json()
        item = ItemFacts.of(hit.record, public)
        return cls(rank=hit.rank, score=told["score"], chance=told["chance"], copies=told.get("copies"), item=item)


class SearchAnswer(BaseModel):
    """Hits, best first."""

    gallery: str = Field(examples=["holiday"])
    hits: list[FoundItem]
    next: int | None = Field(description="The offset of the next hits; null where there are no more.", examples=[10])
    box: Box | None = Field(description="The part that was found and searched with; null where that was not asked for.")
    stranger: bool | None = Field(
        description="Whether what was searched for is probably not in the gallery; null where that cannot be told."
    )
    searched: int = Field(description="Among how many items.")
    items: int = Field(description="Of how many in the gallery.")
    model: str
    dim: int = Field(description="Length of the embeddings that were compared.")

    @classmethod
    def of(
        cls, gallery: str, result: SearchResult, asked: Options, region: Region | None, public: bool
    ) -> SearchAnswer:
        """Of a result that has the hits before ``asked.offset``, too. ``region``: the part that was found."""
        hits = [FoundItem.of(hit, public) for hit in result.hits[asked.offset :]]
        told = {name: getattr(result, name) for name in ("searched", "items", "model", "dim")}
        box = Box(**asdict(region)) if region else None
        after = asked.next(len(result.hits), result.searched)
        return cls(gallery=gallery, hits=hits, next=after, box=box, stranger=result.out_of_gallery, **told)


class JobFacts(BaseModel):
    """A job of who asks."""

    id: str
    kind: str = Field(examples=["index"])
    name: str = Field(description="The gallery or model that it is about.", examples=["holiday"])
    state: State
    stage: str = Field(description="What is being done, in words.")
    done: int = Field(description="Of total.")
    total: int = Field(description="0 where it cannot be known.")
    problem: str = Field(description="Why it failed; empty otherwise.")

    @classmethod
    def of(cls, job: Job) -> JobFacts:
        """As it stands."""
        step = job.step
        about = {"id": job.id, "kind": job.kind, "name": job.name, "state": job.state, "problem": job.problem}
        return cls(**about, stage=str(step.stage), done=step.done, total=step.total)


class JobPage(Page):
    """Jobs that run, wait or have ended lately, oldest first."""

    jobs: list[JobFacts]


class Problem(BaseModel):
    """Why not, as RFC 9457 has it."""

    type: str = Field("about:blank", description="Always about:blank: the code says which.")
    title: str = Field(description="The status in words.", examples=["Not Found"])
    status: int = Field(examples=[404])
    code: str = Field(description="Stays the same from version to version.", examples=["no_such_gallery"])
    detail: str = Field(description="A sentence for people.", examples=["no gallery 'none' here"])
