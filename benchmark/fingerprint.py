"""Digests: of JSON values, of files, and of code as its syntax tree says it."""

from __future__ import annotations

import ast
import hashlib
import json
import sys
from functools import cache
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

DIGEST_LENGTH = 40


def canonical_json(value: Any) -> str:
    """One text per value: sorted keys, no white space, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def digest(value: Any) -> str:
    """SHA-256 of the canonical JSON, 40 hexadecimal digits."""
    # Names of files that are no UTF-8, and strings in code, may hold half a character.
    return hashlib.sha256(canonical_json(value).encode("utf-8", "surrogatepass")).hexdigest()[:DIGEST_LENGTH]


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, 40 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:DIGEST_LENGTH]


@cache
def code_fingerprint(module: str) -> str:
    """Digest of a module and of all it imports from its own top-level package and from refbench.

    Comments, formatting and docstrings change nothing; an edit in a helper, however deep, does. The same source
    gives the same digest under every Python version.

    Args:
        module: the name of an importable (or already imported) module.
    """
    packages = {module.partition(".")[0], "refbench"}
    trees: dict[str, str] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = _source_of(name)
        if name in trees or path is None:
            continue
        trees[name], imported = _parse(name, path)
        waiting += [other for other in imported if other.partition(".")[0] in packages]
    # Names, not paths, order the parts: a checkout in another folder has the same code.
    named = {name.replace(module.partition(".")[0], "@", 1): tree for name, tree in trees.items()}
    return digest(named)


def _source_of(name: str) -> Path | None:
    spec = _spec(name)
    return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".py") else None


def _spec(name: str) -> ModuleSpec | None:
    """Where a module comes from; None for what is none, as the function in `from package import function`.

    `importlib.util.find_spec` imports the packages and modules above it: torch, for a plan that trains nothing.
    """
    loaded: ModuleSpec | None = getattr(sys.modules.get(name), "__spec__", None)
    if loaded is not None:
        return loaded
    parent = name.rpartition(".")[0]
    above = _spec(parent) if parent else None
    if parent and (above is None or above.submodule_search_locations is None):
        return None
    path = above.submodule_search_locations if above else None
    found = (finder.find_spec(name, path) for finder in sys.meta_path)
    return next((spec for spec in found if spec is not None), None)


@cache
def _parse(name: str, path: Path) -> tuple[str, tuple[str, ...]]:
    tree = ast.parse(path.read_bytes())
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    imported: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            source = ".".join([*parents, *([node.module] if node.module else [])])
            imported += [source, *(f"{source}.{alias.name}" for alias in node.names)]
    return digest(_plain(tree)), tuple(dict.fromkeys(imported))


def _plain(node: Any) -> Any:
    """The syntax tree as JSON, without positions, docstrings and the empty fields that differ between versions."""
    if isinstance(node, ast.AST):
        fields = {
            name: _plain(_without_docstring(node, value) if name == "body" else value)
            for name, value in ast.iter_fields(node)
            if value is not None and value != [] and name not in ("type_comment", "kind")
        }
        return [type(node).__name__, fields]
    if isinstance(node, list):
        return [_plain(item) for item in node]
    # Other constants and words of their own: the number 1.5 is not the string "1.5".
    return node if isinstance(node, (str, int, bool)) else [type(node).__name__, repr(node)]


def _without_docstring(node: ast.AST, body: Any) -> Any:
    documented = isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
    if documented and body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        return body[1:]
    return body
