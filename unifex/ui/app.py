"""The page: header and tabs. Adding a tab is one import and one line here."""

from __future__ import annotations

import os
import socket

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # before gradio is imported: nothing is reported

import gradio as gr

from unifex.settings import Settings
from unifex.ui import html, theme
from unifex.ui.context import Context
from unifex.ui.endpoints import add_endpoints
from unifex.ui.gallery_tab import GalleryTab
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
        with gr.Tabs():
            with gr.Tab("Search", id="search"):
                search_tab = SearchTab(context)
                search_tab.build()
            with gr.Tab("Gallery", id="gallery"):
                gallery_tab = GalleryTab(context)
                gallery_tab.build()
        gallery_tab.wire(search_tab.gallery)
        add_endpoints(context)

        def show_header() -> tuple[str, dict]:
            """-> header, and the ticker that stops when the model is ready."""
            ready = context.ready.is_set()
            return html.header(context.embedder.name, context.state, not ready), gr.update(active=not ready)

        private = {"show_progress": "hidden", "api_visibility": "private"}
        names = [gallery_tab.name, gallery_tab.gallery], [gallery_tab.gallery, search_tab.gallery]
        chosen = [search_tab.query, search_tab.gallery], [search_tab.query, search_tab.domains]
        start = [search_tab.query, search_tab.gallery, search_tab.k, search_tab.domains, search_tab.min_score]
        shown = [search_tab.status, search_tab.grid]
        facts = [gallery_tab.gallery], [gallery_tab.facts, gallery_tab.resume]
        for shown_now in (
            page.load(show_header, None, [header, ticker], **private),
            ticker.tick(show_header, None, [header, ticker], **private),
        ):
            (
                shown_now.then(gallery_tab.refresh, *names, **private)
                .then(search_tab.choose_gallery, *chosen, **private)
                .then(search_tab.show, start, shown, **private)
                .then(gallery_tab.show_facts, *facts, **private)
            )
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
        css_paths=theme.CSS_PATH,
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
