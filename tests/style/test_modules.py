"""House rules that a program can hold: how long a module is, and how a package gives its names."""

import ast
import importlib
import re
from pathlib import Path


ROOT = Path(__file__).parents[2]
SRC = ROOT / "src" / "thalweg"
LONGEST = 400  # lines


def test_a_module_is_one_noun():
    modules = [
        path for home in ("src", "tests", "benchmarks", "tools", "examples") for path in (ROOT / home).rglob("*.py")
    ]
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in modules}
    long = [f"{path.relative_to(ROOT)}: {lines} lines" for path, lines in lengths.items() if lines > LONGEST]
    assert not long, "\n".join(sorted(long))


def test_a_script_of_the_page_is_short_speaks_no_language_and_makes_no_html_of_text():
    wrong = []
    for path in sorted(path for path in SRC.rglob("*.js") if "vendor" not in path.parts):
        source = path.read_text(encoding="utf-8")
        if (lines := len(source.splitlines())) >= 300:
            wrong.append(f"{path.relative_to(SRC)}: {lines} lines")
        unsafe = r"innerHTML|insertAdjacentHTML|document\.write|eval\(|new Function"
        wrong += [f"{path.relative_to(SRC)}: {found}" for found in re.findall(rf"{unsafe}|[\u4e00-\u9fff]+", source)]
    assert not wrong, "\n".join(wrong)


def imported_names(statements, package):
    """Public name to the module of the package that it is imported from, relative to the package."""
    return {
        alias.asname or alias.name: node.module.removeprefix(package)
        for node in statements
        if isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith(f"{package}.")
        for alias in node.names
    }


def what_is_wrong_with(path):
    """Sentences on a package's `__init__`: names are eager, or lazy with a block for the type checker that agrees."""
    package = ".".join(("thalweg", *path.parent.relative_to(SRC).parts))
    body = ast.parse(path.read_text(encoding="utf-8")).body
    module = importlib.import_module(package)
    public = list(getattr(module, "__all__", []))
    if public != sorted(public):
        yield f"{package}: __all__ is not sorted"
    yield from (f"{package}.{name} cannot be loaded" for name in public if getattr(module, name, None) is None)
    homes = getattr(module, "_homes", None)
    if homes is None:
        return
    blocks = [node for node in body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    if len(blocks) != 1:
        yield f"{package}: lazy names, and no TYPE_CHECKING block"
        return
    typed = imported_names(blocks[0].body, package)
    if typed != dict(homes):
        differing = sorted(name for name in typed.keys() | homes.keys() if typed.get(name) != homes.get(name))
        yield f"{package}: the TYPE_CHECKING block and _homes differ in {', '.join(differing)}"
    differing = sorted(homes.keys() ^ set(public))
    if differing:
        yield f"{package}: __all__ and the lazy names differ in {', '.join(differing)}"


def test_a_package_gives_its_names_sorted_and_the_same_to_python_and_to_the_type_checker():
    wrong = [sentence for path in sorted(SRC.rglob("__init__.py")) for sentence in what_is_wrong_with(path)]
    assert not wrong, "\n".join(wrong)
