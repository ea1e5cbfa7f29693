"""``index --watch``: a gallery follows its folder until Ctrl+C."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from unifex.cli.shared import say
from unifex.core.errors import UnifexError
from unifex.core.progress import finish
from unifex.core.text import reason
from unifex.data.item import Source
from unifex.data.sources import open_source
from unifex.gallery.errors import GalleryBusy, NoSuchGallery
from unifex.gallery.gallery import Gallery
from unifex.gallery.index_report import IndexReport
from unifex.gallery.indexing import index
from unifex.gallery.watching import REMEDY, Moment, Patience, moments, watchfiles


def check(source: Source) -> Path:
    """The folder that is to be watched. Raises ``UnifexError`` for any other source."""
    folder = Path(source.spec)
    if not folder.is_dir():
        raise UnifexError(f"--watch follows a folder on this computer, and '{source.spec}' is none")
    return folder


def follow(options: argparse.Namespace, gallery: Gallery, source: Source, report: IndexReport) -> dict[str, Any]:
    """Index again whenever the folder has come to rest; the last report, once Ctrl+C has ended it."""
    folder, patience = check(source), _patience(options)
    how = "" if options.poll or watchfiles() else f", which is polled (told of changes at once: {REMEDY})"
    _tell(options, f"following '{folder}'{how}; Ctrl+C ends it")
    try:
        for moment in moments(folder, options.library, options.poll, patience):
            if moment is Moment.UNREACHABLE:
                _tell(options, f"'{folder}' is empty or cannot be listed: nothing is removed, it is waited for")
                continue
            report = _again(options, gallery, source) or report
    except KeyboardInterrupt:
        _tell(options, f"'{folder}' is followed no more")
    return asdict(report)


def _patience(options: argparse.Namespace) -> Patience:
    return Patience() if options.quiet is None else Patience(options.quiet)


def _again(options: argparse.Namespace, gallery: Gallery, source: Source) -> IndexReport | None:
    """The source is opened anew: what its label file says, and whether there is one, may have changed."""
    waiting = False
    while True:
        try:
            report = finish(index(gallery, open_source(source.spec, options=source.options), prune=True))
        except GalleryBusy as busy:
            if not waiting:
                _tell(options, f"{busy}; it is waited for")
            waiting = True
            time.sleep(_patience(options).quiet)
        except NoSuchGallery:
            raise
        except (UnifexError, OSError) as error:  # the next change may mend it
            _tell(options, reason(error))
            return None
        else:
            if happened := report.changes():
                _tell(options, happened)
            return report


def _tell(options: argparse.Namespace, text: str) -> None:
    say(options, text)
    sys.stdout.flush()  # a log is read while it goes on
