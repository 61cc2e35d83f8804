"""Names loaded on first use are known to type checkers, too: otherwise they are `Any` and nothing is checked."""

import ast
from pathlib import Path

import thalweg


ROOT = Path(thalweg.__file__).parent


def test_every_lazy_name_is_imported_for_type_checkers():
    wrong = {}
    for path in sorted(ROOT.rglob("__init__.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        homes = next((node.value for node in tree.body if assigned(node) == "_homes"), None)
        if homes is None:
            continue
        lazy = {key.value: home.value for key, home in zip(homes.keys, homes.values, strict=True)}
        blocks = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
        package = ".".join(("thalweg", *path.parent.relative_to(ROOT).parts))
        typed = {
            alias.asname or alias.name: node.module.removeprefix(package)
            for block in blocks
            for node in block.body
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        wrong |= {f"{package}: {name}": home for name, home in lazy.items() if typed.get(name) != home}
    assert not wrong


def assigned(node):
    return ast.unparse(node.targets[0]) if isinstance(node, ast.Assign) and len(node.targets) == 1 else None
