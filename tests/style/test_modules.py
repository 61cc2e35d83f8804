"""House rules that a program can hold: length of modules, sorted public names, no path of anybody's machine."""

import ast
import importlib
from pathlib import Path

import pytest


ROOT = Path(__file__).parents[2]
SRC = ROOT / "src" / "thalweg"
MODULES = sorted(SRC.rglob("*.py"))
PACKAGES = sorted(path.parent for path in SRC.rglob("__init__.py"))


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(SRC)))
def test_a_module_is_one_noun(module):
    assert len(module.read_text(encoding="utf-8").splitlines()) <= 400


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_public_names_are_sorted_and_load(package):
    name = ".".join(("thalweg", *package.relative_to(SRC).parts))
    module = importlib.import_module(name)
    public = getattr(module, "__all__", [])
    assert list(public) == sorted(public)
    for attribute in public:
        assert getattr(module, attribute) is not None


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(SRC)))
def test_every_public_function_says_what_it_returns(module):
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef):
            assert node.returns is not None, f"{node.name}, line {node.lineno}"
