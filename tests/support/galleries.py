"""Galleries as tests make them."""

from __future__ import annotations

from pathlib import Path

from unifex.core.progress import finish
from unifex.gallery.gallery import Gallery
from unifex.gallery.indexing import IndexReport, index


def run_index(gallery: Gallery, source, **options) -> IndexReport:
    """Index to the end; the report."""
    return finish(index(gallery, source if not isinstance(source, Path) else str(source), **options))
