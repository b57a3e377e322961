# SPDX-License-Identifier: Apache-2.0
"""Writes the Bazel BUILD file of every package from its imports.

    python scripts/build_files.py           writes them
    python scripts/build_files.py --check   names those that are out of date, and exits with 1

One py_library a module and one py_test a test file, with native rules; a package whose __init__
imports its own modules is one py_library, since none of them works without the others. Third-party
packages come from the environment (requirements.lock), so only dependencies within the project are
listed.
"""

from __future__ import annotations

import ast
import pathlib
import sys
from collections.abc import Iterator

ROOT = pathlib.Path(__file__).parent.parent
PACKAGES = ("ds2_tf", "pipeline", "serving", "demo", "tests")
# Files read at run time, by the module that reads them.
DATA = {
    "pipeline/dag.py": ["schema/schema.pbtxt"],
    "ds2_tf/decoding/native_library.py": ["//ds2_tf/decoding:_native.so"],
    "serving/gateway/app.py": [
        "static/app.js",
        "static/capture.js",
        "static/files.js",
        "static/icon.svg",
        "static/index.html",
        "static/microphone.js",
        "static/resampler.js",
        "static/spectrogram.js",
        "static/speech.js",
        "static/style.css",
    ],
    "demo/__main__.py": ["an4.yaml", "synthetic.yaml", "//:recipes"],
    "tests/ds2_tf/recipes_test.py": ["//:recipes"],
}
# Rules of what is not Python, by the folder whose BUILD file has them.
NATIVE = {
    "ds2_tf/decoding": """
cc_binary(
    name = "_native.so",
    srcs = glob(["native/*"]),
    copts = ["-std=c++17"],
    linkshared = True,
)
""",
}
_HEADER = "# Written by scripts/build_files.py: change the imports, then run it.\n"
_TOP = (
    _HEADER
    + """
package(default_visibility = ["//visibility:public"])

licenses(["notice"])

exports_files(["LICENSE"])

filegroup(
    name = "recipes",
    srcs = glob(["recipes/*"]),
)
"""
)


def expected_files() -> dict[pathlib.Path, str]:
    """The content that every BUILD file should have, by path."""
    modules = {
        path.relative_to(ROOT).as_posix(): path
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
    }
    files = {ROOT / "BUILD": _TOP}
    for directory in sorted({path.parent for path in modules.values()}):
        members = [name for name, path in modules.items() if path.parent == directory]
        if _is_one(members[0], modules):
            groups = [members]
        else:
            groups = [[name] for name in members]
        rules = "".join(_rule(group, modules) for group in groups)
        rules += NATIVE.get(directory.relative_to(ROOT).as_posix(), "")
        files[directory / "BUILD"] = (
            f'{_HEADER}\npackage(default_visibility = ["//visibility:public"])\n{rules}'
        )
    return files


def dependencies(name: str, modules: dict[str, pathlib.Path]) -> list[str]:
    """The project's modules, as paths from the root, that a module imports, lazily or not."""
    found = set()
    for imported in _imported_names(modules[name]):
        path = imported.replace(".", "/")
        for candidate in (f"{path}.py", f"{path}/__init__.py"):
            if candidate in modules and candidate != name:
                found.add(candidate)
    # Python runs the __init__ of every package above, and pytest every conftest.
    for parent in pathlib.PurePosixPath(name).parents:
        for companion in ("__init__.py", "conftest.py"):
            candidate = (parent / companion).as_posix()
            if companion == "conftest.py" and not name.endswith("_test.py"):
                continue
            if candidate in modules and candidate != name:
                found.add(candidate)
    return sorted(found)


def _imported_names(path: pathlib.Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _is_one(name: str, modules: dict[str, pathlib.Path]) -> bool:
    """Whether the package of a module has an __init__ that imports its own modules."""
    package = pathlib.PurePosixPath(name).parent.as_posix()
    init = f"{package}/__init__.py"
    if init not in modules:
        return False
    prefix = package.replace("/", ".") + "."
    return any(imported.startswith(prefix) for imported in _imported_names(modules[init]))


def _rule(group: list[str], modules: dict[str, pathlib.Path]) -> str:
    """The rule of one module, or of all modules of a package."""
    own = _label(group[0], modules)
    sources = ", ".join(quoted(pathlib.PurePosixPath(name).name) for name in group)
    lines = [f'    name = "{own.rpartition(":")[2]}",', f"    srcs = [{sources}],"]
    is_test = group[0].endswith("_test.py")
    if is_test:
        lines.append(f'    args = ["{group[0]}"],')
        if "mark.slow" in modules[group[0]].read_text("utf-8"):
            lines.append('    size = "large",')
    data = [item for name in group for item in DATA.get(name, [])]
    if data:
        lines.append(f"    data = [{', '.join(quoted(item) for item in data)}],")
    needed = {_label(d, modules) for name in group for d in dependencies(name, modules)} - {own}
    if needed:
        lines.append("    deps = [")
        lines += [f"        {quoted(label)}," for label in sorted(needed)]
        lines.append("    ],")
    rule = "py_test" if is_test else "py_library"
    return f"\n{rule}(\n" + "\n".join(lines) + "\n)\n"


def _label(name: str, modules: dict[str, pathlib.Path]) -> str:
    path = pathlib.PurePosixPath(name)
    return f"//{path.parent}:{path.parent.name if _is_one(name, modules) else path.stem}"


def quoted(text: str) -> str:
    """A Starlark string literal."""
    return f'"{text}"'


def main(arguments: list[str]) -> int:
    """Writes or checks; returns the exit status."""
    expected = expected_files()
    outdated = [
        path
        for path, text in expected.items()
        if not path.exists() or path.read_text("utf-8") != text
    ]
    if arguments == ["--check"]:
        for path in outdated:
            print(f"{path.relative_to(ROOT)} is out of date: run python scripts/build_files.py")
        return 1 if outdated else 0
    for path in outdated:
        path.write_text(expected[path], "utf-8")
        print(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
