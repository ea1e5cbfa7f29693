"""Folders in which nothing can be written, also for root, whom permissions are nothing to."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_VERSION = 0x20080522
_IGNORES_PERMISSIONS = 1 << 1 | 1 << 2 | 1 << 3  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER
_Header = ctypes.c_uint32 * 2  # the version, and 0: this thread
_Sets = ctypes.c_uint32 * 6  # effective, permitted, inheritable, each twice


@contextmanager
def only_readable(folder: Path) -> Iterator[None]:
    """This thread writes nothing in a folder, nor in those in it."""
    folders = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    before = [path.stat().st_mode for path in folders]
    for path in folders:
        path.chmod(0o555)
    try:
        with _as_permissions_say():
            yield
    finally:
        for path, mode in zip(folders, before):
            path.chmod(mode)


@contextmanager
def _as_permissions_say() -> Iterator[None]:
    if sys.platform != "linux" or os.geteuid():
        yield
        return
    libc, header, before = ctypes.CDLL(None, use_errno=True), _Header(_VERSION, 0), _Sets()
    assert libc.capget(header, before) == 0
    less = _Sets(*before)
    less[0] &= ~_IGNORES_PERMISSIONS
    assert libc.capset(header, less) == 0
    try:
        yield
    finally:
        assert libc.capset(header, before) == 0
