"""Full and read-only disks, in a process that may mount one: Linux's namespaces let anybody do that."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import small_disk

OWN_DISKS = ("unshare", "--map-root-user", "--mount")


@pytest.mark.slow
def test_full_and_read_only_disks():
    try:
        possible = subprocess.run([*OWN_DISKS, "true"], capture_output=True).returncode == 0
    except FileNotFoundError:
        possible = False
    if not possible and not os.environ.get("CI"):
        pytest.skip("no disk can be mounted here")
    tests = Path(small_disk.__file__)
    run = subprocess.run(
        [*OWN_DISKS, sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", str(tests)],
        capture_output=True,
        text=True,
        cwd=tests.parent.parent,
    )
    assert run.returncode == 0, run.stdout[-8000:] + run.stderr[-2000:]
    assert "passed" in run.stdout
    assert "skipped" not in run.stdout
