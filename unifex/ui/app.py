"""The page: header and tabs. Adding a tab is one import and one line here."""

from __future__ import annotations

import os
import socket

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # before gradio is imported: nothing is reported

import gradio as gr

from unifex.settings import Settings
from unifex.ui import html, theme
from unifex.ui.context import Chosen, Context
from unifex.ui.endpoints import add_endpoints
from unifex.ui.evaluate_tab import EvaluateTab
from unifex.ui.gallery_tab import GalleryTab
from unifex.ui.item_view import ItemView
from unifex.ui.map_tab import MapTab, plotly_path
from unifex.ui.search_tab import SearchTab

MAX_FILE_SIZE = "20gb"
PORTS_TRIED = 20
CACHE_CHECK_SECONDS, CACHE_AGE_SECONDS = 3600, 24 * 3600


def build(context: Context) -> gr.Blocks:
    """The whole app, not yet served."""
    with gr.Blocks(
        title="UniFEx", analytics_enabled=False, fill_width=True, delete_cache=(CACHE_CHECK_SECONDS, CACHE_AGE_SECONDS)
    ) as page:
        header = gr.HTML(elem_id="header", js_on_load="")
        ticker = gr.Timer(0.7)
        item_view = ItemView(context)
        search_tab, map_tab = SearchTab(context, item_view), MapTab(context, item_view)
        evaluate_tab, gallery_tab = EvaluateTab(context, item_view), GalleryTab(context)
        item_view.build()
        with gr.Tabs() as tabs:
            with gr.Tab("Search", id="search"):
                search_tab.build()
            with gr.Tab("Gallery", id="gallery"):
                gallery_tab.build()
            with gr.Tab("Evaluate", id="evaluate") as evaluate_page:
                evaluate_tab.build()
            with gr.Tab("Map", id="map") as map_page:
                map_tab.build()
        gallery_tab.wire([search_tab.gallery, evaluate_tab.gallery, map_tab.gallery])
        add_endpoints(context)

        def show_header() -> tuple[str, dict]:
            """-> header, and the ticker that stops when the model is ready."""
            ready = context.ready.is_set()
            return html.header(context.embedder.name, context.state, not ready), gr.update(active=not ready)

        def within(chosen: Chosen) -> tuple:
            """(chosen items) -> the Search tab, restricted to them, their gallery, the button that undoes it."""
            text = f"Searching within {len(chosen.ids):,} chosen items. Search everywhere"
            return gr.update(selected="search"), chosen, chosen.gallery, gr.update(visible=True, value=text)

        private = {"show_progress": "hidden", "api_visibility": "private"}
        names = [gallery_tab.name, gallery_tab.gallery], gallery_tab.dropdowns
        chosen = [search_tab.query, search_tab.gallery], [search_tab.query, search_tab.domains]
        searched = {"fn": search_tab.show, "inputs": search_tab.settings, "outputs": search_tab.results, **private}
        facts = [gallery_tab.gallery], [gallery_tab.facts, gallery_tab.resume]
        for shown_now in (
            page.load(show_header, None, [header, ticker], **private),
            ticker.tick(show_header, None, [header, ticker], **private),
        ):
            (
                shown_now.then(gallery_tab.refresh, *names, **private)
                .then(search_tab.choose_gallery, *chosen, **private)
                .then(**searched)
                .then(gallery_tab.show_facts, *facts, **private)
            )
        item_view.again.click(
            item_view.search_with,
            [item_view.shown],
            [search_tab.query, item_view.overlay, search_tab.gallery],
            **private,
        ).then(lambda: (gr.update(selected="search"), None), None, [tabs, search_tab.image], **private).then(**searched)
        map_tab.within.click(
            within, [map_tab.chosen],
            [tabs, search_tab.within, search_tab.gallery, search_tab.everywhere], **private,
        ).then(**searched)  # fmt: skip
        for changed in (search_tab.found.change, map_tab.drawing.change):
            changed(map_tab.show_query, [search_tab.found, map_tab.gallery], [map_tab.star], **private)
        # A tab opens with the gallery that is being searched; what is chosen on it is searched next.
        for tab, dropdown, opened in (
            (evaluate_page, evaluate_tab.gallery, evaluate_tab.opened),
            (map_page, map_tab.gallery, map_tab.opened),
        ):
            tab.select(lambda name: name, [search_tab.gallery], [dropdown], **private).then(**opened, **private)
            dropdown.input(lambda name: name, [dropdown], [search_tab.gallery], **private).then(**opened, **private)
    return page


def serve(settings: Settings, block: bool = True) -> tuple[gr.Blocks, Context]:
    """Build the page, start getting ready in the background and serve it; returns at Ctrl+C, or at once."""
    context = Context.create(settings)
    page = build(context)
    context.prepare()
    page.queue(default_concurrency_limit=8)
    page.launch(
        server_name=settings.host,
        server_port=free_port(settings.host, settings.port),
        share=settings.share,
        auth=tuple(settings.auth.split(":", 1)) if settings.auth else None,
        prevent_thread_lock=not block,
        show_error=True,
        max_file_size=MAX_FILE_SIZE,
        theme=theme.theme(),
        css_paths=theme.CSS_PATHS,
        allowed_paths=[str(plotly_path())],
        favicon_path=theme.FAVICON_PATH,
        js=theme.PAGE_JS,
        footer_links=["api"],
        ssr_mode=False,
        pwa=False,
    )
    return page, context


def free_port(host: str, wanted: int) -> int:
    """``wanted``, or the first free port after it. Raises OSError when twenty in a row are taken."""
    for port in range(wanted, wanted + PORTS_TRIED):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return port
    raise OSError(f"ports {wanted} to {wanted + PORTS_TRIED - 1} are all taken; give another with --port")
