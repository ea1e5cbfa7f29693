"""``/health``: how the server is, for who runs it. Others are told that there is nothing here."""

from __future__ import annotations

import hmac
import ipaddress
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastapi import HTTPException, Request

from unifex.ui.context import AppContext


def health_route(context: AppContext) -> Callable[[Request], dict[str, Any]]:
    """The route's handler."""

    def health(request: Request) -> dict[str, Any]:
        """Seconds since the start, memory and disk in bytes, requests, jobs, visitors, galleries."""
        if not _is_owner(request, context.settings.health_token):
            raise HTTPException(404, "there is nothing here")
        queue = request.app.get_blocks()._queue
        disk = shutil.disk_usage(context.own.folder)
        return {
            "state": context.state,
            "ready": context.ready.is_set(),
            "seconds": round(time.time() - context.started),
            "memory_bytes": _memory(),
            "disk_free_bytes": disk.free,
            "disk_bytes": disk.total,
            "waiting": len(queue),
            "running": sum(event is not None for event in queue.active_jobs),
            "jobs": context.jobs.active(),
            "sessions": len(queue.pending_messages_per_session),
            "visitors": context.workspaces.count() if context.workspaces else 0,
            "galleries": len(context.own.names()),
        }

    return health


def _is_owner(request: Request, token: str) -> bool:
    """Who gives the token; without one, who asks from this computer and not through a proxy."""
    if token:
        return hmac.compare_digest(request.query_params.get("token", "").encode(), token.encode())
    host = request.client.host if request.client else ""
    try:
        return ipaddress.ip_address(host).is_loopback and "x-forwarded-for" not in request.headers
    except ValueError:
        return False


def _memory() -> int | None:
    """Resident memory in bytes; None where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")
