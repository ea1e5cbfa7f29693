"""The tools of AI agents, asked for by a client of the Model Context Protocol as agents have one."""

from __future__ import annotations

import asyncio
import base64
import http.server
import io
import json
import threading
from dataclasses import dataclass, field
from types import SimpleNamespace

import httpx
import pytest
from PIL import Image

from tests.support.drawing import encoded, picture, write_folder
from tests.support.galleries import run_index
from tests.support.serving import serve
from tests.support.visiting import Visitor
from unifex.cli import settings
from unifex.core.jobs import Job
from unifex.core.progress import Step
from unifex.gallery.gallery import Gallery
from unifex.ui import agent_tools

pytest.importorskip("mcp")
SEARCHES = ["search_by_picture", "search_by_words", "search_more_like"]
TOOLS = [*SEARCHES, "show_item", "list_galleries", "gallery_facts", "evaluate_gallery"]


@dataclass
class Agent:
    """An agent at a server, which begins anew with every call, as the server's own state does."""

    url: str
    headers: dict[str, str] = field(default_factory=dict)

    def ask(self, question):
        """What a session answers."""
        from mcp import ClientSession
        from mcp.client.streamable_http import streamable_http_client

        async def asked():
            async with (
                httpx.AsyncClient(headers=self.headers, timeout=60) as http,
                streamable_http_client(f"{self.url}gradio_api/mcp", http_client=http) as (read, write, _),
                ClientSession(read, write) as session,
            ):
                await session.initialize()
                return await question(session)

        return asyncio.run(asked())

    def call(self, tool: str, **arguments) -> tuple[list[str], list[Image.Image]]:
        """The texts and pictures of an answer. Raises RuntimeError with the sentence of one that says no."""
        answer = self.ask(lambda session: session.call_tool(tool, arguments))
        texts = [block.text for block in answer.content if block.type == "text"]
        if answer.isError:
            raise RuntimeError("\n".join(texts))
        pictures = [base64.b64decode(block.data) for block in answer.content if block.type == "image"]
        return texts, [Image.open(io.BytesIO(data)) for data in pictures]


def in_words(image: Image.Image) -> str:
    return f"data:image/png;base64,{base64.b64encode(encoded(image)).decode()}"


@pytest.fixture(scope="module")
def base(tmp_path_factory, embedder):
    base = tmp_path_factory.mktemp("agents")
    run_index(Gallery.create(base / "indexes" / "drawn", embedder), write_folder(base / "pictures"))
    return base


@pytest.fixture(scope="module")
def agent(base):
    with serve(base / "indexes", "--mcp") as running:
        yield Agent(running.url)
        assert f"{running.url}gradio_api/mcp/" in (base / "app.log").read_text()


@pytest.fixture(scope="module")
def stranger(base):
    with serve(base / "indexes", "--public", "--mcp", "--rate", "150", log=base / "public.log") as running:
        yield Agent(running.url)


def test_every_tool_and_each_of_its_arguments_is_explained(agent):
    tools = {tool.name: tool for tool in agent.ask(lambda session: session.list_tools()).tools}
    assert list(tools) == [*TOOLS, "index_folder"]
    for tool in tools.values():
        assert len(tool.description) > 40
        assert all(argument["description"] for argument in tool.inputSchema["properties"].values()), tool.name


def test_a_picture_is_found_and_its_hits_can_be_seen(agent, base):
    drawn = base / "pictures/signs/cross/3.png"
    for image in (str(drawn), in_words(picture("signs/cross", 3))):
        (told, *hits), pictures = agent.call("search_by_picture", image=image, gallery="drawn", k=3)
        assert told == "3 hits in gallery 'drawn', of 24 items"
        assert hits[0].startswith("1. similarity 1.000, label cross, domain signs, item ")
        assert hits[0].endswith(f"path signs/cross/3.png, file {drawn}")
        assert [found.size for found in pictures] == [(160, 160)] * 3
    expected = Image.open(drawn).convert("RGB").getpixel((2, 2))
    assert max(abs(a - b) for a, b in zip(pictures[0].getpixel((2, 2)), expected)) < 8


def test_parts_words_and_filters(agent, base):
    def found(tool="search_by_picture", **asked):
        return [hit.partition("path ")[2] for hit in agent.call(tool, k=24, **asked)[0][1:]]

    image = in_words(picture("signs/cross", 3))
    whole, part = found(image=image), found(image=image, region="0.25,0.1,0.75,0.8")
    assert whole != part
    assert whole[0].startswith("signs/cross/3.png")
    assert found(item="signs/cross/3.png")[0].startswith("signs/cross/")
    assert not found(item="signs/cross/3.png")[0].startswith("signs/cross/3.png")
    within = found(image=image, domain="shapes", label="disc\nsquare")
    assert all(hit.startswith("shapes/") for hit in within)
    assert found("search_by_words", words="cross")[0].startswith("signs/cross/")
    assert found(image=image, words="stripes") != whole


def test_many_hits_have_few_pictures(agent):
    texts, pictures = agent.call("search_by_picture", image=in_words(picture("signs/cross", 3)), k=24)
    assert len(pictures) == 10
    assert len(texts[-1].splitlines()) == 14


def test_hits_that_were_judged_lead_on(agent):
    more, less = "signs/stripes/0.png\nsigns/stripes/1.png", "signs/cross/0.png"
    hits = agent.call("search_more_like", more=more, less=less, gallery="drawn", k=4)[0][1:]
    assert all("label stripes" in hit for hit in hits)
    image = in_words(picture("signs/cross", 3))
    assert agent.call("search_more_like", more=more, image=image, gallery="drawn")[0][1:] != hits


def test_what_there_is_and_how_good_it_is(agent):
    assert any(
        line.startswith("drawn: 24 items, unifex-lite") for line in agent.call("list_galleries")[0][0].split("\n")
    )
    (facts,), _ = agent.call("gallery_facts", gallery="drawn")
    assert "items: 24" in facts
    assert "most frequent labels, of 4: cross (6), disc (6), square (6), stripes (6)" in facts
    (told,), (shown,) = agent.call("show_item", item="signs/cross/3.png", gallery="drawn")
    assert "160 x 160 pixels" in told
    assert shown.size == (160, 160)
    measured = json.loads(agent.call("evaluate_gallery", gallery="drawn", dim=64)[0][0])
    assert (measured["queries"], measured["dim"]) == (24, 64)


def test_a_folder_is_indexed(agent, base):
    write_folder(base / "more", views=1)
    (base / "more/broken.png").write_bytes(b"no picture")
    (report,), _ = agent.call("index_folder", folder=str(base / "more"))
    assert report.startswith(
        "gallery 'more': 4 items, 4 added, 0 unchanged, 0 moved, 0 relabelled, 0 removed, 1 refused\n"
        "refused broken.png: "
    )
    assert agent.call("index_folder", folder=str(base / "more"), gallery="more")[0][0].startswith(
        "gallery 'more': 4 items, 0 added, 4 unchanged"
    )
    assert "more: 4 items" in agent.call("list_galleries")[0][0]


def test_folders_of_one_name_are_galleries_of_their_own(agent, base):
    places = ("a/2021.07", "a/2021.08", "b/2021.07", "b/2021.07/", "a/2021.07")
    for place in {place.rstrip("/") for place in places}:
        write_folder(base / place, views=1)
    told = [agent.call("index_folder", folder=f"{base}/{place}")[0][0].partition(",")[0] for place in places]
    names = ("2021.07", "2021.08", "2021.07 2", "2021.07 2", "2021.07")
    assert told == [f"gallery '{name}': 4 items" for name in names]
    assert agent.call("index_folder", folder=f"{base}/b/2021.07", gallery="2021.08")[0][0].startswith(
        "gallery '2021.08': 8 items"
    )


def test_what_takes_long_is_waited_for_in_turns(monkeypatch):
    monkeypatch.setattr(agent_tools, "PATIENCE", 0.01)
    job = Job("1", "", "index", "drawn", "folder", step=Step("embedding", 3, 9))
    (answer,) = asyncio.run(agent_tools.came_of(job, str))
    assert answer["text"].startswith("still at work: embedding, 3 of 9. Call this again")
    job.result, _ = "done", job.finished.set()
    assert asyncio.run(agent_tools.came_of(job, str)) == [{"type": "text", "text": "done"}]
    job.error = TimeoutError(110, "a network drive does not answer")
    with pytest.raises(TimeoutError, match="does not answer"):
        asyncio.run(agent_tools.came_of(job, str))


@pytest.mark.parametrize(
    ("tool", "asked", "said"),
    [
        ("search_by_picture", {}, "give image or item"),
        ("search_by_picture", {"image": "/no/such.png"}, "image: there is no file '/no/such.png' on this computer"),
        ("search_by_picture", {"image": "a\0b"}, "image: there is no file"),
        ("search_by_picture", {"image": "iVBORw0KGgo" * 1000}, "image: there is no file"),
        ("search_by_picture", {"image": "~nobody-of-that-name/a.png"}, "image: there is no file"),
        ("search_by_picture", {"image": __file__}, "test_agent_tools.py: not an image"),
        ("search_by_picture", {"image": "https://example.org/a.png"}, "nothing is fetched from an address"),
        ("search_by_picture", {"image": "data:image/png;base64,###"}, "this is not data:image/...;base64,..."),
        ("search_by_picture", {"image": "data:text/html,x"}, "this is not data:image/...;base64,..."),
        ("search_by_picture", {"image": "data:image/png;base64,AAAA"}, "not an image"),
        ("search_by_picture", {"item": "1", "region": "1,2"}, "box"),
        ("search_by_picture", {"item": "none.png"}, "gallery 'drawn' has no item 'none.png'"),
        ("search_by_picture", {"item": "1", "k": 0}, "k must be a whole number, 1 to 1000 hits, not '0'"),
        ("search_by_picture", {"item": "1", "k": "many"}, "'many' is not of type 'integer'"),
        ("search_by_picture", {"item": "1", "tag": "none"}, "tag"),
        ("search_by_words", {}, "'words' is a required property"),
        ("search_by_words", {"words": " "}, "give 1 to 1000 characters of words"),
        ("search_by_words", {"words": "x", "domain": "none"}, "none"),
        ("search_by_words", {"words": "x", "gallery": "none"}, "no gallery 'none' here"),
        ("search_by_words", {"words": "x", "colour": "red"}, "colour"),
        ("search_more_like", {"more": ""}, "no query image given, nor words"),
        ("search_more_like", {"more": "1", "less": "1"}, "marked as more and as less like it"),
        ("show_item", {"item": ""}, "name the item by the id or path"),
        ("evaluate_gallery", {"dim": -1}, "the length of the embeddings must be"),
        ("index_folder", {"folder": ""}, "nothing to add yet"),
        ("index_folder", {"folder": "/no/such"}, "'/no/such' does not exist"),
        ("index_folder", {"folder": "/no/such", "gallery": "../x"}, "/no/such"),
        ("nothing", {}, "Unknown tool"),
    ],
)
def test_bad_input_is_one_sentence(agent, tool, asked, said):
    with pytest.raises(RuntimeError) as refused:
        agent.call(tool, **({"gallery": "drawn"} | asked if tool.startswith(("search", "show")) else asked))
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert str(refused.value) != repr(str(refused.value)[1:-1])  # as Gradio puts its errors


# --- a public server ---------------------------------------------------------------------------------------------


def test_strangers_search_and_are_told_no_place(stranger, base):
    assert [tool.name for tool in stranger.ask(lambda session: session.list_tools()).tools] == TOOLS
    texts, pictures = stranger.call(
        "search_by_picture", image=in_words(picture("signs/cross", 3)), gallery="drawn", k=2
    )
    assert texts[1].endswith("path signs/cross/3.png")
    assert len(pictures) == 2
    assert str(base) not in "".join(texts)
    assert "unfinished" not in stranger.call("gallery_facts", gallery="drawn")[0][0]
    assert "mmp5" in stranger.call("evaluate_gallery", gallery="drawn")[0][0]
    with pytest.raises(RuntimeError, match="Unknown tool"):
        stranger.call("index_folder", folder=str(base / "pictures"))


def test_strangers_read_no_file_and_no_address(stranger, base):
    asked = []

    class Inside(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)

    with http.server.HTTPServer(("127.0.0.1", 0), Inside) as inside:
        threading.Thread(target=inside.serve_forever, daemon=True).start()
        places = [
            "/etc/passwd",
            str(base / "pictures/signs/cross/3.png"),
            f"http://127.0.0.1:{inside.server_port}/a.png",
        ]
        for place in [*places, f"file://{places[1]}", f"{stranger.url}gradio_api/file={places[1]}"]:
            for tool, further in (("search_by_picture", {}), ("search_more_like", {"more": "1"})):
                with pytest.raises(RuntimeError, match="no path or address is read"):
                    stranger.call(tool, image=place, **further)
        inside.shutdown()
    assert not asked


def test_an_upload_is_searched_with_by_who_sent_it(stranger):
    data = encoded(picture("signs/cross", 3))
    sent = httpx.post(f"{stranger.url}gradio_api/upload", files={"files": ("a b.png", data)}).json()[0]
    for image in (
        sent,
        f"{stranger.url}gradio_api/file={sent.replace(' ', '%20')}",
    ):  # as gradio's upload tool tells it
        assert "signs/cross/3.png" in stranger.call("search_by_picture", image=image, gallery="drawn")[0][1]
    visitor = Visitor(stranger.url)
    others = Agent(stranger.url, {"cookie": f"unifex_visitor={visitor.http.cookies['unifex_visitor']}"})
    with pytest.raises(BaseExceptionGroup) as refused:
        others.call("search_by_picture", image=sent, gallery="drawn")
    assert refused.group_contains(httpx.HTTPStatusError, match="403")


def test_a_visitors_agent_sees_the_visitors_galleries(stranger):
    visitor = Visitor(stranger.url)
    visitor.index(
        "mine", {f"{label}/{n}.png": encoded(picture(f"signs/{label}", n)) for label in ("cross",) for n in (1, 2)}
    )
    its_own = Agent(stranger.url, {"cookie": f"unifex_visitor={visitor.http.cookies['unifex_visitor']}"})
    assert "mine: 2 items" in its_own.call("list_galleries")[0][0]
    assert "mine" not in stranger.call("list_galleries")[0][0]


def test_nothing_else_is_open_and_requests_count(stranger):
    place = f"{stranger.url}gradio_api/mcp"
    headers = {"accept": "application/json, text/event-stream"}
    with httpx.Client(headers=headers) as http:

        def ask(method, **params):
            asked = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
            return http.post(place, json=asked)

        for method in ("prompts/get", "prompts/list", "resources/read", "resources/list", "logging/setLevel"):
            assert "error" in ask(method, name="x", uri="x:y").text, method
        assert http.get(place).status_code == 405
        assert "mcpServers" in http.get(place, headers={"accept": "text/html"}).text
        for path in ("/schema", "/sse", "/messages/", "/http"):
            assert http.get(place + path).status_code == 404
            assert http.post(place + path, json={}).status_code == 404
        assert http.post(place, json={}, headers={"origin": "https://evil.example"}).status_code == 403
        assert 429 in {ask("ping").status_code for _ in range(151)}


def test_who_may_change_nothing_indexes_nothing():
    from unifex.ui.tool_server import tools_page

    app = SimpleNamespace(settings=SimpleNamespace(public=False, read_only=True))
    assert [function.api_name for function in tools_page(app).fns.values()] == TOOLS


def test_where_a_password_is_asked_for_it_is_asked_of_agents():
    from unifex.ui.tool_server import ToolServer

    class Refused(ToolServer):
        def __init__(self):
            pass

    async def app(scope, receive, send):
        scope["app"] = SimpleNamespace(auth={"me": "secret"}, cookie_id="x", tokens={"t": "me"})
        await Refused()(scope, receive, send)

    async def status(cookies, method="DELETE"):
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://a", cookies=cookies) as http:
            return (await http.request(method, "/gradio_api/mcp")).status_code

    assert asyncio.run(status({}, "POST")) == 401
    assert asyncio.run(status({"access-token-x": "t"})) == 405


def test_without_the_extra_its_remedy_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "find_spec", lambda name: None)
    monkeypatch.setenv("UNIFEX_LIBRARY", str(tmp_path))
    assert not settings.read_settings([]).mcp
    with pytest.raises(SystemExit, match=r"--mcp: .*pip install 'unifex\[mcp\]'"):
        settings.read_settings(["--mcp"])
    monkeypatch.setenv("UNIFEX_MCP", "1")
    with pytest.raises(SystemExit, match=r"pip install 'unifex\[mcp\]'"):
        settings.read_settings([])
