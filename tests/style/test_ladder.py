"""Imports go one way, up the ladder of the design."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest


SRC = Path(__file__).parents[2] / "src" / "thalweg"

RUNGS = [
    {"errors", "i18n", "_files", "_lazy", "_native", "_pointing", "_replay", "_spinning"},
    {"surfaces", "optimizers", "schedules", "history"},
    {"paths", "data", "models", "probes"},
    {"training", "diagnosis"},
    {"prediction", "race", "callbacks"},
    {"figures"},
    {"report", "lessons", "server"},
    {"cli"},
]
RUNG_OF = {name: height for height, names in enumerate(RUNGS) for name in names}


def packages_imported_by(module: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.split(".")[1] for name in found if name.startswith("thalweg.")} & RUNG_OF.keys()


@pytest.mark.parametrize("module", sorted(SRC.rglob("*.py")), ids=lambda path: str(path.relative_to(SRC)))
def test_a_module_imports_nothing_from_above_its_rung(module):
    parts = module.relative_to(SRC).with_suffix("").parts
    if parts in {("__init__",), ("__main__",)}:
        pytest.skip("the package's own front doors load every name, lazily, or the command line")
    home = parts[0]
    assert home in RUNG_OF, f"{home} has no rung on the ladder"
    for package in packages_imported_by(module) - {home}:
        assert RUNG_OF[package] <= RUNG_OF[home], f"{home} must not import {package}"


LIGHT = [
    "thalweg",
    *(
        f"thalweg.{name}"
        for name in ("errors", "i18n", "history", "surfaces", "optimizers", "schedules", "paths", "cli")
    ),
]


@pytest.mark.parametrize("name", LIGHT)
def test_the_lower_half_imports_no_torch(name):
    code = f"import {name}, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
