"""Uploads that nobody waits for any more: they go when there shall be room, and with the gallery that they were for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from unifex.core.jobs import Jobs
from unifex.data import uploads
from unifex.gallery.gallery import Gallery, GalleryError
from unifex.gallery.library import Broken, Library
from unifex.training.resume import delete_checkpoints_of
from unifex.ui.server.workspaces import Workspace

IDLE_SECONDS = 3600  # a page that was left for so long need not start what it has staged


@dataclass(frozen=True)
class WaitingUploads:
    """Those of who asks. ``workspace``: where there may be so much of them and no more."""

    library: Library
    jobs: Jobs
    owner: str
    workspace: Workspace | None

    def check_room(self) -> None:
        """Raises ``GalleryError`` where there is too much here for anything more, once what is forgotten is gone."""
        uploads.sweep(self.library.folder, self._awaited())
        if self.workspace:
            try:
                self.workspace.check_room()
            except GalleryError:
                uploads.sweep(self.library.folder, self._awaited(), IDLE_SECONDS)
                self.workspace.check_room()

    def delete_gallery(self, name: str) -> Path | None:
        """Delete a gallery, and what was to go on into it alone. Returns and raises as ``Library.delete``."""
        waited = self.library.ask(name, Gallery.unfinished)
        id = self.library.ask(name, lambda gallery: gallery.config.id)
        elsewhere = self.library.delete(name)
        if not elsewhere and isinstance(id, str):
            delete_checkpoints_of(self.library.models, name, id)
        if not (elsewhere or isinstance(waited, Broken)):
            for spec in set(waited).difference(self._awaited()):
                uploads.discard(self.library.folder, spec)
        return elsewhere

    def _awaited(self) -> Iterator[str]:
        """Sources of jobs that wait or run, what these may be making, and sources whose indexing was cut off."""
        if active := [job.source for job in self.jobs.of(self.owner) if job.state.active]:
            yield from (*active, *uploads.scratches(self.library.folder))
        yield from self.library.unfinished()
