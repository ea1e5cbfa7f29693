"""The Dockerfile, read; `.ci/container` builds and runs it where there is Docker. Its question is asked in earnest."""

import http.server
import json
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.support.serving import ROOT
from unifex.cli.settings import Settings

TEXT = (ROOT / "Dockerfile").read_text().replace("\\\n", "")
LINES = [line.partition(" ") for line in TEXT.splitlines() if line and not line.startswith("#")]


def said(instruction: str) -> list[str]:
    """What follows an instruction, each time that it stands there."""
    return [rest for name, _, rest in LINES if name == instruction]


def test_it_serves_the_page_as_nobody_in_particular_and_keeps_what_is_made():
    (user,), (volume,), (port,) = said("USER"), said("VOLUME"), said("EXPOSE")
    assert user not in ("root", "0")
    assert f"install -d -o {user} -g {user} {volume}" in said("RUN")[0]
    variables = dict(word.split("=", 1) for word in " ".join(said("ENV")).split())
    assert variables["UNIFEX_HOME"] == volume
    assert Path(variables["HF_HOME"]).is_relative_to(volume)
    assert int(port) == Settings.port
    assert json.loads(said("CMD")[0]) == ["python", "app.py", "--host", "0.0.0.0"]
    names = [name for name, _, _ in LINES]
    assert names.index("USER") > max(at for at, name in enumerate(names) if name in ("COPY", "RUN"))
    assert Settings.host == "127.0.0.1"  # of the container alone


def test_its_python_is_the_spaces():
    python = re.search(r'^python_version: "(.+)"$', (ROOT / "README.md").read_text(), re.M)[1]
    assert said("FROM") == [f"python:{python}-slim"]


def test_what_is_copied_is_there_and_all_else_is_kept_out():
    copied = {source for line in said("COPY") for source in line.split()[:-1]}
    assert all((ROOT / source).exists() for source in copied)
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert {rule[1:] for rule in rules if rule.startswith("!")} == copied
    assert {"unifex", "assets", "app.py", "requirements.txt"} <= copied


def test_the_readme_builds_and_runs_it():
    readme = (ROOT / "README.md").read_text()
    (volume,), (port,) = said("VOLUME"), said("EXPOSE")
    assert f"docker build -t unifex . && docker run -p 127.0.0.1:{port}:{port} -v unifex:{volume} unifex" in readme


@pytest.mark.parametrize("status", [200, 404])
def test_it_is_healthy_when_the_page_says_so(status, monkeypatch):
    asked = []

    class Health(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *arguments):
            pass

    program = json.loads(said("HEALTHCHECK")[0].partition("CMD ")[2])
    assert program[0] == "python"  # there is no curl in it
    monkeypatch.setenv("UNIFEX_HEALTH_TOKEN", "a b&c")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with http.server.HTTPServer(("127.0.0.1", 0), Health) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("UNIFEX_PORT", str(server.server_port))
        done = subprocess.run([sys.executable, *program[1:]], capture_output=True)
        server.shutdown()
    assert done.returncode == (status != 200), done.stderr
    assert asked == ["/health?token=a%20b%26c"]
    if status == 200:
        assert subprocess.run([sys.executable, *program[1:]], capture_output=True).returncode == 1  # nobody is there
