"""What is uploaded to a public server: received byte by byte into a folder of whoever sends it, counted as it comes."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from pathlib import Path

from anyio import to_thread
from gradio.route_utils import FileUploadProgress, GradioMultiPartParser
from gradio.routes import file_upload_statuses
from gradio_client.utils import strip_invalid_filename_characters
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException
from starlette.requests import Request

from unifex.core.disk import BLOCK_BYTES, DELETED
from unifex.core.language import say, to_say
from unifex.ui.server.quotas import MAX_FILES, Caller, Quotas
from unifex.ui.server.rates import Refusal
from unifex.ui.server.visitor_files import SENT, RoomError, VisitorFiles

_NO_FORM = to_say("an upload is a form with files")


@dataclass
class UploadReceiver:
    """``max_bytes``: of one upload."""

    files: VisitorFiles
    max_bytes: int
    quotas: Quotas

    async def receive(self, request: Request, caller: Caller, upload: str | None) -> list[str]:
        """Addresses of the files that come. At a limit nothing of them is kept. Raises :class:`Refusal`.

        ``upload``: the name under which the page follows its progress.
        """
        self._check_announced(request)
        await to_thread.run_sync(self.files.account, caller.owner)  # measured once
        try:
            with self.quotas.uploads.one(caller.owner):
                kept = await self._receive(request, caller, upload)
        except RoomError as error:
            raise Refusal(413, str(error)) from error
        except FileNotFoundError as error:
            raise Refusal(410, say(DELETED)) from error
        except OSError as error:
            raise Refusal(507, say("this server's disk is full; try again later")) from error
        return [self.files.address(path) for path in kept]

    def _check_announced(self, request: Request) -> None:
        """What says that it is too much need not come at all. What does not say so is counted as it comes."""
        if "multipart/form-data" not in request.headers.get("content-type", ""):
            raise Refusal(400, say(_NO_FORM))
        length, most = request.headers.get("content-length", ""), self.max_bytes
        if length.isdecimal() and int(length[:20]) > most + BLOCK_BYTES:
            raise Refusal(413, say("an upload may have {most:,} MB here", most=most // 10**6))

    async def _receive(self, request: Request, caller: Caller, upload: str | None) -> list[Path]:
        owner, kept = caller.owner, []
        with self.files.arriving(owner) as arrival, _followed(upload) as progress:

            async def counted() -> AsyncGenerator[bytes, None]:
                async for part in request.stream():
                    self.quotas.uploaded.check(caller, len(part))
                    arrival.take(len(part))
                    yield part

            parser = GradioMultiPartParser(
                request.headers, counted(), max_files=MAX_FILES, max_fields=0, upload_dir=arrival.folder,
                upload_id=upload, upload_progress=progress, max_file_size=self.max_bytes,
            )  # fmt: skip
            try:
                form = await parser.parse()
                arrival.settle()
                for file in form.getlist("files"):
                    if not isinstance(file, UploadFile):
                        raise Refusal(400, say(_NO_FORM))
                    file.file.close()
                    self.quotas.uploaded.check(caller, 2 * BLOCK_BYTES)  # a file takes that, however little is in it
                    place = Path(file.file.name), _name(file.filename), owner, SENT
                    kept.append(await to_thread.run_sync(self.files.keep, *place))
            except BaseException as error:
                for path in kept:
                    self.files.release(path, owner)
                if isinstance(error, MultiPartException):
                    status = 413 if "maximum allowed size" in error.message else 400
                    raise Refusal(status, error.message) from error
                raise
        return kept


@contextlib.contextmanager
def _followed(upload: str | None) -> Iterator[FileUploadProgress | None]:
    """Where the page looks how far an upload is, if it asked to be told."""
    if upload is None:
        yield None
        return
    file_upload_statuses.track(upload)
    try:
        yield file_upload_statuses
    finally:
        file_upload_statuses.set_done(upload)


def _name(name: str | None) -> str:
    """A file name that every disk takes, and that is not hidden."""
    return strip_invalid_filename_characters(Path(name or "").name).lstrip(".") or "file"
