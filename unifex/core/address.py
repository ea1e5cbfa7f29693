"""Where the page is served: the addresses of a host, a port that is free, and who can come."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket

from unifex.core.errors import UnifexError

LOOPBACK = "127.0.0.1"
PORTS_TRIED = 20


class AddressError(UnifexError):
    """Nothing can be served there."""


def addresses(host: str) -> list[str]:
    """IPv4 and IPv6 addresses of a name or of an address itself. Raises :class:`AddressError` for an unknown one."""
    try:
        found = socket.getaddrinfo(host or " ", None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise AddressError(
            f"host '{host}' is not known: give a name or an address of this computer (127.0.0.1 for yourself alone, "
            "0.0.0.0 for the network), without http:// and port"
        ) from None
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def served_at(host: str) -> str:
    """``host`` itself, or the address of it that can be served at: a name may stand for an IPv6 that is switched off.

    Raises :class:`AddressError` for a host that is unknown, or not this computer.
    """
    found = addresses(host)
    own = [address for address in found if _is_own(address)]
    if not own:
        raise AddressError(
            f"host '{host}' is not this computer: 127.0.0.1 is for yourself alone, 0.0.0.0 for the network, or give "
            "an address of its own"
        )
    return host if len(own) == len(found) else own[0]


def _is_own(address: str) -> bool:
    try:
        _bound(address, 0)
    except OSError as error:
        return error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
    return True


def is_open(host: str) -> bool:
    """Whether other computers can come to what is served there."""
    return not all(ipaddress.ip_address(address).is_loopback for address in addresses(host))


def root() -> str:
    """Below what a proxy has the page: nothing, a path without the slash at its end, or a whole URL."""
    return os.environ.get("GRADIO_ROOT_PATH", "").rstrip("/")


def in_url(host: str) -> str:
    """A host as it stands in a URL."""
    return f"[{host}]" if ":" in host else host


def free_port(host: str, wanted: int) -> int:
    """``wanted``, or the first free one of :data:`PORTS_TRIED` from it on; any for 0.

    Raises :class:`AddressError` for a port that may not be used, and when all are taken.
    """
    last = min(wanted + PORTS_TRIED, 65536) - 1
    tried = [LOOPBACK, *addresses(host)]  # Gradio wants the port on 127.0.0.1, too, whatever it serves
    for port in range(wanted, last + 1):
        try:
            for address in tried:
                port = _bound(address, port)
            return port
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise AddressError(_why(error, host, port)) from error
    raise AddressError(f"ports {wanted} to {last} are all taken; give another with --port")


def _bound(address: str, port: int) -> int:
    """The port after binding to it, which for 0 is another."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        if os.name == "posix":  # elsewhere it would bind to what is taken
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:  # as the server does: beside IPv4, not in its place
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        probe.bind((address, port))
        return probe.getsockname()[1]


def _why(error: OSError, host: str, port: int) -> str:
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"port {port} is for administrators; give one above 1023 with --port"
    return f"nothing can be served at {in_url(host)}:{port} ({error.strerror})"
