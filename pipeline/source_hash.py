# SPDX-License-Identifier: Apache-2.0
"""Hashes of the code that a step runs, so that the cache sees when it changes."""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import pathlib
from collections.abc import Iterator

_PACKAGES = ("ds2_tf", "pipeline", "serving")


@functools.cache
def source_hash(*modules: str) -> str:
    """A hash of modules of this project and of all that they import of it, directly or not.

    Comments, docstrings and layout of Python do not count.

    Args:
        modules: names; without any, all of ds2_tf.
    """
    digest = hashlib.sha256()
    for name in sorted(_closure(modules) if modules else _all_of_ds2_tf()):
        digest.update(f"{name}\0{_code(_path(name))}\0".encode())
        for path in _native_sources(_path(name)):
            digest.update(f"{path.name}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _native_sources(module: pathlib.Path) -> list[pathlib.Path]:
    """The C++ that belongs to a package: what lies in its folder `native`."""
    if module.name != "__init__.py":
        return []
    return sorted(path for path in module.parent.glob("native/*") if path.is_file())


def _closure(modules: tuple[str, ...]) -> set[str]:
    found, todo = set(), list(modules)
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo.extend(_imports(name))
            # Importing a module runs the packages that it lies in.
            if "." in name:
                todo.append(name.rpartition(".")[0])
    return found


def _imports(name: str) -> Iterator[str]:
    """The modules of this project that a module imports, at the top or inside of functions."""
    for node in _run_nodes(_tree(_path(name))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            # `from package import name` may mean a module or something in one.
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for imported in names:
            if imported.partition(".")[0] in _PACKAGES and _exists(imported):
                yield imported


def _run_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes below one but those that only a type checker sees."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        yield child
        yield from _run_nodes(child)


def _exists(name: str) -> bool:
    package, _, member = name.rpartition(".")
    if not package:
        return True
    if not _exists(package):
        return False
    directory = _path(package)
    if directory.name != "__init__.py":
        return False
    directory = directory.parent
    return (directory / f"{member}.py").exists() or (directory / member / "__init__.py").exists()


@functools.cache
def _path(name: str) -> pathlib.Path:
    package, *rest = name.split(".")
    root = pathlib.Path(importlib.util.find_spec(package).origin).parent
    module = root.joinpath(*rest)
    return module / "__init__.py" if module.is_dir() else module.with_suffix(".py")


@functools.cache
def _tree(path: pathlib.Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def _code(path: pathlib.Path) -> str:
    """What a module does, as text."""
    tree = ast.parse(path.read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            if ast.get_docstring(node, clean=False) is not None:
                node.body = node.body[1:]
    return ast.dump(tree)


def _all_of_ds2_tf() -> list[str]:
    root = _path("ds2_tf").parent
    return [
        ".".join(("ds2_tf", *path.relative_to(root).with_suffix("").parts)).removesuffix(
            ".__init__"
        )
        for path in root.rglob("*.py")
    ]
