"""Fixtures that most tests share."""

from __future__ import annotations

import gc
import os
import signal
from pathlib import Path

if gc.isenabled():  # not until all tests are imported, with all that they need: that stays
    gc.disable()
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.pop("SSL_CERT_FILE", None)
os.environ["SSL_CERT_DIR"] = str(Path(__file__).parent)  # no authorities: nothing here speaks TLS, and to read some 140
# takes every client 20 ms
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell's background job: servers are stopped by it
    signal.signal(signal.SIGINT, signal.default_int_handler)

import numpy as np
import pytest
from PIL import Image

from tests.support import drawing
from tests.support.galleries import run_index
from unifex.data.demo import Demo
from unifex.gallery.gallery import Gallery
from unifex.gallery.library import Library
from unifex.models.embedder import Embedder


@pytest.fixture(scope="session")
def embedder() -> Embedder:
    """The shipped model."""
    return Embedder.load()


@pytest.fixture(scope="session")
def frozen() -> Embedder:
    """The one of earlier versions, whose backbone is as it came: other necks on it are other models."""
    return Embedder.load("unifex-lite")


@pytest.fixture(scope="session")
def photographs() -> list[Image.Image]:
    """Real photographs that scikit-image and scikit-learn carry."""
    import skimage.data
    from sklearn.datasets import load_sample_images

    arrays = [skimage.data.chelsea(), skimage.data.coffee(), skimage.data.astronaut(), *load_sample_images().images]
    return [Image.fromarray(np.asarray(array)) for array in arrays]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """24 drawn pictures as domain/label/view.png."""
    return drawing.write_folder(tmp_path / "pictures")


@pytest.fixture
def gallery(tmp_path: Path, folder: Path, embedder: Embedder) -> Gallery:
    """A gallery of the drawn pictures."""
    gallery = Gallery.create(tmp_path / "indexes" / "drawn", embedder)
    run_index(gallery, folder)
    return gallery


@pytest.fixture(scope="session")
def demo(tmp_path_factory, embedder: Embedder) -> Path:
    """A folder of galleries with the demo in it, to copy: ``.ci/run``'s, which all processes share, else a new one."""
    from unifex.ui.context import DEMO_GALLERY

    made = Path(os.environ.get("UNIFEX_DEMO", ""), DEMO_GALLERY)
    if made.is_dir():
        return made.parent
    indexes = tmp_path_factory.mktemp("demo") / "indexes"
    run_index(Library(indexes).get_or_create(DEMO_GALLERY, lambda: embedder), Demo())
    return indexes


BROWSER = "tests/browser/"
LONGEST = """measure query address train large_view pages connection jobs grid choosing models filters map_filters
search touch visitors sources login duplicates names uploading hub deep watching zoo attacks stores export milvus
training_run projection cli two_servers gallery arguments app bundle late_answers rest reindexing agent_tools
following row_file backbones crowd item_columns said_and_kept engines console package saved_searches readme settings
ray distributed small_disk""".split()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those in a browser come first, of both the files that take longest: no worker is left with one at the end."""
    place = {f"test_{name}": order for order, name in enumerate(LONGEST)}
    items.sort(key=lambda item: (not item.nodeid.startswith(BROWSER), place.get(item.path.stem, len(place))))


def pytest_collection_finish() -> None:
    """From here on garbage is looked for among what comes."""
    gc.freeze()
    gc.enable()
