"""The Search tab: an image in, the most similar items of a gallery out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import gradio as gr
import numpy as np

from unifex import images
from unifex.search import Filters, SearchResult, search, search_items
from unifex.text import reason
from unifex.ui import html
from unifex.ui.context import ERRORS, Chosen, Context, Found, Query
from unifex.ui.item_view import ItemView
from unifex.word_search import MAX_WORDS, search_words

SAMPLES = 18
MAX_K = 100
SELECT_CARD_JS = """
element.addEventListener('click', (event) => {
  const card = event.target.closest('[data-item]');
  if (card) trigger('select', { index: 0, value: card.closest('.grid').dataset.kind + ':' + card.dataset.item });
});
"""
TRUST = [("Show every hit", 0.0)]
TRUST += [(f"Only matches I can trust at {percent} % false accepts", percent / 100) for percent in (1, 5, 10, 20)]


def _path_as_uploaded(payload) -> str | None:
    """gr.Image.preprocess opens and may re-encode the file; a query must be decoded exactly as an indexed image is."""
    return payload.path if payload else None


@dataclass
class SearchTab:
    """Components that other tabs and the page need, and the handlers."""

    context: Context
    item_view: ItemView

    def build(self) -> None:
        """Lay the tab out and wire it."""
        self.query = gr.State(Query())
        self.found = gr.State(Found())
        self.within = gr.State(Chosen())
        first = self.context.first_gallery()
        with gr.Row():
            with gr.Column(scale=1, min_width=300):
                self.image = gr.Image(
                    label="Query image",
                    sources=["upload", "clipboard", "webcam"],
                    height=260,
                    elem_id="query-image",
                    buttons=[],
                )
                self.image.preprocess = _path_as_uploaded
                with gr.Column(visible=False) as self.wording:
                    self.words = gr.Textbox(
                        label="Words", placeholder="a red bicycle", elem_id="search-words", max_length=MAX_WORDS,
                        info="Alone, or with an image: like this image, and what the words say",
                    )  # fmt: skip
                    self.balance = gr.Slider(
                        0, 1, value=0.5, step=0.05, label="Image or words", elem_id="search-balance",
                        info="With both: 0 is the image only, 1 the words only",
                    )  # fmt: skip
                with gr.Accordion("More images of the same thing", open=False, elem_id="more-images"):
                    self.more = gr.File(
                        label="They are searched together: the mean of all embeddings",
                        file_count="multiple",
                        height=120,
                    )
                self.gallery = gr.Dropdown(
                    self.context.indexes.names() or [first], value=first, label="Gallery", elem_id="search-gallery"
                )
                with gr.Row():
                    self.go = gr.Button("Search", variant="primary", min_width=80, elem_id="search-button")
                    self.clear = gr.Button("Clear", min_width=80, elem_id="clear-button")
                with gr.Accordion("Hits, domains, similarity", open=False, elem_id="search-options"):
                    self.k = gr.Slider(1, MAX_K, value=20, step=1, label="Number of hits", elem_id="search-k")
                    self.domains = gr.Dropdown(
                        [], value=[], multiselect=True, label="Domains", info="Empty: all", elem_id="search-domains"
                    )
                    self.min_score = gr.Slider(
                        -1,
                        1,
                        value=-1,
                        step=0.01,
                        label="Least similarity",
                        info="Cosine of the embeddings, -1 to 1",
                        elem_id="search-min-score",
                    )
                    self.trust = gr.Dropdown(
                        TRUST, value=0.0, label="Trust", elem_id="search-trust",
                        info="Told from the gallery's labels: of queries whose thing is not here, how many may match",
                    )  # fmt: skip
                    self.in_context = gr.Checkbox(
                        label="Re-rank in context", elem_id="search-context",
                        info="The gallery's own neighbourhood improves the order; the Evaluate tab says by how much",
                    )  # fmt: skip
            with gr.Column(scale=3, min_width=320):
                self.everywhere = gr.Button(visible=False, size="sm", elem_id="search-everywhere")
                self.status = gr.HTML(elem_id="search-status")
                self.grid = gr.HTML(elem_id="hits", js_on_load=SELECT_CARD_JS)
        self._wire()

    @property
    def settings(self) -> list:
        """What :meth:`show` takes."""
        options = [self.k, self.domains, self.min_score, self.trust, self.in_context]
        return [self.query, self.gallery, self.within, self.words, self.balance, *options]

    @property
    def choosing(self) -> list:
        """What :meth:`choose_gallery` takes."""
        return [self.query, self.gallery, self.domains]

    @property
    def chosen(self) -> list:
        """What :meth:`choose_gallery` gives."""
        return [self.query, self.domains, self.wording, self.words]

    @property
    def results(self) -> list:
        """What :meth:`show` gives."""
        return [self.status, self.grid, self.found]

    def _wire(self) -> None:
        private = {"api_visibility": "private"}
        shown = {"fn": self.show, "inputs": self.settings, "outputs": self.results, **private}
        quietly = {**shown, "show_progress": "hidden"}
        take = {"fn": self.take_images, "inputs": [self.image, self.more], "outputs": [self.query], **private}
        gr.on([self.image.input, self.image.upload, self.more.upload, self.more.delete, self.go.click], **take).then(
            **{**shown, "show_progress": "minimal"}
        )
        self.image.clear(self.forget_images, None, [self.query, self.more], **private).then(**quietly)
        self.clear.click(self.forget, None, [self.query, self.image, self.more, self.words], **private).then(**quietly)
        self.words.submit(**{**shown, "show_progress": "minimal"})
        self.balance.release(**quietly)
        changed = [self.k.release, self.domains.change, self.min_score.release, self.trust.input, self.in_context.input]
        gr.on(changed, **quietly)
        self.gallery.change(self.choose_gallery, self.choosing, self.chosen, **private).then(**quietly)
        picked = [self.query, self.image, *self.item_view.outputs]
        self.grid.select(self.pick, [self.gallery], picked, show_progress="hidden", **private).then(**quietly)
        self.everywhere.click(
            lambda: (Chosen(), gr.update(visible=False)), None, [self.within, self.everywhere], **private
        ).then(**quietly)
        self.gallery.change(
            lambda within, gallery: gr.update(visible=bool(within.of(gallery))),
            [self.within, self.gallery], [self.everywhere], show_progress="hidden", **private,
        )  # fmt: skip

    # --- handlers ------------------------------------------------------------------------------------------------

    def take_images(self, image: str | None, more: list[str] | None) -> Query | dict:
        """(query image, further images) -> the query; what is shown stays when there is no image."""
        paths = tuple(path for path in [image, *(more or [])] if path)
        return Query(paths=paths) if paths else gr.skip()

    def forget_images(self) -> tuple[Query, None]:
        """-> an empty query, and the box of further images empty."""
        return Query(), None

    def forget(self) -> tuple[Query, None, None, str]:
        """-> an empty query, and all boxes empty."""
        return Query(), None, None, ""

    def choose_gallery(
        self, query: Query, gallery: str | None, domains: list[str] | None
    ) -> tuple[Query, dict, dict, str | dict]:
        """(query, gallery, domains) -> the query without items of another gallery, domains to choose from, words if it
        knows some. Domains that the gallery has stay chosen: galleries are listed anew while people choose."""
        try:
            opened = self.context.gallery(gallery) if gallery else None
            known = opened.facts().domains if opened else {}
            knows_words = opened is not None and opened.embedder.knows_words
        except ERRORS:
            known, knows_words = {}, False
        kept = query if query.paths or query.gallery == gallery else Query()
        left = [name for name in domains or [] if name in known]
        value = {} if left == (domains or []) else {"value": left}
        return (
            kept,
            gr.update(choices=[(f"{name} ({count:,})", name) for name, count in known.items() if name], **value),
            gr.update(visible=knows_words),
            gr.skip() if knows_words else "",
        )

    def show(
        self,
        query: Query,
        gallery: str | None,
        within: Chosen,
        words: str,
        balance: float,
        k: int,
        domains: list[str],
        min_score: float,
        trust: float,
        in_context: bool,
    ) -> tuple[str, str, Found]:
        """:attr:`settings` -> status, grid, what was found."""
        if not gallery:
            text = "Make one in the Gallery tab: drop a folder of images there."
            return html.message("No gallery yet", text), "", Found()
        try:
            words = words.strip()
            if not query and not words:
                return *self._samples(gallery), Found()
            filters = Filters(
                domains=tuple(domains or ()),
                min_score=None if min_score <= -1 else min_score,
                within=frozenset(within.of(gallery)),
                false_accepts=float(trust) or None,
            )
            return self._hits(query, words, float(balance), gallery, int(k), filters, in_context)
        except images.ImageError as error:
            text = f"Reason: {error}. Give a {images.FORMAT_NAMES} image."
            return html.message("This query cannot be read", text, "error"), "", Found()
        except ERRORS as error:
            return html.message("The search failed", reason(error), "error"), "", Found()

    def _samples(self, name: str) -> tuple[str, str]:
        if name not in self.context.indexes.names():
            return html.message(
                "The gallery is being made", f"{self.context.state}. It can be searched in a moment."
            ), ""
        gallery = self.context.gallery(name)
        columns = gallery.snapshot().columns
        if not len(columns.ids):
            text = "Add images in the Gallery tab: a folder, a .zip or a .csv."
            return html.message("This gallery is empty", text), ""
        records = gallery.records(columns.ids[_varied(columns.labels.codes)])
        return "", html.sample_grid([(record, gallery.thumbnail(record.sha256)) for record in records])

    def _hits(
        self, query: Query, words: str, balance: float, name: str, k: int, filters: Filters, context: bool
    ) -> tuple[str, str, Found]:
        gallery = self.context.gallery(name)
        if words:
            filters = replace(filters, false_accepts=None)
            result = search_words(gallery, words, query.paths, query.items, k, filters, balance)
        elif query.items:
            result = search_items(gallery, query.items, k, filters, context=context)
        else:
            result = search(gallery, query.paths, k, filters, context=context)
        if query.items:
            shown = [gallery.thumbnail(record.sha256) for record in gallery.records(query.items)]
        else:
            decoded = (images.decode(Path(path).read_bytes(), at_least=96).image for path in query.paths[:6])
            shown = [images.thumbnail(image, 96) for image in decoded]
        found = Found(name, tuple(h.record.id for h in result.hits), tuple(h.score for h in result.hits))
        status = html.search_status(result, name, shown, words, places=not self.context.settings.public)
        if filters.false_accepts:
            meaning = gallery.calibration()
            least = meaning.threshold(filters.false_accepts)
            status += html.hint(
                f"Similarity {least:.2f} and more: that keeps {meaning.kept(least):.0%} of right first hits."
            )
        if not result.hits:
            return status + _why_nothing(result, filters), "", found
        if result.stranger:
            status += _STRANGER
        return status, html.hit_grid([(hit, gallery.thumbnail(hit.record.sha256)) for hit in result.hits]), found

    def pick(self, gallery: str, event: gr.SelectData) -> tuple:
        """(gallery; card) -> query, query image, large view: a sample is searched with, a hit is opened."""
        kind, _, number = str(event.value).partition(":")
        if not number.isdecimal():
            raise gr.Error("That card is not an item; reload the page.")
        if kind == "samples":
            return Query(items=(int(number),), gallery=gallery), None, *[gr.skip()] * len(self.item_view.outputs)
        return gr.skip(), gr.skip(), *self.item_view.open(gallery, int(number))


_STRANGER = html.message(
    "Probably not in this gallery",
    "Even the best hit is only as alike as what queries find whose thing is not here, as this gallery tells. "
    "What follows is the nearest there is.",
    "warning",
)


def _varied(labels: np.ndarray) -> list[int]:
    """Positions of a few items, of as many labels as there are, the same at every visit."""
    order = np.random.default_rng(0).permutation(len(labels))
    firsts = order[np.sort(np.unique(labels[order], return_index=True)[1])][:SAMPLES]
    others = order[~np.isin(order, firsts)][: SAMPLES - len(firsts)]
    return sorted([*firsts.tolist(), *others.tolist()])


def _why_nothing(result: SearchResult, filters: Filters) -> str:
    if not result.items:
        return html.message("This gallery is empty", "Add images in the Gallery tab.", "warning")
    if filters.false_accepts:
        return html.message(
            "No match that can be trusted",
            f"Nothing here is more alike than what {100 * filters.false_accepts:.0f} % of queries find whose thing is "
            "not in the gallery. Choose another setting under Trust to see the nearest.",
            "warning",
        )
    if filters.min_score is not None:
        return html.message(
            "Nothing is that similar", "Lower the least similarity, or choose other domains.", "warning"
        )
    return html.message("Nothing in these domains", "Choose other domains, or none for all.", "warning")
