"""The README's commands and examples, as they stand there."""

import re
import shlex
import subprocess
import sys

import pytest

from tests.support.drawing import encoded, picture, write_folder
from tests.support.serving import ROOT, serve
from unifex.cli.main import main
from unifex.data.sources import SOURCES
from unifex.models import zoo

README = (ROOT / "README.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", README, re.S)


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """A working folder with ``photos/`` and ``query.jpg``, as the README assumes."""
    write_folder(tmp_path / "photos")
    (tmp_path / "photos" / "beach").mkdir()
    (tmp_path / "photos" / "beach" / "1.jpg").write_bytes(encoded(picture("shapes/disc", 40), "JPEG"))
    (tmp_path / "query.jpg").write_bytes(encoded(picture("signs/cross", 2), "JPEG", quality=95))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(ROOT))
    return tmp_path


def test_every_source_is_named_as_its_entry_says():
    text = re.sub(r"\[([^]]+)\]\(\1\)", r"\1", " ".join(README.split()))
    assert [kind.form for kind in SOURCES if kind.form and kind.sentence not in text] == []


def test_library_example(photos):
    code = PYTHON[0]
    assert len([line for line in code.splitlines() if line]) <= 13
    done = subprocess.run(
        [sys.executable, "-c", code + "\nprint(embeddings.shape)"], cwd=photos, env=_environment(), text=True,
        capture_output=True, check=True,
    )  # fmt: skip
    assert "cross signs/cross/2.png" in done.stdout
    assert "25 items, 0 could not be read" in done.stdout
    assert done.stdout.endswith("(1, 64)\n")


def _environment() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": str(ROOT)}


def test_client_example(photos, capsys):
    main(["index", "photos/", "--gallery", "holiday"])
    with serve(photos / "indexes") as server:
        exec(PYTHON[1].replace("http://127.0.0.1:7860", server.url), {})
    out = capsys.readouterr().out
    assert "['holiday']" in out
    assert "cross signs/cross/2.png" in out


def test_shell_commands(photos):
    commands = re.findall(r"^    (python -m unifex .*?)(?: +#.*)?$", README, re.M)
    assert len(commands) == 24
    for command in commands:
        assert main(shlex.split(command)[3:]) == 0, command


def test_front_matter_matches_the_requirements():
    front = dict(re.findall(r"^(\w+): (.*)$", README.split("---")[1], re.M))
    requirements = (ROOT / "requirements.txt").read_text()
    assert f"gradio=={front['sdk_version']}" in requirements
    assert (ROOT / front["app_file"]).is_file()
    assert len(front["short_description"]) <= 60
    assert front["suggested_hardware"] == "cpu-basic"
    assert front["python_version"] == '"3.12"'  # of those that ZeroGPU has, the one that we take
    served = {spec.hub_file.repo for spec in zoo.table().values() if spec.hub_file}
    assert set(front["models"].strip("[]").split(", ")) <= served


def test_what_a_space_preloads_is_what_its_model_needs():
    model, repo, name = re.search(r"`raw:(\S+)`.*`preload_from_hub: \[(\S+) (\S+)\]`", README, re.S).groups()
    file = zoo.get(model).hub_file
    assert (file.repo, file.names[0]) == (repo, name)


def test_every_file_that_is_linked_is_there():
    pages = ("design", "training", "backbones", "proxy", "metadata")
    for page in ("README.md", *(f"docs/{name}.md" for name in pages), "CONTRIBUTING.md"):
        text = (ROOT / page).read_text()
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
            assert (ROOT / page).parent.joinpath(target).exists(), f"{page}: {target}"
    for benchmark in re.findall(r"python -m (benchmarks\.\w+)", README + (ROOT / "CONTRIBUTING.md").read_text()):
        assert ROOT.joinpath(*benchmark.split(".")).with_suffix(".py").exists(), benchmark


@pytest.mark.slow
def test_the_commands_of_the_page_on_scale(photos, monkeypatch):
    """But for the one of torchrun, which is test_distributed.py's."""
    commands = re.findall(r"^    (python -m unifex .*)$", (ROOT / "docs" / "scale.md").read_text(), re.M)
    assert len(commands) == 6
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    for command in commands:
        assert main(shlex.split(command)[3:]) == 0, command
