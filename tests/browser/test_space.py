"""The repository as a Hugging Face Space: only what is tracked, only requirements.txt, no settings, no network.

``UNIFEX_SPACE_PYTHON`` is an interpreter that has requirements.txt installed and nothing else; ``.ci/run`` makes one.
Without it the tests' own serves. What a first start makes, graph and demo, ``.ci/run`` has made with that interpreter:
where it is there (``UNIFEX_CACHE``, ``UNIFEX_DEMO``), it lies in the bucket.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.support.browsing import drop, first_hit, go_to, upload
from tests.support.drawing import LABELS, encoded, picture
from tests.support.serving import ROOT, serve

pytestmark = pytest.mark.browser
NOWHERE = "http://127.0.0.1:9"
PYTHON = os.environ.get("UNIFEX_SPACE_PYTHON") or sys.executable
FIGURES = {
    f"figures/{label.replace('/', '-')}/{view}.png": encoded(picture(label, view))
    for label in LABELS
    for view in range(4)
}


@pytest.fixture(scope="module")
def layout(tmp_path_factory) -> Path:
    """What the platform clones."""
    root = tmp_path_factory.mktemp("space") / "app"
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    for name in filter(None, tracked.split("\0")):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, root / name)
    return root


@pytest.fixture
def start(layout, tmp_path):
    """Starts the Space as the platform does; the bucket that is mounted stays from start to start."""

    def started():
        variables = {
            "SPACE_ID": "somebody/unifex", "SYSTEM": "spaces", "GRADIO_SERVER_NAME": "127.0.0.1",
            "UNIFEX_HOME": str(tmp_path / "bucket"), "UNIFEX_LIBRARY": None, "UNIFEX_CACHE": None,
            "GRADIO_ANALYTICS_ENABLED": None, "HF_HUB_OFFLINE": None, "HF_ENDPOINT": NOWHERE,
            "HTTP_PROXY": NOWHERE, "HTTPS_PROXY": NOWHERE, "NO_PROXY": "127.0.0.1,localhost",
            "HOME": str(tmp_path / "home"), "XDG_CACHE_HOME": None,
        }  # fmt: skip
        for name, made in (("cache", "UNIFEX_CACHE"), ("indexes", "UNIFEX_DEMO")):
            if made in os.environ and not (tmp_path / "bucket" / name).exists():
                shutil.copytree(os.environ[made], tmp_path / "bucket" / name)
        (tmp_path / "bucket").mkdir(exist_ok=True)
        log = dict(expect_clean_log=False, log=tmp_path / "log")  # the platform's own package leaves traces there
        return serve(tmp_path / "unused", environment=variables, root=layout, python=PYTHON, **log)

    return started


@pytest.mark.slow
def test_a_duplicated_space_starts_serves_visitors_and_keeps_what_is_in_its_bucket(start, open_page, tmp_path):
    with start() as server:
        page = open_page(server.url)
        expect(page.locator("#search-gallery input")).to_have_value("demo (synthetic)")
        expect(page.locator("#hits .card").first).to_be_visible()
        upload(page, "figures", FIGURES)
        go_to(page, "Search")
        drop(page, "#query-image button", {"cross.png": encoded(picture("signs/cross", 60))})
        expect(page.locator("#search-status")).to_contain_text("among 16 items of figures")
        expect(first_hit(page)).to_contain_text("cross")
        page.close()
    kept = sorted(path.name for path in (tmp_path / "bucket").iterdir())
    assert kept == ["cache", "indexes"]
    with start() as server:
        page = open_page(server.url)
        expect(page.locator("#search-gallery input")).to_have_value("demo (synthetic)")
        page.close()
        assert not list((tmp_path / "home").rglob("*.xml")), "caches belong into the bucket"
    assert len(list((tmp_path / "bucket" / "indexes" / ".visitors").glob("*/figures/gallery.json"))) == 1
    assert "app/unifex/" not in (tmp_path / "log").read_text()
