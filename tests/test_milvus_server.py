"""What holds in Milvus Lite holds in a Milvus server."""

import subprocess
import sys

import pytest

from tests.support.milvus_server import OWN_NETWORK
from tests.support.serving import ROOT

pytestmark = [pytest.mark.scale, pytest.mark.slow]


def test_all_of_it_in_a_server(tmp_path):
    pytest.importorskip("milvus", reason="needs the package `milvus`, a server for Linux")
    if subprocess.run([*OWN_NETWORK, "true"], capture_output=True).returncode:
        pytest.skip("this system does not let its users make a network of their own")
    beside_it = [*OWN_NETWORK, sys.executable, "-m", "tests.support.milvus_server", str(tmp_path)]
    tests = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tests/test_milvus.py"]
    ran = subprocess.run([*beside_it, *tests], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout[-8000:] + ran.stderr[-2000:]
