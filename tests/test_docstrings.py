"""What every public function says of itself. Which way imports run is held by import-linter (pyproject.toml)."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent / "unifex"
MODULES = sorted(path for path in ROOT.rglob("*.py") if path.name not in ("__init__.py", "__main__.py"))


def public_functions(path: Path) -> list[ast.FunctionDef]:
    """Module-level functions and methods of public classes, but for those that a class they derive from describes."""
    body = ast.parse(path.read_text()).body
    classes = [node for node in body if isinstance(node, ast.ClassDef) and not node.name.startswith("_")]
    named = {cls.name: cls for cls in classes}
    described = {  # of an engine's methods, the Protocol beside it; of a loss's, the loss it derives from
        method.name
        for cls in classes
        for base in cls.bases
        if isinstance(base, ast.Name) and (base.id in named or base.id == "Protocol")
        for method in named.get(base.id, cls).body
        if isinstance(method, ast.FunctionDef) and ast.get_docstring(method)
    }
    methods = [node for cls in classes for node in cls.body if isinstance(node, ast.FunctionDef)]
    functions = [node for node in body if isinstance(node, ast.FunctionDef)]
    found = [*functions, *(m for m in methods if m.name not in described or ast.get_docstring(m))]
    return [function for function in found if not function.name.startswith("_")]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_public_functions_are_typed_and_documented(path):
    for function in public_functions(path):
        drawing = path.name == "demo.py" and function.args.args and function.args.args[0].arg == "self"
        assert ast.get_docstring(function) or drawing, function.name
        assert function.returns is not None, function.name
        untyped = [arg.arg for arg in function.args.args if arg.annotation is None and arg.arg not in ("self", "cls")]
        assert not untyped or drawing, f"{function.name}: {untyped}"
