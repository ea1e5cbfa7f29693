"""The tools of AI agents: what the named endpoints do, answered in a few words and in pictures.

A method of :class:`Tools` is a tool. What an agent is told of it is its docstring, of which Gradio reads each line
below ``Args`` as one argument. Answers are the blocks of an answer of the Model Context Protocol, as JSON.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from unifex.core import ranges, thumbnails
from unifex.core.errors import UnifexError
from unifex.core.jobs import Job
from unifex.core.language import say
from unifex.core.regions import Region
from unifex.core.text import plural, shortened, size
from unifex.core.typed import typed_path
from unifex.data.item import SourceError
from unifex.evaluation.compare import compare
from unifex.evaluation.protocols import EvalProtocol
from unifex.gallery.counted import Counted
from unifex.gallery.gallery import Facts, Gallery, Record
from unifex.gallery.index_report import IndexReport
from unifex.models.image_like import ImageLike
from unifex.retrieval.facets import facets
from unifex.retrieval.query import Query
from unifex.retrieval.search import SearchResult, search
from unifex.ui.components.index_jobs import IndexJobs
from unifex.ui.context import AppContext
from unifex.ui.endpoint_values import filters_of, gallery_named, items_marked, surveyed, text_of
from unifex.ui.item_routes import preview
from unifex.ui.server.file_addresses import address_in

MAX_PICTURES = 10  # of the first hits; an agent pays for each
MAX_NAMES = 30  # labels and tags that are listed, the most frequent
PATIENCE = 45.0  # seconds that an answer takes at most: agents give up after a minute
Answer = list[dict[str, Any]]


@dataclass
class Tools:
    """For who asks. Every method raises ``UnifexError`` and OSError with a sentence for the agent."""

    app: AppContext

    def search_by_picture(
        self,
        image: str = "",
        item: str = "",
        gallery: str = "",
        k: int = 5,
        region: str = "",
        words: str = "",
        domain: str = "",
        label: str = "",
        tag: str = "",
        min_similarity: float = -1.0,
    ) -> Answer:
        """Find the pictures of a gallery that look most like a picture, or like a part of it. Give image or item. The
        answer has a line for each hit, most alike first, and small pictures of the first ten.

        Args:
            image: Path of a file where UniFEx is local, else data:image/jpeg;base64,... or an upload's address.
            item: In place of image: a picture of the gallery, by the item id or path that hits and show_item tell.
            gallery: Name of the gallery, as list_galleries tells it. Empty: the first one.
            k: How many hits, 1 to 1000.
            region: Only this part of the picture: x,y,width,height, each 0 to 1. Several: with ; between.
            words: What hits are to show besides, as "at night". Half as heavy as the picture, half as the words.
            domain: Only hits of this domain, as gallery_facts lists them.
            label: Only hits of this label; several: one a line.
            tag: Only hits with this tag; several: one a line.
            min_similarity: Only hits at least so similar: the cosine, -1 to 1.
        """
        if not (text_of("image", image).strip() or text_of("item", item).strip()):
            raise UnifexError(say("give image or item"))
        opened = gallery_named(self.app, gallery)
        query = Query(
            images=() if item else (self._picture(image),),
            items=items_marked(self.app, opened, "item", item),
            text=text_of("words", words),
            regions=Region.parse_all(text_of("region", region)),
        )
        filters = filters_of(opened, domain, min_similarity, label, tag=tag)
        return self._found(opened, search(opened, query, k, filters))

    def search_by_words(
        self,
        words: str,
        gallery: str = "",
        k: int = 5,
        domain: str = "",
        label: str = "",
        tag: str = "",
    ) -> Answer:
        """Find the pictures of a gallery that show what words say. The answer has a line for each hit, best first, and
        small pictures of the first ten.

        Args:
            words: What is to be seen, as "a red bicycle".
            gallery: Name of the gallery, as list_galleries tells it. Empty: the first one.
            k: How many hits, 1 to 1000.
            domain: Only hits of this domain, as gallery_facts lists them.
            label: Only hits of this label; several: one a line.
            tag: Only hits with this tag; several: one a line.
        """
        opened = gallery_named(self.app, gallery)
        filters = filters_of(opened, domain, -1.0, label, tag=tag)
        return self._found(opened, search(opened, Query(text=text_of("words", words)), k, filters))

    def search_more_like(
        self, more: str, less: str = "", image: str = "", words: str = "", gallery: str = "", k: int = 5
    ) -> Answer:
        """Search on from hits that were judged: more like some, less like others. Begin with another search, look at
        its pictures, and give back what was right and wrong, with the image or the words of that search if it had some.

        Args:
            more: Items that are right, by the item id or path that hits tell, one a line.
            less: Items that are wrong, one a line.
            image: The picture that was searched with, if there was one, as in search_by_picture.
            words: The words that were searched with, if there were some.
            gallery: Name of the gallery, as list_galleries tells it. Empty: the first one.
            k: How many hits, 1 to 1000.
        """
        opened = gallery_named(self.app, gallery)
        query = Query(
            images=(self._picture(image),) if image else (),
            text=text_of("words", words),
            more=items_marked(self.app, opened, "more", more),
            less=items_marked(self.app, opened, "less", less),
        )
        return self._found(opened, search(opened, query, k))

    def show_item(self, item: str, gallery: str = "") -> Answer:
        """Look at one picture of a gallery, large, with what is known of it.

        Args:
            item: The item's id or path, as hits tell it.
            gallery: Name of the gallery, as list_galleries tells it. Empty: the first one.
        """
        opened = gallery_named(self.app, gallery)
        (record,) = opened.records(items_marked(self.app, opened, "item", item)[:1]) or [None]
        if record is None:
            raise UnifexError(say("name the item by the id or path that a hit has"))
        known = [f"{record.width} x {record.height} pixels", f"split {record.split}" if record.split else ""]
        return [_text(", ".join([self._named(record), *filter(None, known)])), _image(preview(opened, record))]

    def list_galleries(self) -> Answer:
        """List the galleries that can be searched, a line each: name, number of pictures, model, size on disk."""
        listed = surveyed(self.app)
        lines = [
            f"{found.name}: {plural(found.items, 'item')}, {found.model}, {size(found.bytes)}"
            if isinstance(found, Facts)
            else f"{found.name}: {found.problem}"
            for found in listed
        ]
        return [_text("\n".join(lines) or "there are no galleries yet")]

    def gallery_facts(self, gallery: str = "") -> Answer:
        """Tell what is in a gallery: how many pictures, its domains, labels, tags and model.

        Args:
            gallery: Name of the gallery, as list_galleries tells it. Empty: the first one.
        """
        opened = gallery_named(self.app, gallery)
        known = asdict(opened.facts())
        if self.app.settings.public:  # where a gallery's images come from is the owner's to know
            del known["unfinished"]
        lines = [f"{name}: {value}" for name, value in known.items()]
        for facet in facets(opened):
            if facet.name in ("label", "tag") and facet.counts:
                counted = [f"{shortened(name)} ({count})" for name, count in facet.counts.items()][:MAX_NAMES]
                lines.append(f"most frequent {facet.name}s, of {facet.names}: {', '.join(counted)}")
        return [_text("\n".join(lines))]

    async def evaluate_gallery(self, gallery: str = "", dim: int = 0, rerank: bool = False) -> Answer:
        """Measure how well a gallery finds what belongs together, as its labels tell: mMP@5, recall and more, overall
        and for each domain, with 95% intervals, as JSON.

        Args:
            gallery: Name of the gallery, as list_galleries tells it. Empty: the first one.
            dim: How many values of the embeddings to compare by. 0: the gallery's own.
            rerank: Also rank by the neighbourhood of each hit.
        """

        def started() -> Job:
            opened = gallery_named(self.app, gallery)
            asked = EvalProtocol(), ranges.DIMENSION.check(dim) if dim else None, rerank
            return self.app.start("evaluate", opened.name, compare(opened, *asked), str(asked))

        return await came_of(await asyncio.to_thread(started), lambda measured: json.dumps(measured.as_json()))

    async def index_folder(self, folder: str, gallery: str = "") -> Answer:
        """Add the pictures of a folder of this computer to a gallery, which is made where there is none yet, or bring
        the gallery up to date with it. Subfolders give labels: folder/label/picture or folder/domain/label/picture.
        What takes longer than an answer may take goes on: call this again, with the same arguments, to wait for it.

        Args:
            folder: Path of the folder, or of a .zip or .csv.
            gallery: Name of the gallery. Empty: the one made of that folder, or a new one called as the folder.
        """
        spec = text_of("folder", folder).strip()
        jobs, name = IndexJobs(self.app), text_of("gallery", gallery).strip()
        return await came_of(await asyncio.to_thread(jobs.start, spec, name), _told)

    # --- what is asked -------------------------------------------------------------------------------------------

    def _picture(self, image: Any) -> ImageLike:
        """The bytes that were sent, or where the file lies. On a public server what its visitor uploaded alone is read;
        nothing is ever fetched from an address."""
        text = text_of("image", image).strip()
        if text.startswith("data:"):
            return _decoded(text)
        path = address_in(text)
        if self.app.settings.public:
            try:
                return self.app.uploaded(path)
            except SourceError:
                told = say(
                    "image: send the picture as data:image/jpeg;base64,... or upload it; no path or address is read"
                )
                raise UnifexError(told) from None
        if "://" in path or not path:
            told = say(
                "image: give the path of a file, or data:image/jpeg;base64,...; nothing is fetched from an address"
            )
            raise UnifexError(told)
        return _file_at(path)

    # --- what is answered ----------------------------------------------------------------------------------------

    def _found(self, gallery: Gallery, result: SearchResult) -> Answer:
        told = f"{plural(len(result.hits), 'hit')} in gallery '{gallery.name}', of {plural(result.searched, 'item')}"
        stranger = "; what was searched for is probably not in the gallery" if result.out_of_gallery else ""
        blocks = [_text(told + stranger)]
        lines = [f"{hit.rank}. similarity {hit.score:.3f}, {self._named(hit.record)}" for hit in result.hits]
        for hit, line in zip(result.hits[:MAX_PICTURES], lines):
            picture = gallery.thumbnail(hit.record.sha256)
            blocks += [_text(line), _image(picture)] if picture else [_text(f"{line} (its picture is lost)")]
        return blocks + ([_text("\n".join(lines[MAX_PICTURES:]))] if lines[MAX_PICTURES:] else [])

    def _named(self, record: Record) -> str:
        """Whose label, which item, and for the owner of this computer where the file lies."""
        parts = [
            f"label {shortened(record.label)}" if record.label else "no label",
            f"domain {shortened(record.domain)}" if record.domain else "",
            f"tags {', '.join(record.tags)}" if record.tags else "",
            f"item {record.id}",
            f"path {record.path}",
            f"file {record.uri}" if not self.app.settings.public else "",
        ]
        return ", ".join(filter(None, parts))


def _file_at(path: str) -> Path:
    with contextlib.suppress(OSError, ValueError):  # too long, with what no path has
        if (file := typed_path(path)).is_file():
            return file
    raise UnifexError(say("image: there is no file '{path}' on this computer", path=shortened(path)))


def _decoded(uri: str) -> bytes:
    head, _, data = uri.partition(",")
    with contextlib.suppress(ValueError):
        if head.startswith("data:image/") and head.endswith(";base64"):
            return base64.b64decode(data, validate=True)
    raise UnifexError(say("image: this is not data:image/...;base64,... that can be read"))


async def came_of(job: Job, tell: Callable[[Any], str]) -> Answer:
    """``tell`` of its result, or how far it is. Raises what it raised."""
    outcome = asyncio.ensure_future(job.outcome())
    await asyncio.wait([outcome], timeout=PATIENCE)
    if outcome.done():
        return [_text(tell(outcome.result()))]
    outcome.cancel()
    step = job.step
    far = f", {step.done:,} of {step.total:,}" if step.total else ""
    return [_text(f"still at work: {step.stage}{far}. Call this again, with the same arguments, to wait for it.")]


def _told(report: IndexReport | Counted) -> str:
    """Of an indexing, or of a packed gallery that was opened."""
    if not isinstance(report, IndexReport):
        return f"gallery '{report.name}' is open: {report.items}"
    lines = [
        f"gallery '{report.gallery}': {plural(report.items, 'item')}, {report.added:,} added, "
        f"{report.skipped:,} unchanged, {report.moved:,} moved, {report.relabelled:,} relabelled, "
        f"{report.removed:,} removed, {len(report.failed):,} refused",
        *(f"refused {skipped.path}: {skipped.reason}" for skipped in report.failed[:MAX_NAMES]),
        *map(str, report.remarks[:MAX_NAMES]),
    ]
    if report.left_out:
        lines.append(f"corrections leave out {plural(report.left_out, 'item')} more")
    if report.missing:
        lines.append(f"{plural(report.missing, 'item')} of this source cannot be found there any more, and stay")
    return "\n".join(lines)


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _image(picture: bytes) -> dict[str, Any]:
    return {
        "type": "image",
        "data": base64.b64encode(picture).decode(),
        "mimeType": thumbnails.media_type(picture),
    }
