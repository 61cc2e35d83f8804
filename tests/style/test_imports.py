"""Imports go one way, up the ladder of packages, and never in a circle, not even between two files of a package."""

import ast
import subprocess
import sys
from collections import deque
from pathlib import Path

import pytest


SRC = Path(__file__).parents[2] / "src" / "thalweg"

# A package imports from the rungs below its own. Within a rung, one of two packages may import the other, in no circle.
RUNGS = [
    {
        "errors",
        "i18n",
        "_files",
        "_lazy",
        "_memory",
        "_native",
        "_notebook",
        "_pointing",
        "_quiet",
        "_replay",
        "_spinning",
    },
    {"surfaces", "optimizers", "schedules", "history", "formulas"},
    {"paths", "data", "models", "probes"},
    {"runs", "rate", "distributed"},
    {"weights", "loggers"},
    {"training"},
    {"diagnosis"},
    {"prediction", "callbacks"},
    {"figures"},
    {"playground", "report", "lessons", "notebooks", "server"},
    {"widgets"},
    {"cli"},
]
RUNG_OF = {name: height for height, names in enumerate(RUNGS) for name in names}
ROOT = "thalweg"  # its lazy names are of every rung, so it stands on none, and nobody is in a circle through it
FRONT_DOORS = {"__init__", "__main__"}
# No module of these loads torch; the modules of the others may, their packages do not before a name is used.
LIGHT = (
    "errors",
    "i18n",
    "_files",
    "_lazy",
    "_memory",
    "_native",
    "_notebook",
    "_pointing",
    "_quiet",
    "_spinning",
    "cli",
    *RUNGS[1],
    "paths",
)


def name_of(path):
    parts = (ROOT, *path.relative_to(SRC).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def shortest_way_back(graph, start):
    """The names from `start` along imports back to it, or None."""
    came_from, waiting = {}, deque([start])
    while waiting:
        name = waiting.popleft()
        for following in graph[name]:
            if following == start:
                way = [name]
                while way[-1] != start:
                    way.append(came_from[way[-1]])
                return way[::-1]
            if following not in came_from:
                came_from[following] = name
                waiting.append(following)
    return None


def circles(graph):
    found = {}
    for name in graph:
        if way := shortest_way_back(graph, name):
            found.setdefault(frozenset(way), " → ".join([*way, name]))
    return list(found.values())


@pytest.fixture(scope="module")
def files():
    """Each module with the modules of this package that it imports anywhere: in functions and for the types, too."""
    paths = {name_of(path): path for path in sorted(SRC.rglob("*.py"))}

    def module_of(name):
        while name not in paths:
            name = name.rpartition(".")[0]
        return name

    graph = {}
    for name, path in paths.items():
        found = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert not node.level, f"{name}, line {node.lineno}: imports are written with the whole name"
                found |= {f"{node.module}.{alias.name}" for alias in node.names}
        graph[name] = {module_of(one) for one in found if one.split(".")[0] == ROOT} - {name, ROOT}
    del graph[ROOT]
    return graph


@pytest.fixture(scope="module")
def packages(files):
    """Each package or module at the top, with those that it imports."""
    graph = {name.split(".")[1]: set() for name in files}
    for name, imported in files.items():
        home = name.split(".")[1]
        graph[home] |= {one.split(".")[1] for one in imported} - {home}
    return {name: imported for name, imported in graph.items() if name not in FRONT_DOORS}


def test_everything_at_the_top_has_a_rung_and_every_name_on_a_rung_is_there(packages):
    assert packages.keys() == RUNG_OF.keys()


def test_a_package_imports_nothing_from_above_its_rung(files):
    wrong = [
        f"{name} imports {package}"
        for name, imported in files.items()
        if (home := name.split(".")[1]) not in FRONT_DOORS
        for package in sorted({one.split(".")[1] for one in imported})
        if RUNG_OF[package] > RUNG_OF[home]
    ]
    assert not wrong, "\n".join(wrong)


def test_no_packages_import_one_another_in_a_circle(packages):
    found = circles(packages)
    assert not found, "\n".join(found)


def test_no_files_import_one_another_in_a_circle(files):
    found = circles(files)
    assert not found, "\n".join(found)


def test_circles_are_found():
    assert circles({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b → c → b"]
    assert len(circles({"a": {"b"}, "b": {"a", "c"}, "c": {"d"}, "d": {"b"}})) == 2


def test_torch_is_loaded_by_the_upper_half_only_and_by_no_package_before_a_name_is_used(files):
    packages = {name_of(path) for path in SRC.rglob("__init__.py")}
    light = sorted(packages | {name for name in files if name.split(".")[1] in LIGHT})
    code = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    importlib.import_module(name)\n"
        "    if 'torch' in sys.modules: sys.exit(f'{name} loads torch')\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *light], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
