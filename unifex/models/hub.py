"""The Hugging Face hub: files of it that are on this computer, and fetching those that are not.

Nothing is ever fetched by accident: :func:`find` only looks, :func:`fetch` is called when somebody asked for it.
``HF_HOME``, ``HF_HUB_OFFLINE``, ``HF_TOKEN`` and ``HF_ENDPOINT`` mean what they mean everywhere.
"""

from __future__ import annotations

import glob
import io
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import getproxies

from unifex.core import proxies
from unifex.core.errors import UnifexError
from unifex.core.language import say, to_say
from unifex.core.progress import Stage, Work
from unifex.core.text import reason

if TYPE_CHECKING:
    from huggingface_hub import HfApi

REACHABLE_SECONDS = 3
REPORT_SECONDS = 0.3
MB = 10**6


class HubError(UnifexError):
    """Something that cannot be had from (or put on) the hub; the message names it, the reason and the remedy."""


@dataclass(frozen=True)
class HubFile:
    """One file of a repository, under the first of ``names`` that it has. ``kind``: ``model`` or ``dataset``."""

    repo: str
    names: tuple[str, ...]
    kind: str = "model"


def page_of(repo: str) -> str:
    """Where people read about a repository of models."""
    return f"https://huggingface.co/{repo}"


def find(file: HubFile) -> Path | None:
    """The file in the hub's cache on this computer, or None. Asks nobody."""
    from huggingface_hub import try_to_load_from_cache

    found = (try_to_load_from_cache(file.repo, name, repo_type=file.kind) for name in file.names)
    return next((Path(path) for path in found if isinstance(path, str)), None)


def sha256_of(path: Path) -> bytes | None:
    """The sha256 of a large file in the hub's cache, whose blob is named by it; None for any other file."""
    name = path.resolve().name
    try:
        return bytes.fromhex(name) if len(name) == 64 else None
    except ValueError:
        return None


LACK, NOT_PUT = to_say("is not on this computer"), to_say("cannot be put on the hub")
BUNDLED = to_say(", or use the bundled model")


def check_reachable(what: str, lack: str = LACK, otherwise: str = BUNDLED) -> None:
    """Raises :class:`HubError` within :data:`REACHABLE_SECONDS` when the hub cannot be reached; ``what`` is wanted,
    ``lack`` says why, and ``otherwise`` what helps without the hub.

    The hub's own client tries for half a minute before it gives up.
    """
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        forbidden = say(
            "{what} {lack}, and HF_HUB_OFFLINE forbids to ask the hub; unset that", what=what, lack=say(lack)
        )
        raise HubError(forbidden)
    endpoint = urlsplit(constants.ENDPOINT)
    if problem := proxies.problem():
        unusable = say(
            "{what} {lack}, and the proxy that the environment names cannot be used ({problem}); "
            "correct HTTPS_PROXY or ALL_PROXY",
            what=what, lack=say(lack), problem=problem,
        )  # fmt: skip
        raise HubError(unusable)
    if {"https", "all"} & getproxies().keys():  # whether the hub is there is then for the proxy to tell
        return
    try:
        port = endpoint.port or (443 if endpoint.scheme == "https" else 80)
        socket.create_connection((endpoint.hostname, port), timeout=REACHABLE_SECONDS).close()
    except OSError as error:
        unreached = say(
            "{what} {lack}, and {host} cannot be reached ({reason}); connect to the internet and try again{otherwise}",
            what=what, lack=say(lack), host=endpoint.hostname, reason=reason(error), otherwise=say(otherwise),
        )  # fmt: skip
        raise HubError(unreached) from error


def _is_reachable() -> bool:
    try:
        check_reachable("")
    except HubError:
        return False
    return True


def check_name(repo: str) -> None:
    """Raises :class:`HubError` for what cannot name a repository."""
    from huggingface_hub.utils import HFValidationError, validate_repo_id

    try:
        validate_repo_id(repo)
    except HFValidationError:
        told = say(
            "'{repo}' is no repository of the hub: give OWNER/NAME (namespace/repo_name), of letters, digits and - _ .",
            repo=repo,
        )
        raise HubError(told) from None


def explain(error: Exception, repo: str) -> HubError:
    """What the hub's client raised, as a sentence with a remedy."""
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):
        text = say("accept its licence at {page}, then `hf auth login` or set HF_TOKEN", page=page_of(repo))
    elif isinstance(error, errors.RepositoryNotFoundError):
        text = say("there is no such repository, or it is private: check the name, `hf auth login` or set HF_TOKEN")
    elif isinstance(error, errors.EntryNotFoundError):
        text = say("the repository does not have the file that is needed")
    else:
        text = str(error).strip().partition("\n")[0] or type(error).__name__
    return HubError(f"{repo}: {text}")


def fetch(file: HubFile, newest: bool = False) -> Work[None]:
    """Fetch a file into the hub's cache, unless it is there. Closing the generator stops, within ten megabytes.

    What was fetched of the file until then is lost: the hub's client starts a file anew. ``newest``: also where the
    repository has another one by now, as far as the hub can be reached.

    Raises :class:`HubError`.
    """
    check_name(file.repo)
    if find(file) and not (newest and _is_reachable()):
        return
    check_reachable(file.repo, otherwise=BUNDLED if file.kind == "model" else "")
    name, total = _look_up(file)
    yield from _watched(file.repo, name, total, file.kind)


def _look_up(file: HubFile) -> tuple[str, int]:
    """Name and size in bytes of the file that the repository has."""
    from huggingface_hub import errors, hf_hub_download

    for name in file.names:
        try:
            return name, hf_hub_download(file.repo, name, repo_type=file.kind, dry_run=True).file_size or 0
        except (errors.HFValidationError, errors.RepositoryNotFoundError) as error:
            raise explain(error, file.repo) from error
        except errors.EntryNotFoundError as error:
            missing = error
        except (errors.HfHubHTTPError, OSError, ValueError) as error:
            raise explain(error, file.repo) from error
    raise explain(missing, file.repo)


class _Stopped(Exception):
    """Raised inside the client, when nobody wants the file any more."""


def _watched(repo: str, name: str, total: int, kind: str) -> Work[None]:
    from huggingface_hub import hf_hub_download
    from tqdm.auto import tqdm

    done, stop = 0, threading.Event()

    class Counter(tqdm):
        """The client's progress bar, unseen."""

        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **{**options, "disable": False, "file": io.StringIO()})

        def update(self, n=1):
            nonlocal done
            if stop.is_set():
                raise _Stopped
            done = int(self.n + (n or 0))
            return super().update(n)

    outcome: list[Exception | None] = []

    def run() -> None:
        try:
            hf_hub_download(repo, name, repo_type=kind, tqdm_class=Counter)
            outcome.append(None)
        except Exception as error:  # handed over to the caller's thread, below
            outcome.append(error)

    worker = threading.Thread(target=run, name="unifex-fetch", daemon=True)
    stage = Stage(say("fetching {repo}/{name}", repo=repo, name=name), total // MB, "MB")
    worker.start()
    try:
        while worker.is_alive():
            worker.join(REPORT_SECONDS)
            yield stage.at(done // MB)
    finally:
        stop.set()
        worker.join()
    if outcome[0] is not None:
        raise explain(outcome[0], repo) from outcome[0]
    yield stage.at(total // MB)


def check_push(repo: str, kind: str = "model", private: bool = False) -> None:
    """Raises :class:`HubError` for what :func:`push` would refuse as it begins: for who has much to do before it."""
    from huggingface_hub import HfApi, errors

    check_name(repo)
    check_reachable(repo, NOT_PUT, otherwise="")
    with _explained(repo):
        try:
            is_private = bool(HfApi().repo_info(repo, repo_type=kind).private)
        except errors.RepositoryNotFoundError:
            return  # it will be made
    if is_private == private:
        return
    if private:
        raise HubError(
            say(
                "{repo} is there already and public: ask for that (--public, private=False), make it "
                "private there, or name another",
                repo=repo,
            )
        )
    raise HubError(
        say(
            "{repo} is there already and private: ask for that (no --public, private=True), make it "
            "public there, or name another",
            repo=repo,
        )
    )


def push(
    folder: Path,
    repo: str,
    kind: str = "model",
    private: bool = False,
    instead_of: re.Pattern[str] | None = None,
    mark: str = "",
) -> str:
    """Put all files of a folder into a repository, made if it is not there; its address.

    In the same commit go the repository's files whose names are ``instead_of`` and that are not among these. Raises
    :class:`HubError`: not logged in, not allowed, not reachable, one that is there and seen by others than asked, or
    that has such files without the file ``mark``, which says that this program put them there.
    """
    from huggingface_hub import HfApi

    check_push(repo, kind, private)
    api = HfApi()
    with _explained(repo):
        api.create_repo(repo, repo_type=kind, private=private, exist_ok=True)
        api.upload_folder(
            repo_id=repo,
            folder_path=folder,
            repo_type=kind,
            commit_message="From UniFEx",
            delete_patterns=[glob.escape(name) for name in _of_before(api, repo, kind, instead_of, mark)] or None,
        )
    place = "datasets/" if kind == "dataset" else ""
    return f"{api.endpoint}/{place}{repo}"


@contextmanager
def _explained(repo: str) -> Iterator[None]:
    """What the hub's client raises of a repository that is to be written, as :class:`HubError`."""
    from huggingface_hub import errors

    try:
        yield
    except errors.LocalTokenNotFoundError as error:
        raise HubError(
            say("{repo}: `hf auth login`, or set HF_TOKEN, first: the hub must know who you are", repo=repo)
        ) from error
    except (errors.HfHubHTTPError, errors.HFValidationError, OSError, ValueError) as error:
        if getattr(getattr(error, "response", None), "status_code", 0) in (401, 403):
            raise HubError(
                say("{repo}: this token may not write there; `hf auth login` with one that may", repo=repo)
            ) from error
        raise explain(error, repo) from error


def _of_before(api: HfApi, repo: str, kind: str, names: re.Pattern[str] | None, mark: str) -> list[str]:
    """The repository's files of these names. Raises :class:`HubError` where they are somebody else's."""
    if names is None:
        return []
    there = {file.rfilename for file in getattr(api.repo_info(repo, repo_type=kind), "siblings", None) or ()}
    found = sorted(filter(names.fullmatch, there))
    if found and mark not in there:
        raise HubError(
            say(
                "{repo} holds {file}, which no export put there, and which would go: name another one",
                repo=repo,
                file=found[0],
            )
        )
    return found
