"""Gradio's own server of the Model Context Protocol, for the tools of :mod:`unifex.ui.agent_tools` and nothing else.

The tools stand on a page of their own, which nobody opens: what the page that people see asks for is no tool. They are
called within the request that asks for them, so that they know who asks and its limits count.
"""

from __future__ import annotations

from typing import Any

import gradio as gr
from gradio.events import api
from gradio.mcp import GradioMCPServer
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from unifex.core.errors import UnifexError
from unifex.ui.agent_tools import Tools
from unifex.ui.context import AppContext
from unifex.ui.page import Page
from unifex.ui.server.door import check_logged_in, refused
from unifex.ui.server.rates import Refusal

THREADS = 8  # tools at work at once, of all who ask


class ToolError(UnifexError):
    """A sentence for the agent, and nothing around it."""


class ToolPage(Page):
    """What endpoints on it say no to comes as :class:`ToolError`."""

    async def process_api(self, *arguments: Any, **options: Any) -> dict[str, Any]:
        """Raises ``ToolError`` alone."""
        try:
            return await super().process_api(*arguments, **options)
        except gr.Error as error:
            raise ToolError(error.message) from error


def tools_page(app: AppContext) -> ToolPage:
    """The tools of a server. Only on one's own computer are folders indexed."""
    tools = Tools(app)
    offered = [
        tools.search_by_picture, tools.search_by_words, tools.search_more_like, tools.show_item, tools.list_galleries,
        tools.gallery_facts, tools.evaluate_gallery,
    ]  # fmt: skip
    if not app.settings.public and not app.settings.read_only:
        offered.append(tools.index_folder)
    with ToolPage(title="UniFEx", analytics_enabled=False) as page:
        for tool in offered:
            api(tool, api_name=tool.__name__, queue=False)  # a queue would be asked by the server itself, as nobody
    page.max_threads = THREADS
    page.create_limiter()
    return page


class ToolServer(GradioMCPServer):
    """An ASGI application: the endpoints of one page as tools, whose answers are blocks already."""

    path = "/gradio_api/mcp"

    def create_mcp_server(self) -> Any:
        """The ``mcp.server.Server``, without what is no tool: prompts and resources would be asked for over HTTP,
        wherever a request says that this server is."""
        server = super().create_mcp_server()
        served = {self.types.PingRequest, self.types.ListToolsRequest, self.types.CallToolRequest}
        for request in set(server.request_handlers) - served:
            del server.request_handlers[request]
        return server

    def postprocess_output_data(self, data: Any, _root_url: str) -> list[Any]:
        """The blocks that a tool answered, as ``mcp.types`` has them."""
        kinds = {"text": self.types.TextContent, "image": self.types.ImageContent}
        return [kinds[block["type"]].model_validate(block) for block in data[0]]

    def routes(self) -> list[BaseRoute]:
        """Where it is; the page's own server begins and ends it by its ``lifespan``."""
        return [Route(path, self, include_in_schema=False) for path in (self.path, f"{self.path}/")]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; a browser that looks in is told how to connect. Nothing is told unasked, by a stream."""
        request = Request(scope, receive)
        try:
            check_logged_in(request)
        except Refusal as refusal:
            await refused(refusal)(scope, receive, send)
            return
        looking = request.method == "GET" and "text/event-stream" not in request.headers.get("accept", "")
        if looking or request.method == "POST":
            await self.handle_streamable_http(scope, receive, send)
        else:
            await Response(status_code=405, headers={"Allow": "GET, POST"})(scope, receive, send)
