"""The Search tab: an image in, the most similar items of a gallery out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import gradio as gr
import numpy as np

from unifex import images
from unifex.backbones import BackboneError
from unifex.embedder import ModelError
from unifex.gallery import GalleryError
from unifex.search import Filters, SearchResult, search, search_items
from unifex.ui import html
from unifex.ui.context import Context, Query

SAMPLES = 18
MAX_K = 100
SELECT_CARD_JS = """
element.addEventListener('click', (event) => {
  const card = event.target.closest('[data-item]');
  if (card) trigger('select', { index: 0, value: card.closest('.grid').dataset.kind + ':' + card.dataset.item });
});
"""
ERRORS = (GalleryError, ModelError, BackboneError, images.ImageError, ValueError, OSError)


def _path_as_uploaded(payload) -> str | None:
    """gr.Image.preprocess opens and may re-encode the file; a query must be decoded exactly as an indexed image is."""
    return payload.path if payload else None


@dataclass
class SearchTab:
    """Components that other tabs and the page need, and the handlers."""

    context: Context

    def build(self) -> None:
        """Lay the tab out and wire it."""
        self.query = gr.State(Query())
        self.opened = gr.State(0)
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
            with gr.Column(scale=3, min_width=320):
                self.status = gr.HTML(elem_id="search-status")
                self.grid = gr.HTML(elem_id="hits", js_on_load=SELECT_CARD_JS)
        with gr.Column(visible=False, elem_id="detail") as self.overlay, gr.Column(elem_id="detail-card"):
            self.detail = gr.HTML()
            with gr.Row():
                self.again = gr.Button("Search with this one", variant="primary", elem_id="search-with-this")
                self.close = gr.Button("Close", elem_id="close-detail")
        self._wire()

    def _wire(self) -> None:
        settings = [self.query, self.gallery, self.k, self.domains, self.min_score]
        results = [self.status, self.grid]
        private = {"api_visibility": "private"}
        take = {"fn": self.take_images, "inputs": [self.image, self.more], "outputs": [self.query], **private}
        gr.on([self.image.input, self.image.upload, self.more.upload, self.more.delete, self.go.click], **take).then(
            self.show, settings, results, show_progress="minimal", **private
        )
        gr.on(
            [self.image.clear, self.clear.click], self.forget, None, [self.query, self.image, self.more], **private
        ).then(self.show, settings, results, show_progress="hidden", **private)
        gr.on(
            [self.k.release, self.domains.change, self.min_score.release],
            self.show, settings, results, show_progress="hidden", **private,
        )  # fmt: skip
        self.gallery.change(
            self.choose_gallery, [self.query, self.gallery], [self.query, self.domains], **private
        ).then(self.show, settings, results, show_progress="hidden", **private)
        opened = [self.query, self.opened, self.overlay, self.detail, self.image]
        self.grid.select(self.pick, [self.gallery], opened, show_progress="hidden", **private).then(
            self.show, settings, results, show_progress="hidden", **private
        )
        self.again.click(
            self.search_with, [self.opened, self.gallery], [self.query, self.overlay, self.image], **private
        ).then(self.show, settings, results, show_progress="hidden", **private)
        self.close.click(lambda: gr.update(visible=False), None, [self.overlay], show_progress="hidden", **private)

    # --- handlers ------------------------------------------------------------------------------------------------

    def take_images(self, image: str | None, more: list[str] | None) -> Query | dict:
        """(query image, further images) -> the query; what is shown stays when there is no image."""
        paths = tuple(path for path in [image, *(more or [])] if path)
        return Query(paths=paths) if paths else gr.skip()

    def forget(self) -> tuple[Query, None, None]:
        """-> an empty query, and both image boxes empty."""
        return Query(), None, None

    def choose_gallery(self, query: Query, gallery: str | None) -> tuple[Query, dict]:
        """(query, gallery) -> the query without items of another gallery, the domains to choose from."""
        try:
            known = self.context.gallery(gallery).facts().domains if gallery else {}
        except GalleryError:
            known = {}
        kept = query if query.paths or query.gallery == gallery else Query()
        return kept, gr.update(
            choices=[(f"{name} ({count:,})", name) for name, count in known.items() if name], value=[]
        )

    def show(self, query: Query, gallery: str | None, k: int, domains: list[str], min_score: float) -> tuple[str, str]:
        """(query, gallery, hits, domains, least similarity) -> (status, grid)."""
        if not gallery:
            return html.message("No gallery yet", "Make one in the Gallery tab: drop a folder of images there."), ""
        try:
            if not query:
                return self._samples(gallery)
            filters = Filters(domains=tuple(domains or ()), min_score=None if min_score <= -1 else min_score)
            return self._hits(query, gallery, int(k), filters)
        except images.ImageError as error:
            text = f"Reason: {error}. Give a JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF image."
            return html.message("This query cannot be read", text, "error"), ""
        except ERRORS as error:
            return html.message("The search failed", str(error), "error"), ""

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

    def _hits(self, query: Query, name: str, k: int, filters: Filters) -> tuple[str, str]:
        gallery = self.context.gallery(name)
        if query.items:
            result = search_items(gallery, query.items, k, filters)
            shown = [gallery.thumbnail(record.sha256) for record in gallery.records(query.items)]
        else:
            result = search(gallery, query.paths, k, filters)
            decoded = (images.decode(Path(path).read_bytes(), at_least=96).image for path in query.paths[:6])
            shown = [images.thumbnail(image, 96) for image in decoded]
        status = html.search_status(result, name, shown)
        if not result.hits:
            return status + _why_nothing(result, filters), ""
        return status, html.hit_grid([(hit, gallery.thumbnail(hit.record.sha256)) for hit in result.hits])

    def pick(self, gallery: str, event: gr.SelectData) -> tuple:
        """(gallery; card) -> query, opened id, overlay, large view, query image: a sample is searched, a hit opened."""
        kind, _, number = str(event.value).partition(":")
        if not number.isdecimal():
            raise gr.Error("That card is not an item; reload the page.")
        item = int(number)
        if kind == "samples":
            return Query(items=(item,), gallery=gallery), 0, gr.update(visible=False), "", None
        try:
            view = self._detail(gallery, item)
        except ERRORS as error:
            view = html.message("This item cannot be shown", str(error), "error")
        return gr.skip(), item, gr.update(visible=True), view, gr.skip()

    def _detail(self, name: str, item: int) -> str:
        gallery = self.context.gallery(name)
        records = gallery.records([item])
        if not records:
            return html.message("This item was removed", "Search again to see what is left.", "warning")
        record = records[0]
        try:
            picture = images.decode(gallery.original(record), at_least=images.PREVIEW_SIZE).image
        except (GalleryError, images.ImageError) as error:
            return html.detail(record, gallery.thumbnail(record.sha256), str(error))
        return html.detail(record, images.thumbnail(picture, images.PREVIEW_SIZE, quality=85))

    def search_with(self, item: int, gallery: str) -> tuple[Query, dict, None]:
        """(opened id, gallery) -> the item as the query, overlay closed, query image empty."""
        return Query(items=(int(item),), gallery=gallery), gr.update(visible=False), None


def _varied(labels: np.ndarray) -> list[int]:
    """Positions of a few items, of as many labels as there are, the same at every visit."""
    order = np.random.default_rng(0).permutation(len(labels))
    firsts = order[np.sort(np.unique(labels[order], return_index=True)[1])][:SAMPLES]
    others = order[~np.isin(order, firsts)][: SAMPLES - len(firsts)]
    return sorted([*firsts.tolist(), *others.tolist()])


def _why_nothing(result: SearchResult, filters: Filters) -> str:
    if not result.items:
        return html.message("This gallery is empty", "Add images in the Gallery tab.", "warning")
    if filters.min_score is not None:
        return html.message(
            "Nothing is that similar", "Lower the least similarity, or choose other domains.", "warning"
        )
    return html.message("Nothing in these domains", "Choose other domains, or none for all.", "warning")
