"""A Milvus server (standalone, from PyPI) in a network of its own, while a command runs beside it.

    unshare --net --map-root-user python -m tests.support.milvus_server FOLDER COMMAND...

It listens on all addresses, on many ports: in a network of its own nobody else meets it, and all of them are free. What
it keeps is in the folder, and is there again for the next command.
"""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

OWN_NETWORK = ("unshare", "--net", "--map-root-user")
URL = "http://127.0.0.1:19530"
STORE_VARIABLE = "UNIFEX_TEST_MILVUS"  # the store that tests use instead of Milvus Lite
SECONDS = 120
SIOCSIFFLAGS, IFF_UP = 0x8914, 1


def switch_loopback_on() -> None:
    """A new network has it, but off."""
    import fcntl  # not on every system

    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


def wait_until_it_answers(server: subprocess.Popen) -> None:
    from pymilvus import MilvusClient, MilvusException

    deadline = time.monotonic() + SECONDS
    while server.poll() is None and time.monotonic() < deadline:
        try:
            MilvusClient(URL, timeout=5).list_collections()
            return
        except MilvusException:
            time.sleep(0.5)
    raise SystemExit("the Milvus server did not start")


def main(folder: Path, command: list[str]) -> int:
    """The command's exit code."""
    switch_loopback_on()
    folder.mkdir(parents=True, exist_ok=True)
    program = Path(sys.executable).parent / "milvus-server"
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [program, "--data", folder / "data"], stdout=log, stderr=log, start_new_session=True, cwd=folder
        )
    try:
        wait_until_it_answers(server)
        return subprocess.run(command, env={**os.environ, STORE_VARIABLE: f"milvus:{URL}"}).returncode
    finally:
        server.send_signal(signal.SIGINT)
        try:
            server.wait(SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]).resolve(), sys.argv[2:]))
