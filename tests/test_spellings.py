"""Names as a Mac writes them, where letters with marks are two characters."""

import unicodedata

import pytest

from tests.support.drawing import encoded, picture
from tests.support.galleries import run_index
from unifex.gallery.errors import GalleryError
from unifex.gallery.gallery import Gallery
from unifex.gallery.library import Library

COMPOSED, APART = (unicodedata.normalize(form, "Übung") for form in ("NFC", "NFD"))


@pytest.mark.parametrize("asked", [COMPOSED, APART])
def test_a_gallery_is_opened_renamed_and_deleted_however_its_folder_is_spelled(tmp_path, embedder, asked):
    Gallery.create(tmp_path / "new", embedder)
    (tmp_path / "new").rename(tmp_path / APART)
    library = Library(tmp_path, builtin=Library(tmp_path / "none"))
    (name,) = library.names()
    assert library.get(asked).name == library.get_or_create(asked, lambda: embedder).name == name
    assert Library(tmp_path / "own", builtin=library).get(asked).name == name
    with pytest.raises(GalleryError, match="already"):
        library.rename(asked, COMPOSED)
    assert library.rename(asked, "plain").name == "plain"
    library.rename("plain", APART)
    library.delete(asked)
    assert library.names() == []


@pytest.mark.parametrize("written", [COMPOSED, APART])
def test_an_item_is_found_however_its_path_is_spelled(tmp_path, embedder, written):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / f"{written}.png").write_bytes(encoded(picture("signs/cross", 1)))
    gallery = Gallery.create(tmp_path / "drawn", embedder)
    run_index(gallery, tmp_path / "pictures")
    for name in (f"{COMPOSED}.png", gallery.records([1])[0].uri):
        asked = [unicodedata.normalize(form, name) for form in ("NFC", "NFD")]
        assert list(gallery.find(asked).values()) == [[1], [1]]
    assert gallery.item_at(f"{APART}.png").id == gallery.item_at(f"{COMPOSED}.png").id == 1


def test_of_a_gallery_that_is_a_link_the_link_is_deleted(tmp_path, embedder):
    disk, library = tmp_path / "disk", Library(tmp_path / "library")
    Gallery.create(disk, embedder)
    library.folder.mkdir()
    (library.folder / "linked").symlink_to(disk)
    assert library.names() == ["linked"]
    assert library.delete("linked") == disk.resolve()
    assert Gallery.open(disk).name == "disk"
    Gallery.create(library.folder / "linked", embedder)
    assert library.delete("linked") is None
    assert list(library.folder.iterdir()) == []
    assert Gallery.open(disk).name == "disk"
