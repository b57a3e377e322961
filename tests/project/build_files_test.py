# SPDX-License-Identifier: Apache-2.0
"""The BUILD files parse, name files that exist, cover every module, and have no cycles."""

from __future__ import annotations

import ast
import graphlib
import pathlib

ROOT = pathlib.Path(__file__).parents[2]
PACKAGES = ("ds2_tf", "pipeline", "serving", "demo", "tests")


def _rules() -> dict[str, dict]:
    """Every rule's arguments, by label; BUILD files are Python expressions as far as used here."""
    rules = {}
    for path in [ROOT / "BUILD", *(p for name in PACKAGES for p in (ROOT / name).rglob("BUILD"))]:
        package = path.parent.relative_to(ROOT).as_posix().removeprefix(".")
        for statement in ast.parse(path.read_text("utf-8")).body:
            call = statement.value
            assert isinstance(call, ast.Call), f"{path}:{statement.lineno} is not a rule"
            arguments = {
                keyword.arg: ast.literal_eval(keyword.value)
                for keyword in call.keywords
                if not isinstance(keyword.value, ast.Call)
            }
            if "name" in arguments:
                label = f"//{package}:{arguments['name']}"
                assert label not in rules, f"{label} occurs twice"
                rules[label] = {"rule": call.func.id, "package": package, **arguments}
    return rules


def _absolute(label: str, package: str) -> str:
    return f"//{package}{label}" if label.startswith(":") else label


def test_every_module_and_test_has_its_target():
    in_rules = {
        f"{rule['package']}/{source}": rule["rule"]
        for rule in _rules().values()
        for source in rule.get("srcs", [])
    }
    expected = {
        path.relative_to(ROOT).as_posix(): (
            "py_test" if path.name.endswith("_test.py") else "py_library"
        )
        for name in PACKAGES
        for path in (ROOT / name).rglob("*.py")
    }
    assert in_rules == expected


def test_named_files_and_targets_exist():
    rules = _rules()
    for label, rule in rules.items():
        for file in (*rule.get("srcs", []), *rule.get("data", [])):
            if file.startswith("//"):
                assert file in rules, f"{label} has data {file}"
            else:
                assert (ROOT / rule["package"] / file).is_file(), f"{label} names {file}"
        for dependency in rule.get("deps", []):
            assert _absolute(dependency, rule["package"]) in rules, f"{label} needs {dependency}"


def test_dependencies_have_no_cycle():
    graph = {
        label: {_absolute(dependency, rule["package"]) for dependency in rule.get("deps", [])}
        for label, rule in _rules().items()
    }
    graphlib.TopologicalSorter(graph).prepare()


def test_arrows_point_downwards():
    allowed = {
        "ds2_tf": {"ds2_tf"},
        "pipeline": {"pipeline", "ds2_tf"},
        "serving": {"serving", "ds2_tf"},
    }
    # A command line serves all packages: the one place that may look upwards, when it is called.
    exceptions = {
        ("//ds2_tf/commands:server_arguments", "serving"),
        ("//ds2_tf/commands:transcribe", "serving"),
        ("//ds2_tf/commands:streamed_transcription", "serving"),
    }
    for label, rule in _rules().items():
        package = rule["package"].split("/")[0]
        for dependency in rule.get("deps", []):
            target = _absolute(dependency, rule["package"])[2:].split("/")[0].split(":")[0]
            if package in allowed and (label, target) not in exceptions:
                assert target in allowed[package], f"{label} must not need {dependency}"
