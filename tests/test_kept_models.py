"""A gallery keeps the model that it was made with, wherever that came from."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.support.galleries import make_model, run_index
from unifex.core.progress import finish
from unifex.gallery.gallery import Gallery
from unifex.gallery.library import Library
from unifex.gallery.other_backbone import index_anew
from unifex.models.embedder import Embedder, ModelError


@pytest.fixture
def elsewhere(tmp_path, frozen) -> Path:
    """A model's folder that is in no library."""
    make_model(frozen, "mine").save(tmp_path / "elsewhere" / "mine")
    return tmp_path / "elsewhere" / "mine"


def unifex(*arguments: str, at: Path) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", "unifex", *arguments], cwd=at, capture_output=True, text=True)


def test_a_gallery_made_with_a_model_by_its_path_is_found_by_every_later_command(tmp_path, folder, elsewhere):
    at = ("--gallery", "drawn", "--library", str(tmp_path / "indexes"))
    made = unifex("index", str(folder), *at, "--model", str(elsewhere), at=Path.cwd())
    assert made.returncode == 0, made.stderr
    shutil.rmtree(elsewhere)
    for command in ("info", "evaluate", "search"):
        named = ("drawn", *at[2:]) if command == "info" else at
        pictures = [str(next(folder.rglob("*.png")))] if command == "search" else []
        assert (told := unifex(command, *pictures, *named, at=Path.cwd())).returncode == 0, told.stderr
    assert Gallery.open(tmp_path / "indexes" / "drawn").embedder.name == "mine"


def test_so_is_one_that_was_given_a_model_later(tmp_path, folder, frozen, elsewhere):
    library = Library(tmp_path / "indexes")
    gallery = library.get_or_create("drawn", lambda: frozen)
    run_index(gallery, folder)
    expected = finish(library.use("drawn", Embedder.load(str(elsewhere)))).snapshot().embeddings
    shutil.rmtree(elsewhere)
    assert np.array_equal(Gallery.open(gallery.folder).snapshot().embeddings, expected)


def test_so_is_one_that_is_indexed_anew_with_another(tmp_path, folder, frozen, embedder, elsewhere):
    library = Library(tmp_path / "indexes")
    run_index(library.get_or_create("drawn", lambda: embedder), folder)
    made = finish(index_anew(library, "drawn", "anew", Embedder.load(str(elsewhere))))
    shutil.rmtree(elsewhere)
    assert Gallery.open(made.folder).embedder.name == "mine"
    with pytest.raises(ModelError, match="another model"):
        finish(index_anew(library, "drawn", "third", make_model(frozen, "mine", dims=(16, 32))))
    assert library.names() == ["anew", "drawn"]


def test_two_models_of_one_name_are_not_mixed_up(tmp_path, folder, frozen, elsewhere):
    library = Library(tmp_path / "indexes")
    library.get_or_create("first", lambda: Embedder.load(str(elsewhere)))
    library.get_or_create("second", lambda: Embedder.load(str(elsewhere)))
    other = make_model(frozen, "mine", dims=(16, 32))
    for shadowing in (other, make_model(frozen, "unifex-lite")):
        with pytest.raises(ModelError, match="another model"):
            Gallery.create(library.folder / "third", shadowing)
        with pytest.raises(ModelError, match="another model"):
            finish(library.use("first", shadowing))
    assert {entry.name for entry in library.folder.iterdir() if entry.is_dir()} == {"first", "second", "models"}


@pytest.mark.parametrize("name", ["", "..", "../mine", "a/b", "a\\b", "C:mine"])
def test_a_models_name_leads_nowhere_else(tmp_path, frozen, name):
    with pytest.raises(ModelError, match="cannot be kept"):
        Gallery.create(tmp_path / "indexes" / "drawn", make_model(frozen, name))
    assert not (tmp_path / "indexes").exists()


def test_what_is_there_anyway_is_not_kept_again(tmp_path, embedder):
    for name, model in (("bundled", embedder), ("raw", Embedder.raw("lite0"))):
        Gallery.create(tmp_path / "indexes" / name, model)
    assert not (tmp_path / "indexes" / "models").exists()
