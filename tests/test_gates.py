"""What keeps the house small: lines a file and a function, and how often the type checker is told to look away."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted([ROOT / "app.py", *(ROOT / "unifex").rglob("*.py")])
FILE_LINES, FUNCTION_LINES, TYPE_IGNORES = 400, 60, 30


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def lines(node: ast.AST) -> int:
    return node.end_lineno - node.lineno + 1


def test_no_file_is_longer_than_one_reads_at_once():
    assert not [name(path) for path in FILES if len(path.read_text().splitlines()) > FILE_LINES]


def test_no_function_is_longer_than_a_screen():
    functions = [
        (f"{name(path)}:{node.name}", lines(node))
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert not [where for where, length in functions if length > FUNCTION_LINES]


def test_the_type_checker_is_seldom_told_to_look_away_and_always_why():
    ignores = [line for path in FILES for line in path.read_text().splitlines() if "# pyright: ignore" in line]
    assert len(ignores) <= TYPE_IGNORES
    without_reason = [
        line for line in ignores if not line.partition("# pyright: ignore[")[2].partition("]")[2].strip(" #")
    ]
    assert not without_reason


def test_json_is_parsed_in_one_place():
    """Of what is nested too deeply :mod:`json` raises what nobody expects of a text that is wrong."""
    parsing = [name(path) for path in FILES if re.search(r"json\.loads?\(", path.read_text())]
    assert parsing == ["unifex/core/json_text.py"]


def test_openvino_is_imported_in_one_place():
    """Which keeps its telemetry out: imported by itself, it tells its makers of the program."""
    importing = {
        name(path)
        for path in FILES
        for node in ast.walk(_without_type_checking(ast.parse(path.read_text())))
        if isinstance(node, ast.Import | ast.ImportFrom)
        and any(module.split(".")[0] == "openvino" for module in _imported(node))
    }
    assert importing == {"unifex/models/graphs.py"}


def _imported(node: ast.Import | ast.ImportFrom) -> list[str]:
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]


def _without_type_checking(module: ast.Module) -> ast.Module:
    """What is imported for types alone is not imported where the program runs."""
    kept = [
        node for node in module.body if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
    ]
    return ast.Module(kept, module.type_ignores)


@pytest.mark.parametrize("package", sorted(path.parent for path in (ROOT / "unifex").rglob("__init__.py")), ids=name)
def test_every_package_says_what_it_is_for(package):
    assert ast.get_docstring(ast.parse((package / "__init__.py").read_text()))


def test_no_test_imports_a_test_and_benchmarks_none():
    files = [*(ROOT / "tests").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]
    imported = [
        (name(path), module)
        for path in files
        for node in ast.walk(ast.parse(path.read_text()))
        for module in ([node.module] if isinstance(node, ast.ImportFrom) else _modules(node))
        if any(part.startswith("test_") for part in (module or "").split("."))
    ]
    assert not imported


def _modules(node: ast.AST) -> list[str]:
    return [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
