"""The Search tab: an image in, the most similar items of a gallery out.

Everything that decides what is found is a value, and one listener answers to all of them: what the page shows at last
is for what the page says at last. A handler that changes values itself asks for that answer by a new :class:`Wish`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import gradio as gr
import numpy as np

from unifex.core import images, thumbnails
from unifex.core.text import reason
from unifex.gallery.gallery import Gallery
from unifex.retrieval.filters import Filters
from unifex.retrieval.hits import SearchResult
from unifex.retrieval.query import MAX_TEXT, Query
from unifex.retrieval.search import search
from unifex.ui.components.basic import Choice, QueryImage, item_told, notice, signal
from unifex.ui.components.item_view import ItemView
from unifex.ui.context import ERRORS, AppContext, LastResult, Selection, Wish
from unifex.ui.listening import listen
from unifex.ui.rendering import html, search_answer
from unifex.ui.rendering.cards import Card, of_gallery

SAMPLES = 18
HITS, MAX_K = 20, 100
EVERY_HIT, ANY_SIMILARITY, HALF = 0.0, -1, 0.5
TRUST = [("Show every hit", EVERY_HIT)]
TRUST += [(f"Only matches I can trust at {percent} % false accepts", percent / 100) for percent in (1, 5, 10, 20)]


@dataclass
class SearchTab:
    """Components that other tabs and the page need, and the handlers."""

    context: AppContext
    item_view: ItemView

    def build(self) -> None:
        """Lay the tab out and wire it."""
        self.picked = gr.State(Selection())  # an item that is searched with; an image that comes later takes its place
        self.pressed = gr.State(False)  # Search, and not Clear since: who did wants to know what is missing
        self.wish, self.found, self.within = gr.State(Wish()), gr.State(LastResult()), gr.State(Selection())
        self.sampled = signal("sample")
        with gr.Row(elem_id="search-page"):
            with gr.Column(elem_id="search-query", min_width=280):
                self._build_query()
            with gr.Column(elem_id="search-answer", min_width=280):
                self.everywhere = gr.Button(visible=False, size="sm", elem_id="search-everywhere")
                self.status = notice("search-status")
                self.grid = gr.HTML(elem_id="hits", js_on_load="")
            with gr.Column(elem_id="search-more", min_width=280):
                self._build_more()
        self._wire()

    def _build_query(self) -> None:
        self.image = QueryImage(
            label="Query image",
            sources=["upload", "clipboard", "webcam"],
            height=240,
            elem_id="query-image",
            buttons=[],
        )
        with gr.Column(visible=False) as self.wording:
            self.words = gr.Textbox(
                label="Words", placeholder="a red bicycle", elem_id="search-words", max_length=MAX_TEXT,
                info="Alone, or with an image: like this image, and what the words say",
            )  # fmt: skip
            self.balance = gr.Slider(
                0, 1, value=HALF, step=0.05, label="Image or words", elem_id="search-balance",
                info="With both: 0 is the image only, 1 the words only",
            )  # fmt: skip
        first = self.context.first_gallery()
        self.gallery = Choice(
            self.context.library.names() or [first], value=first, label="Gallery", elem_id="search-gallery"
        )
        with gr.Row():
            self.go = gr.Button("Search", variant="primary", min_width=80, elem_id="search-button")
            self.clear = gr.Button("Clear", min_width=80, elem_id="clear-button")

    def _build_more(self) -> None:
        with gr.Accordion("More images of the same thing", open=False, elem_id="more-images"):
            self.more = gr.File(
                label="They are searched together: the mean of all embeddings", file_count="multiple", height=120
            )
        with gr.Accordion("Hits, domains, similarity", open=False, elem_id="search-options"):
            self.k = gr.Slider(1, MAX_K, value=HITS, step=1, label="Number of hits", elem_id="search-k")
            self.domains = Choice(
                [], value=[], multiselect=True, label="Domains", info="Empty: all", elem_id="search-domains"
            )
            self.min_score = gr.Slider(
                ANY_SIMILARITY, 1, value=ANY_SIMILARITY, step=0.01, label="Least similarity",
                info="Cosine of the embeddings, -1 to 1", elem_id="search-min-score",
            )  # fmt: skip
            self.trust = gr.Dropdown(
                TRUST, value=EVERY_HIT, label="Trust", elem_id="search-trust",
                info="Told from the gallery's labels: of queries whose thing is not here, how many may match",
            )  # fmt: skip
            self.in_context = gr.Checkbox(
                label="Re-rank in context", elem_id="search-context",
                info="The gallery's own neighbourhood improves the order; the Evaluate tab says by how much",
            )  # fmt: skip

    @property
    def chosen(self) -> list:
        """What :meth:`choose_gallery` gives."""
        return [self.domains, self.wording, self.words, self.wish]

    def _wire(self) -> None:
        options = [self.words, self.balance, self.k, self.domains, self.min_score, self.trust, self.in_context]
        values = [
            self.wish.change, self.image.upload, self.image.clear, self.more.upload, self.more.delete, self.more.clear,
            self.words.submit, self.balance.release, self.k.release, self.domains.input, self.min_score.release,
            self.trust.input, self.in_context.input,
        ]  # fmt: skip
        listen(
            values, self.show, [self.pressed, self.image, self.more, self.picked, self.gallery, self.within, *options],
            [self.status, self.grid, self.found, self.picked], show_progress="minimal", show_progress_on=[self.status],
        )  # fmt: skip
        listen(self.go.click, lambda: (True, Wish.new()), None, [self.pressed, self.wish])
        emptied = [self.pressed, self.image, self.more, self.picked, self.within, self.everywhere, *options, self.wish]
        listen(self.clear.click, self.forget, None, emptied)
        listen(
            self.sampled.input, self.pick, [self.sampled], [self.picked, self.gallery, self.image, self.more, self.wish]
        )
        listen(self.gallery.change, self.choose_gallery, [self.gallery, self.domains], self.chosen)
        listen(self.gallery.change, self.offer_everywhere, [self.within, self.gallery], [self.everywhere])
        listen(
            self.everywhere.click, lambda: (Selection(), gr.update(visible=False), Wish.new()), None,
            [self.within, self.everywhere, self.wish],
        )  # fmt: skip

    # --- handlers: what is asked ---------------------------------------------------------------------------------

    def forget(self) -> tuple:
        """-> no image, no item, nothing chosen on the map, and every filter as it was in the beginning."""
        filters = "", HALF, HITS, [], ANY_SIMILARITY, EVERY_HIT, False
        return False, None, None, Selection(), Selection(), gr.update(visible=False), *filters, Wish.new()

    def pick(self, told: str) -> tuple:
        """(gallery and item of a sample's card) -> it as the query, its gallery, no images."""
        gallery, item = item_told(told)
        return Selection(gallery, (item,)), gallery, None, None, Wish.new()

    def offer_everywhere(self, within: Selection, gallery: str | None) -> dict:
        """(items chosen on the map, gallery) -> the button that undoes the restriction, where there is one."""
        count = len(within.of(gallery))
        text = f"Searching within {count:,} chosen items. Search everywhere"
        return gr.update(visible=bool(count), value=text)

    def narrow(self, within: Selection, gallery: str | None) -> tuple[Selection, dict, Wish]:
        """(items chosen on the map, gallery) -> those that are left, the button, and that it is to be searched."""
        try:
            ids = within.of(gallery)
            left = (
                Selection(within.gallery, tuple(r.id for r in self.context.gallery(gallery).records(ids)))
                if ids
                else within
            )
        except ERRORS:
            left = within
        return left, self.offer_everywhere(left, gallery), Wish.new()

    def choose_gallery(self, gallery: str | None, domains: list[str] | None) -> tuple[dict, dict, str | dict, Wish]:
        """(gallery, domains) -> domains to choose from, words if it knows some, and that it is to be searched.

        Domains that the gallery has stay chosen: galleries are listed anew while people choose.
        """
        try:
            opened = self.context.gallery(gallery) if gallery else None
            known = opened.facts().domains if opened else {}
            supports_text = opened is not None and opened.embedder.supports_text
        except ERRORS:
            known, supports_text = {}, False
        left = [name for name in domains or [] if name in known]
        value = {} if left == (domains or []) else {"value": left}
        return (
            gr.update(choices=[(f"{name} ({count:,})", name) for name, count in known.items() if name], **value),
            gr.update(visible=supports_text),
            gr.skip() if supports_text else "",
            Wish.new(),
        )

    # --- handlers: the answer ------------------------------------------------------------------------------------

    def show(
        self,
        pressed: bool,
        image: str | None,
        more: list[str] | None,
        picked: Selection,
        name: str | None,
        within: Selection,
        words: str,
        balance: float,
        k: int,
        domains: list[str] | None,
        min_score: float,
        trust: float,
        in_context: bool,
    ) -> tuple[str, str, LastResult, Selection]:
        """Everything that is asked -> status, grid, what was found, and the picked item if it is still the query."""
        paths = tuple(path for path in [image, *(more or [])] if path)
        left = Selection() if paths or picked.gallery != name else picked
        if not name:
            text = "Make one in the Gallery tab: drop a folder of images there."
            return html.message("No gallery yet", text), "", LastResult(), left
        if name not in self.context.library.names():
            text = f"{self.context.state}. It can be searched in a moment."
            return html.message("The gallery is being made", text), "", LastResult(), left
        try:
            gallery = self.context.gallery(name)
            known = set(gallery.snapshot().columns.domains.names)
            filters = Filters(
                domains=tuple(domain for domain in domains or () if domain in known),
                min_score=None if min_score <= ANY_SIMILARITY else min_score,
                within=frozenset(within.of(name)),
                false_accept_rate=float(trust) or None,
            )
            query = Query(paths, left.of(name), words.strip(), float(balance))
            if query:
                _check_there(paths)
                return *self._hits(query, gallery, int(k), filters, in_context), left
            return *_samples(gallery, filters, pressed), LastResult(), left
        except images.ImageError as error:
            text = f"Reason: {error}. Give a {images.FORMAT_NAMES} image."
            return html.message("This query cannot be read", text, "error"), "", LastResult(), left
        except ERRORS as error:
            return html.message("The search failed", reason(error), "error"), "", LastResult(), left

    def _hits(
        self, query: Query, gallery: Gallery, k: int, filters: Filters, rerank: bool
    ) -> tuple[str, str, LastResult]:
        if query.text:
            filters = replace(filters, false_accept_rate=None)
        result = search(gallery, query, k, filters, rerank=rerank)
        if query.items:
            shown = [gallery.thumbnail(record.sha256) for record in gallery.records(query.items)]
        else:
            decoded = (images.decode(Path(path).read_bytes(), at_least=96).image for path in query.images[:6])
            shown = [thumbnails.thumbnail(image, 96) for image in decoded]
        found = LastResult(gallery.name, tuple(h.record.id for h in result.hits), tuple(h.score for h in result.hits))
        status = search_answer.search_status(
            result, gallery.name, shown, query.text, places=not self.context.settings.public
        )
        if filters.false_accept_rate:
            calibration = gallery.calibration()
            least = calibration.threshold(filters.false_accept_rate)
            status += html.hint(
                f"Similarity {least:.2f} and more: that keeps {calibration.kept(least):.0%} of right first hits."
            )
        if not result.hits:
            return status + _why_nothing(result, filters), "", found
        if result.out_of_gallery:
            status += _STRANGER
        hits = [(hit, gallery.thumbnail(hit.record.sha256)) for hit in result.hits]
        return status, of_gallery(gallery.name, search_answer.hit_grid(hits)), found


_NO_QUERY = html.message(
    "Nothing to search with yet",
    "Drop, paste or choose an image on the box, or press one of the images below.",
    "warning",
)
_NOTHING_LEFT = html.message(
    "Nothing is left to search", "Choose other domains, or none for all, or search everywhere.", "warning"
)
_STRANGER = html.message(
    "Probably not in this gallery",
    "Even the best hit is only as alike as what queries find whose thing is not here, as this gallery tells. "
    "What follows is the nearest there is.",
    "warning",
)


def _check_there(paths: tuple[str, ...]) -> None:
    """Raises ``ImageError`` when an upload is gone: they are kept for a day."""
    if not all(Path(path).is_file() for path in paths):
        raise images.ImageError("the upload is no longer kept here; drop the image again")


def _samples(gallery: Gallery, filters: Filters, pressed: bool) -> tuple[str, str]:
    """Status and grid where nothing is searched with; ``pressed``: somebody wanted to search all the same."""
    snapshot = gallery.snapshot()
    if not len(snapshot):
        return html.message("This gallery is empty", "Add images in the Gallery tab: a folder, a .zip or a .csv."), ""
    mask = filters.mask(snapshot)
    positions = np.flatnonzero(mask) if mask is not None else np.arange(len(snapshot))
    if not len(positions):
        return _NOTHING_LEFT, ""
    shown = positions[_varied(snapshot.columns.labels.codes[positions])]
    records = gallery.records(snapshot.columns.ids[shown])
    grid = search_answer.sample_grid(
        [Card(record, gallery.thumbnail(record.sha256), "Search with") for record in records]
    )
    return _NO_QUERY if pressed else "", of_gallery(gallery.name, grid)


def _varied(labels: np.ndarray) -> list[int]:
    """Positions of a few items, of as many labels as there are, the same at every visit."""
    order = np.random.default_rng(0).permutation(len(labels))
    firsts = order[np.sort(np.unique(labels[order], return_index=True)[1])][:SAMPLES]
    others = order[~np.isin(order, firsts)][: SAMPLES - len(firsts)]
    return sorted([*firsts.tolist(), *others.tolist()])


def _why_nothing(result: SearchResult, filters: Filters) -> str:
    if not result.items:
        return html.message("This gallery is empty", "Add images in the Gallery tab.", "warning")
    if filters.false_accept_rate:
        return html.message(
            "No match that can be trusted",
            f"Nothing here is more alike than what {100 * filters.false_accept_rate:.0f} % of queries find whose thing "
            "is not in the gallery. Choose another setting under Trust to see the nearest.",
            "warning",
        )
    if filters.min_score is not None:
        return html.message(
            "Nothing is that similar", "Lower the least similarity, or choose other domains.", "warning"
        )
    return _NOTHING_LEFT
