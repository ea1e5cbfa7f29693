"""The package as others get it: what it needs, what it gives, and that it works where there is no checkout."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import unifex
from tests.support.drawing import encoded, picture, write_folder
from tests.support.serving import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def requirements(name: str) -> set[str]:
    """The lines of a requirements file that name a package."""
    lines = (ROOT / name).read_text().splitlines()
    return {line for line in lines if line and not line.startswith(("#", "-"))}


def test_the_package_alone_can_be_imported(tmp_path):
    """As a worker on another machine is sent it, without the assets."""
    shutil.copytree(ROOT / "unifex", tmp_path / "unifex")
    program = "import unifex.scale.ray_embedding, unifex.models.embedder as e; print(e.__file__)"
    path = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=path, capture_output=True, text=True)
    assert done.stdout.startswith(str(tmp_path)), done.stderr


def test_the_requirements_files_agree_with_the_project():
    extras = {name: set(lines) for name, lines in PROJECT["optional-dependencies"].items()}
    assert requirements("requirements.txt") == {*PROJECT["dependencies"], *extras["app"], *extras["train"]}
    assert requirements("requirements-scale.txt") == extras["scale"]
    assert extras["mcp"] == {line.replace("gradio", "gradio[mcp]") for line in extras["app"] if "gradio" in line}
    assert extras["mcp"] | extras["watch"] | extras["video"] < extras["dev"]
    assert requirements("requirements-stores.txt") == extras["stores"]
    assert requirements("requirements-dev.txt") == {line for line in extras["dev"] if not line.startswith("unifex[")}


def test_the_ranges_admit_what_zerogpu_has_and_no_faiss_that_filters_wrongly():
    ranges = {one.name: one.specifier for one in map(Requirement, requirements("requirements.txt"))}
    assert all(version in ranges["torch"] for version in ("2.8.0", "2.9.1", "2.10.0", "2.11.0"))
    assert all(version in ranges["torchvision"] for version in ("0.23.0", "0.24.1", "0.25.0", "0.26.0"))
    assert "1.14.2" in ranges["faiss-cpu"]
    assert "1.13.2" not in ranges["faiss-cpu"]  # a truncated IDSelectorBatch, and selectors that are never freed


def test_the_public_names_are_there_when_they_are_used():
    probe = (
        "import sys, unifex\n"
        "assert not {'torch', 'gradio', 'numpy'} & set(sys.modules)\n"
        "assert set(unifex.__all__) <= set(dir(unifex))\n"
        "assert all(callable(getattr(unifex, name)) for name in unifex.__all__)\n"
        "assert 'gradio' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", probe], check=True, cwd=ROOT)
    with pytest.raises(AttributeError, match="nothing"):
        unifex.nothing  # noqa: B018


def test_the_wheel_indexes_and_searches_where_there_is_no_checkout(tmp_path):
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path / "dist"]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").glob(f"unifex-{unifex.__version__}-*.whl")
    target = tmp_path / "environment"
    venv.create(target, symlinks=True)
    site = next((target / "lib").glob("python*/site-packages"))
    # What it needs is this environment's own; of the checkout it sees nothing.
    others = [path for path in sys.path if Path(path).name == "site-packages"]
    (site / "others.pth").write_text("\n".join(others))
    python = target / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", wheel]
    subprocess.run(install, check=True, capture_output=True)
    write_folder(tmp_path / "photos")
    (tmp_path / "query.png").write_bytes(encoded(picture("signs/cross", 2)))
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(*command: str) -> str:
        done = subprocess.run(
            [target / "bin" / "unifex", *command], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "24 items" in run("index", "photos", "--gallery", "holiday")
    assert re.search(r" 1 .*signs/cross/2\.png", run("search", "query.png", "--gallery", "holiday", "-k", "3"))
    files = subprocess.run([python, "-m", "zipfile", "-l", wheel], capture_output=True, text=True, check=True).stdout
    model = "unifex/assets/models/unifex-lite/model.safetensors"
    for name in ("unifex/py.typed", "unifex/locale/de.po", "unifex/assets/unifex.css", model):
        assert name in files
