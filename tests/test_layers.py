"""The import direction of docs/design.md, checked on the source text."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent / "unifex"
# Lowest first; a module imports only from rows above its own row's end.
LAYERS = (
    ("errors", "progress"),
    ("disk",),
    ("ranges", "proxies", "address"),
    ("high_depth", "colour", "text", "soundness", "derived", "feature_table", "processes"),
    ("tiff", "jobs"),
    ("images",),
    ("hub", "towers", "neck", "measures"),
    ("backbones",),
    ("lite0", "zoo"),
    ("recipes", "losses"),
    ("runtime", "shortlists", "torchscript"),
    ("vectors", "milvus"),
    ("speed",),
    ("embedder",),
    ("sources", "tree", "folder", "archive", "manifest", "demo", "uploads", "datasets", "curation"),
    ("partitions",),
    ("places", "listings"),
    ("corrections", "calibration", "neighbours", "writer", "snapshot", "gallery"),
    ("indexes", "indexing", "rebuild", "reranking"),
    ("bundle", "clip_retrieval", "visitor_files", "workspaces"),
    ("ray_embedding",),
    ("search", "word_search", "evaluation", "export"),
    ("assessment", "failures"),
    ("training_data", "samples", "training", "views"),
    ("outcome",),
    ("unfinished", "model_card", "curves"),
    ("finetuning",),
    ("projection", "umap_worker"),
    ("map_view",),
    ("settings", "console"),
    ("cli_shared",),
    ("cli_training", "cli_models", "cli_data"),
    ("cli",),
    ("ui",),
)
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
MODULES = sorted(path for path in ROOT.rglob("*.py") if path.name not in ("__init__.py", "__main__.py"))


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_run_downwards_and_gradio_stays_in_ui(path):
    own = path.relative_to(ROOT).parts[0].removesuffix(".py")
    names = imported(path)
    if own != "ui":
        assert not [name for name in names if name.split(".")[0] == "gradio"]
    inside = {name.split(".")[1] for name in names if name.startswith("unifex.")} & RANK.keys()
    assert not [name for name in inside if RANK[name] > RANK[own]]


def test_every_module_has_a_room():
    found = {path.relative_to(ROOT).parts[0].removesuffix(".py") for path in MODULES}
    assert found == RANK.keys()


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
