"""A visitor of a public server over raw HTTP: what the page does, and what it would never do."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass, field
from typing import Any

import httpx


@dataclass
class Visitor:
    """One browser. ``cookies=False``: one that keeps none; ``token``: the cookie that it brings."""

    url: str
    cookies: bool = True
    session: str = field(default_factory=lambda: secrets.token_hex(6))
    token: str = ""

    def __post_init__(self) -> None:
        self.http = httpx.Client(base_url=self.url, timeout=60, verify=False)  # certificates take a while to read
        if self.token:
            self.http.cookies.set("unifex_visitor", self.token)
        self.http.get("/")
        if not self.cookies:
            self.http.cookies.clear()
        self.config = self.http.get("/config").json()
        parts = self.config["components"]
        self._ids = {name: part["id"] for part in parts if (name := part["props"].get("elem_id"))}
        self._values = {part["id"]: part["props"].get("value") for part in parts}

    def upload(self, data: bytes, name: str = "query.jpg") -> str:
        """Where the server put it. Raises ``httpx.HTTPStatusError``."""
        answer = self.http.post("/gradio_api/upload", files={"files": (name, data)})
        return answer.raise_for_status().json()[0]

    def show(self, path: str, **options) -> httpx.Response:
        """What the server gives for a file's address."""
        return self.http.get(f"/gradio_api/file={path}", **options)

    def listeners(self, element: str, event: str) -> list[dict]:
        """What the server does at an event of a component of the page."""
        target = [self._ids[element], event]
        return [one for one in self.config["dependencies"] if target in one["targets"] and one["backend_fn"]]

    def fire(self, element: str, event: str, *data: Any, event_data: Any = None, which: int = 0) -> list[Any]:
        """Run a listener of the page to its end; what it gave last. Raises RuntimeError with the server's sentence.

        ``data``: what its first fields hold; the others are as they stand.
        """
        listener = self.listeners(element, event)[which]
        standing = [self._values.get(identity) for identity in listener["inputs"][len(data) :]]
        asked = {
            "data": [*data, *standing],
            "event_data": event_data,
            "fn_index": listener["id"],
            "session_hash": self.session,
            "trigger_id": self._ids[element],
        }
        return self.join(asked)

    def press(self, element: str, fields: dict[str, Any] | None = None) -> list[Any]:
        """Click as the page does, with all fields as they stand, and with what follows; what the click gave last."""
        self._values.update({self._ids[name]: value for name, value in (fields or {}).items()})
        listener = self.listeners(element, "click")[0]
        given = self._run(listener, self._ids[element])
        while listener := next((n for n in self.config["dependencies"] if n["trigger_after"] == listener["id"]), None):
            if listener["backend_fn"]:
                self._run(listener)
        return given

    def _run(self, listener: dict, trigger: int | None = None) -> list[Any]:
        fields = [self._values.get(identity) for identity in listener["inputs"]]
        asked = {"data": fields, "fn_index": listener["id"], "session_hash": self.session, "trigger_id": trigger}
        given = self.join(asked)
        for identity, value in zip(listener["outputs"], given):
            changes = value if isinstance(value, dict) and value.get("__type__") == "update" else {"value": value}
            self._values[identity] = changes.get("value", self._values.get(identity))
        return given

    def join(self, asked: dict) -> list[Any]:
        """Queue a request and wait for its result."""
        event = self.http.post("/gradio_api/queue/join", json=asked).raise_for_status().json()["event_id"]
        with self.http.stream("GET", "/gradio_api/queue/data", params={"session_hash": self.session}) as stream:
            stream.raise_for_status()
            for line in stream.iter_lines():
                message = json.loads(line.removeprefix("data: ")) if line else {}
                if message.get("msg") == "process_completed" and message.get("event_id") == event:
                    if not message["success"]:
                        raise RuntimeError(str(message["output"]))
                    return message["output"]["data"]
        raise RuntimeError("the stream ended")

    def call(self, name: str, *data: Any) -> Any:
        """A named endpoint, in this browser's session; what ``data`` leaves out is as it stands.

        Raises RuntimeError with the endpoint's sentence.
        """
        endpoint = next(one for one in self.config["dependencies"] if one["api_name"] == name)
        standing = [self._values.get(identity) for identity in endpoint["inputs"][len(data) :]]
        return self.join({"data": [*data, *standing], "fn_index": endpoint["id"], "session_hash": self.session})[0]

    def galleries(self) -> list[str]:
        """Names of the galleries that this visitor sees."""
        return [gallery["name"] for gallery in self.call("galleries")["galleries"]]

    def index(self, name: str, files: dict[str, bytes]) -> str:
        """Drop files on the page and press Start; the report, as the page shows it."""
        places = [[self.upload(data, path.rpartition("/")[2]), path] for path, data in files.items()]
        notice = self.drop(name, places)
        return notice if 'role="alert"' in notice else self.start("", name)

    def drop(self, name: str, places: list[list[str]]) -> str:
        """Drop what was uploaded, [where it is, path in what is dropped] each, for a gallery; the notice."""
        return self.fire("drop", "upload", name, "", event_data={"files": places})[-1]

    def confirm(self, element: str, *data: Any) -> list[Any]:
        """Press what asks first, and then Yes, with these fields; what that gave."""
        self.fire(f"{element}-ask", "click", *data)
        return self.fire(element, "click", None, None, *data)  # the server knows what it asked, and about what

    def start(self, spec: str, name: str) -> str:
        """Press Start, for a path or for what was dropped; why not, or the report."""
        begun = self.press("start-button", {"source-path": spec, "gallery-name": name})[0]
        return begun or self.outcome("index", "index-progress")[0]

    def train(self, gallery: str, model: str, epochs: int = 3) -> str:
        """Train a neck on a gallery of one's own; the table of what it was and is, as the page shows it."""
        fields = {"train-gallery": gallery, "train-name": model, "train-epochs": epochs}
        return self.press("train-button", fields)[0] or self.trained(gallery)

    def trained(self, gallery: str) -> str:
        """Wait for the training of a gallery; why it ended early, or the table of what the neck was and is."""
        given = self.outcome("train", "train-progress", gallery, None, None, "", None, None)
        shown = dict(zip(self.listeners("train-progress", "input")[0]["outputs"], given))
        return shown[self._ids["train-status"]] or shown[self._ids["train-outcome"]]

    def ask(self, element: str, function: str, data: Any = 0) -> Any:
        """What a function of the server answers that a component of the page may call."""
        asked = {"session_hash": self.session, "component_id": self._ids[element], "fn_name": function, "data": data}
        return self.http.post("/gradio_api/component_server/", json=asked).raise_for_status().json()

    def outcome(self, kind: str, panel: str, *data: Any) -> list[Any]:
        """Wait for the newest job of a kind, as the page does; what its panel shows then."""
        while True:
            mine = [job for job in self.ask("jobs", "jobs")["jobs"] if job["kind"] == kind]
            if mine and mine[-1]["state"] not in ("waiting", "running", "stopping"):
                return self.fire(panel, "input", *data, event_data={})
            time.sleep(0.05)

    def delete(self, gallery: str) -> str:
        """Delete a gallery of one's own; what the page says."""
        return str(self.press("delete-button", {"manage-gallery": gallery, "delete-confirm": gallery})[0])


def as_file(path: str) -> dict:
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


def search(visitor: Visitor, path: str, gallery: str) -> list[dict]:
    return visitor.call("search", as_file(path), gallery, 5)["results"][0]["hits"]
