"""Galleries as tests make them."""

from __future__ import annotations

from pathlib import Path

from unifex.gallery.gallery import Gallery
from unifex.gallery.indexing import IndexReport, index


def run_index(gallery: Gallery, source, **options) -> IndexReport:
    """Index to the end; the report."""
    *_, report = index(gallery, source if not isinstance(source, Path) else str(source), **options)
    return report
