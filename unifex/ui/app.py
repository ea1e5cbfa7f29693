"""The page: header and tabs. Adding a tab is one import and one line here."""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import gradio as gr
from brotli_asgi import BrotliMiddleware
from fastapi.routing import APIRoute
from gradio.events import Dependency
from gradio.utils import get_upload_folder
from starlette.middleware import Middleware
from starlette.responses import FileResponse
from starlette.routing import BaseRoute

from unifex.cli.settings import Settings
from unifex.core import images, language, metadata, proxies
from unifex.core.address import free_port, in_url, is_open, root, served_at
from unifex.core.errors import UnifexError
from unifex.core.language import say
from unifex.ui import theme
from unifex.ui.chosen_route import chosen_route
from unifex.ui.components.chosen_items import ChosenItems, Elsewhere
from unifex.ui.components.gallery_picker import begins_with
from unifex.ui.components.item_view import ItemView
from unifex.ui.components.job_tray import JobTray
from unifex.ui.components.link_opener import LinkOpener
from unifex.ui.components.search_form import Form
from unifex.ui.components.shared_gallery import share_gallery
from unifex.ui.context import AppContext
from unifex.ui.endpoints import add_endpoints
from unifex.ui.gallery_names import called_now
from unifex.ui.health import health_route
from unifex.ui.item_routes import item_routes
from unifex.ui.listening import Updates, follow, listen, mirror
from unifex.ui.neighbour_routes import neighbour_routes
from unifex.ui.page import Page
from unifex.ui.page_state import Selection, Wish
from unifex.ui.rendering import html
from unifex.ui.rest.api import rest_routes
from unifex.ui.scripts import script_route, words_address
from unifex.ui.server.answer_streams import AnswerStreams
from unifex.ui.server.door import Door, Hosts
from unifex.ui.server.first_paint import FirstPaint
from unifex.ui.server.guard import Guard
from unifex.ui.server.picture_addresses import COMPRESSED
from unifex.ui.server.proxied import Proxied
from unifex.ui.server.stopped_uploads import StoppedUploads, sweep
from unifex.ui.tabs.evaluate_tab import EvaluateTab
from unifex.ui.tabs.gallery_tab import GalleryTab
from unifex.ui.tabs.map_tab import MapTab
from unifex.ui.tabs.search_tab import SearchTab
from unifex.ui.tabs.train_tab import TrainTab
from unifex.ui.view import View

if TYPE_CHECKING:
    from unifex.ui.tool_server import ToolServer

BROTLI_QUALITY = 5  # a tenth less than gzip's best, and quicker; events are compressed one by one
SESSIONS = 500  # of pages that are open; Gradio keeps 0.4 MB of each, also of those that were closed
MAX_FILE_SIZE = "20gb"
CACHE_CHECK_SECONDS, CACHE_AGE_SECONDS = 3600, 24 * 3600
_OPEN = (
    "whoever reaches this computer, or knows the link, sees and changes the galleries here: "
    "give --auth USER:PASSWORD, or --public for strangers"
)
# An address that is being opened says which gallery it is: an answer for the one before would come after that.
_UNLESS_OPENING = """(...chosen) =>
  (window.unifex?.isOpening ? unifex.isOpening() : location.hash.length > 1) ? [null, null] : chosen"""
log = logging.getLogger("unifex")


def build(context: AppContext) -> Page:
    """The whole app, not yet served."""
    with Page(
        title="UniFEx", analytics_enabled=False, fill_width=True, delete_cache=(CACHE_CHECK_SECONDS, CACHE_AGE_SECONDS)
    ) as page:
        app = _Tabs(context)
        with gr.Row(elem_id="top"):
            header = gr.HTML(html.header(context.embedder.name, context.state, busy=True), elem_id="header")
            app.tray.build()
        app.item_view.build()
        app.chosen.build()
        app.opener.build()
        with gr.Tabs(elem_id="tabs") as app.bar:
            with gr.Tab(say("Search"), id="search"):
                app.search.build()
            with gr.Tab(say("Gallery"), id="gallery") as gallery_page:
                app.gallery.build()
            with gr.Tab(say("Evaluate"), id="evaluate") as evaluate_page:
                app.evaluate.build()
            with gr.Tab(say("Map"), id="map") as map_page:
                app.map.build()
            with gr.Tab(say("Train"), id="train") as train_page:
                app.train.build()
        app.share_galleries(gallery_page, evaluate_page, map_page, train_page)
        app.gallery.wire([app.search.gallery, app.evaluate.gallery, app.map.gallery, app.train.gallery])
        app.gallery.duplicates.wire(app.gallery.gallery, app.item_view.corrected)
        app.train.wire()
        visited = app.opener.wire(app.search.fill, app.search.filled, app.search.address, app.search.form)
        add_endpoints(context)
        app.get_ready(page, header)
        listen(page.load, app.gallery.visit.show, None, app.gallery.visit.shown)
        listen(page.load, app.train.switch.begin_to_tell, None, [app.train.switch.told])
        app.search_from_elsewhere(map_page)
        app.follow_the_model()
        app.follow_corrections(evaluate_page)
        app.share_filters(visited)
    page.begins_with = lambda: dict.fromkeys((picker._id for picker in app.gallery.dropdowns), begins_with(context))
    return page


class _Tabs:
    """All tabs, and what one does to another."""

    def __init__(self, context: AppContext):
        self.context = context
        self.bar: gr.Tabs
        self.item_view = ItemView(context)
        self.search, self.map = SearchTab(context, self.item_view), MapTab(context, self.item_view)
        self.evaluate, self.gallery = EvaluateTab(context, self.item_view), GalleryTab(context)
        self.chosen, self.opener = ChosenItems(context), LinkOpener(context)
        self.train = TrainTab(context, self.item_view, self.gallery)
        resume = {"index": self.gallery.jobs.resume, "train": self.train.jobs.resume}
        self.tray = JobTray(context, resume, self.gallery.jobs.holds_nothing, self.gallery.jobs.give_up)

    def get_ready(self, page: Page, header: gr.HTML) -> None:
        """The header tells what the server is doing; galleries appear as they are made."""
        count = len(self.gallery.dropdowns)

        def show(view: str, *values: Any) -> Updates:
            """(filters of the pictures, every tab's gallery, what the search's form holds) -> :attr:`switched`, header,
            the galleries that there are, what is shown of the chosen one, the form where its gallery has another name
            by now."""
            chosen = values[:count]
            news, busy = self.context.news, not self.context.ready.is_set()  # in this order: what changes is told again
            missed = self.opener.miss(chosen[self.gallery.dropdowns.index(self.search.gallery)])
            return {
                self.switched: self.context.jobs.last_ended(self.context.owner, "use"),
                header: html.header(self.context.embedder.name, self.context.state, busy, news),
                **self.gallery.offer(*chosen),
                **self._called_now(Form(*values[count:])),
                **self.gallery.show_facts(chosen[0], view),
                **missed,
                **({self.search.unasked: self.context.library.names()[0]} if missed else {}),
            }

        self.switched = gr.State("")  # the last job that changed the model of galleries
        shown = [self.switched, header, *self.gallery.dropdowns, *self.gallery.showing]
        shown += [self.opener.notice, self.search.unasked, *self.search.form[1:]]  # its gallery is among the dropdowns
        known = [self.gallery.view, *self.gallery.dropdowns, *self.search.form]
        news = listen([page.load, self.tray.news.input, self.gallery.renamed.change], show, known, shown)
        offered = [self.search.gallery, self.search.view]
        follow(news, self.search.choose_listed, offered, self.search.chosen, js=_UNLESS_OPENING)

    def _called_now(self, form: Form) -> Updates:
        """The form where its gallery is called otherwise by now: of what is searched nothing is lost."""
        now = called_now(self.context.library, form.gallery)
        moved = vars(form.called(now)) if now and now != form.gallery else {}
        return {getattr(self.search, name): value for name, value in moved.items() if name != "gallery"}

    def search_from_elsewhere(self, map_page: gr.Tab) -> None:
        """Chosen items are searched within; the map shows the query."""
        opened = {self.bar: gr.update(selected="search")}

        def search_within(chosen: Selection) -> Updates:
            """(chosen items) -> the Search tab, and there as :meth:`SearchTab.search_within`."""
            return {**opened, **self.search.search_within(chosen)}

        self._act_on_chosen()
        restricted = [self.bar, self.search.gallery, *self.search.narrowed]
        listen(self.map.within.click, search_within, [self.map.chosen], restricted)
        looked = [map_page.select, self.map.drawing.change, self.map.searched.input]
        listen(looked, self.map.show_query, [self.search.found, self.map.gallery], [self.map.star])

    def _act_on_chosen(self) -> None:
        """Items of any grid become a gallery that is shown, or one that is trained on."""

        def show(name: str) -> Updates:
            return {self.bar: gr.update(selected="gallery"), **self.gallery.choose(name)}

        def train(name: str) -> Updates:
            opened = {self.bar: gr.update(selected="train"), self.train.taken_in: name}
            return {**opened, **self.gallery.choose(name)}

        def locate(name: str, ids: Sequence[int]) -> Updates:
            return {self.bar: gr.update(selected="map"), self.search.gallery: name, **self.map.locate(name, ids)}

        parts = [self.bar, self.train.taken_in, *self.gallery.dropdowns]
        parts += [part for part in self.map.located if part not in parts]
        elsewhere = Elsewhere(show, train, locate, parts)
        self.chosen.wire(self.item_view.corrected, self.search.marks, elsewhere)
        listen(self.search.left_out.unwanted.input, lambda: {self.bar: gr.update(selected="search")}, None, [self.bar])

    def follow_the_model(self) -> None:
        """Galleries are searched with another neck, wherever somebody said so: what was measured and mapped with the
        old one goes; so does what was found, where galleries are listed anew."""
        evaluate = self.evaluate
        drawn = [evaluate.gallery, evaluate.drawn]
        listen(self.switched.change, evaluate.show_job, drawn, evaluate.showing)
        self.map.follow_model([self.switched.change, self.tray.changed.input])

    def follow_corrections(self, page: gr.Tab) -> None:
        """What was relabelled, left out or taken back is shown as it is now, wherever it is shown; ``page``: of the
        evaluation, whose figures may be of before whatever happened."""
        changed = [self.gallery.removal.removed.change, self.gallery.sources.changed.change]
        corrected, evaluate = [self.item_view.corrected.change, *changed], self.evaluate
        anywhere = [*corrected, self.tray.changed.input]  # the map keeps what is compared and looked at
        listen(anywhere, self.search.narrow, [self.search.within, self.search.gallery], self.search.narrowed)
        listen(anywhere, self.gallery.show_facts, self.gallery.asked, self.gallery.showing)
        drawn = [evaluate.gallery, evaluate.drawn, evaluate.before]
        listen([*anywhere, page.select], evaluate.show_corrections, drawn, evaluate.corrected)
        anew = [*anywhere, page.select, evaluate.gallery.change, evaluate.said.start.change]
        listen(anew, evaluate.said.show, evaluate.said.asked, evaluate.said.shown)
        self.map.follow(corrected)

    def share_filters(self, visited: Dependency) -> None:
        """What is filtered by on the map is in the grids of its gallery, too; the map opens with what was set last, and
        has what an address says that is ``visited``."""
        mapped, searched, pictures = self.map.filters, self.search, self.gallery

        def narrow(name: str | None, view: str, hits: str, browsed: str | None, listed: str) -> Updates:
            """(the map's gallery, its filters; those of the hits; gallery whose pictures are shown, its filters) -> the
            same filters for both, and that it is to be searched."""
            try:
                found, seen = (View.parse(of).narrowed_as(View.parse(view)).as_json() for of in (hits, listed))
            except UnifexError:  # no filters, which a page that is as it was made does not say
                return {searched.wish: gr.skip()}
            narrowed: Updates = {searched.view: found, searched.wish: Wish.new()}
            return narrowed | (
                {pictures.view: seen, pictures.looked: str(Wish.new().number)} if browsed == name else {}
            )

        asked = [self.map.gallery, mapped.view, searched.view, *pictures.asked]
        shared = [searched.view, searched.wish, pictures.view, pictures.looked]
        addressed = [searched.gallery, self.map.mapped, mapped.view, searched.view]
        follow(visited, self.map.follow_address, addressed, [mapped.view])
        listen(mapped.view.input, narrow, asked, shared)
        listen(searched.view.change, None, None, [mapped.browsed], js="() => ['']")

    def share_galleries(
        self, gallery_page: gr.Tab, evaluate_page: gr.Tab, map_page: gr.Tab, train_page: gr.Tab
    ) -> None:
        """A tab opens with the gallery that is being searched; what is chosen on it is searched next.

        Before all else that listens: listeners are told one after the other, each after the last one's answer.
        """
        evaluate, mapped, train = self.evaluate, self.map, self.train
        searched = self.search.gallery, self.search.unasked
        share_gallery(gallery_page, self.gallery.gallery, *searched)
        mirror(self.gallery.view.input, self.gallery.view, mapped.filters.browsed)
        opened = share_gallery(evaluate_page, evaluate.gallery, *searched)
        listen(opened, evaluate.choose_gallery, [evaluate.gallery], evaluate.choices)
        opened = share_gallery(map_page, mapped.gallery, *searched)
        asking = [*mapped.asking, self.search.view, mapped.filters.browsed]
        listen(opened, mapped.show_gallery, asking, mapped.showing)
        opened = share_gallery(train_page, train.gallery, *searched)
        listen([*opened, train.taken_in.change], train.show_data, train.asking, train.opening)
        listen(opened, train.show_job, train.shows, train.showing)


def serve(settings: Settings, block: bool = True) -> tuple[Page, AppContext]:
    """Build the page, start getting ready in the background and serve it; returns at Ctrl+C, or at once."""
    # Who may say for whom it asks; uvicorn reads it there. The link's tunnel ends on this computer.
    gc.freeze()  # all that was imported stays: each look through it for what is garbage takes a quarter of a second
    os.environ["FORWARDED_ALLOW_IPS"] = settings.trusted_proxy or ("127.0.0.1" if settings.share else "")
    if settings.public:
        images.set_limits(images.PUBLIC_LIMITS)
        metadata.set_places(False)
    language.speak(settings.language)
    context = AppContext.create(settings)
    hosts = _hosts(settings)
    page = build(context)
    page.queue(default_concurrency_limit=8)
    tools = _tools(context)
    if not settings.public and not settings.auth and (settings.share or is_open(settings.host)):
        log.warning(_OPEN)
    host = served_at(settings.host)
    with proxies.asking_oneself(host):  # Gradio asks its own page whether it is there
        page.launch(
            server_name=in_url(host),
            server_port=free_port(host, settings.port),
            share=settings.share,
            auth=_user_and_password(settings),
            prevent_thread_lock=True,
            show_error=not settings.public,
            state_session_capacity=SESSIONS,
            max_file_size=context.workspaces.limits.bytes if context.workspaces else MAX_FILE_SIZE,
            theme=theme.theme(),
            css_paths=theme.CSS_PATHS,
            favicon_path=theme.FAVICON_PATH,
            js=theme.asset("page.js"),
            footer_links=["api"],
            ssr_mode=False,
            pwa=False,
            i18n=gr.I18n(en={"common.complete": say("done")}),  # Gradio tells a screen reader that word and has none
            mcp_server=False,  # every endpoint of the page would be a tool
            app_kwargs={  # once it is launched it is served: a route that is added later is missing for a moment
                "middleware": [*_middleware(context, hosts), Middleware(FirstPaint, markup=_first_paint(page))],
                "routes": [*_routes(context), *(tools.routes() if tools else [])],
                **({"lifespan": tools.lifespan} if tools else {}),
            },
        )
    if shared := urlsplit(page.share_url or "").hostname:
        hosts.add(shared)
    if tools:  # beside Gradio's own line, which says where the page is
        print(f"* Tools for AI agents (MCP):   {str(page.share_url or page.local_url).rstrip('/')}{tools.path}/")
    context.prepare()
    if block:
        log.info("serving '%s' at %s", settings.library, page.local_url)
        try:
            page.block_thread()
        finally:
            context.close()
            log.info("stopped")
    return page, context


def _routes(context: AppContext) -> list[BaseRoute]:
    """What is served beside the page."""
    return [
        *item_routes(context),
        chosen_route(context),
        *neighbour_routes(context),
        *rest_routes(context),
        script_route(),
        APIRoute("/health", health_route(context), include_in_schema=False),
        APIRoute(f"/{theme.PLOTLY}", lambda: FileResponse(theme.plotly_path()), include_in_schema=False),
    ]


def _tools(context: AppContext) -> ToolServer | None:
    """Where they are asked for; what they need is in no installation but those that ask for it."""
    if not context.settings.mcp:
        return None
    from unifex.ui.tool_server import ToolServer, tools_page

    return ToolServer(tools_page(context))


def _first_paint(page: Page) -> str:
    bar = next(block for block in page.blocks.values() if isinstance(block, gr.Tabs))  # the first: others are in a tab
    return html.first_paint([str(tab.label) for tab in bar.children if isinstance(tab, gr.Tab)], words_address())


def _user_and_password(settings: Settings) -> tuple[str, str] | None:
    if not settings.auth:
        return None
    user, _, password = settings.auth.partition(":")
    return user, password


def _hosts(settings: Settings) -> Hosts:
    """What this server may be called. A Space is called by the name that the platform tells it."""
    space = os.environ.get("SPACE_HOST", ".hf.space") if os.environ.get("SPACE_ID") else ""
    return Hosts([settings.host, space], settings.allowed_hosts.split(","))


def _middleware(context: AppContext, hosts: Hosts) -> list[Middleware]:
    """What every request passes."""
    door = [
        Middleware(BrotliMiddleware, quality=BROTLI_QUALITY, minimum_size=1000, excluded_handlers=[COMPRESSED]),
        Middleware(Proxied, root=root()),
        Middleware(Door, hosts=hosts),
        Middleware(AnswerStreams),
    ]
    if not context.workspaces:
        sweep(Path(get_upload_folder()))
        return [*door, Middleware(StoppedUploads)]
    return [*door, Middleware(Guard, workspaces=context.workspaces, rate=context.settings.rate)]
