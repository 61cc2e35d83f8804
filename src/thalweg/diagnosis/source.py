"""The user's program around a watch: where a call stands, and what its lines say. It is read, never run."""

from __future__ import annotations

import ast
import linecache
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from collections.abc import Iterator

_OURS = "thalweg"
_DRAWS = ("choice", "choices", "integers", "multinomial", "permutation", "randint", "randperm", "sample", "shuffle")


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a program.

    Attributes:
        file: as Python names it; that of a notebook's cell is none on the disk.
        line: its number, from 1.
    """

    file: str
    line: int

    @property
    def name(self) -> str:
        """Such as `train.py:42`."""
        cell = "ipykernel_" in self.file or self.file.startswith("<ipython")
        return f"{'cell' if cell else Path(self.file).name}:{self.line}"


def caller(module: str) -> Place | None:
    """The place that called into a module; None if that is in this package, which nobody is to edit.

    Args:
        module: name of the module that calls this function.
    """
    frame = sys._getframe(1)  # noqa: SLF001 - inspect.currentframe, without its imports
    while frame.f_back is not None and frame.f_globals.get("__name__") == module:
        frame = frame.f_back
    ours = str(frame.f_globals.get("__name__", "")).partition(".")[0] == _OURS
    return None if ours else Place(frame.f_code.co_filename, frame.f_lineno)


class Program:
    """A file of the user's, parsed; everything is empty if it cannot be.

    Args:
        place: of the call in the loop: its function is searched first.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        try:
            tree: ast.AST = ast.parse("".join(linecache.getlines(place.file)))
        except (SyntaxError, ValueError, RecursionError, SystemError):
            # a cell with magic, a file that has changed since, or Python's own parser, which 3.11 may end with an error
            tree = ast.Module([], [])
        self._tree = tree
        self._scope = self._around((ast.FunctionDef, ast.AsyncFunctionDef), place.line) or tree

    def call_at(self, line: int, *names: str) -> ast.Call | None:
        """The call of one of these functions that covers a line."""
        found = [call for call in _calls(self._tree, names) if call.lineno <= line <= (call.end_lineno or call.lineno)]
        return found[0] if found else None

    def call(self, *names: str) -> ast.Call | None:
        """The only call of one of these functions, in the loop's function or else in the file; None if not one."""
        for part in (self._scope, self._tree):
            found = list(_calls(part, names))
            if found:
                return found[0] if len(found) == 1 else None
        return None

    def call_in_loop(self, *names: str) -> ast.Call | None:
        """The first call of one of these functions in the loop that calls the watch."""
        loop = self._around((ast.For, ast.While, ast.AsyncFor), self.place.line)
        return next(_calls(loop, names), None) if loop is not None else None

    def reopening(self) -> ast.Call | None:
        """The call `next(iter(…))` that begins the loader anew: in the loop, or in a function that gives it a batch."""
        for part in self._every_step():
            for call in _calls(part, ("next",)):
                opened = call.args and list(_calls(call.args[0], ("iter",)))
                if opened and (not isinstance(part, ast.FunctionDef) or _returns(part, call)):
                    return call
        return None

    def reseeding(self) -> ast.Call | None:
        """The call that seeds with a fixed number before each draw: in the loop, or in a function that it calls."""
        for part in self._every_step(methods=False):
            drawn = max((call.lineno for call in _calls(part, _DRAWS)), default=0)
            for call in _calls(part, ("manual_seed", "seed")):
                if call.args and isinstance(call.args[0], ast.Constant) and call.lineno < drawn:
                    return call
        return None

    def _every_step(self, *, methods: bool = True) -> Iterator[ast.stmt]:
        """The loop that calls the watch, and the functions that it calls by their names; or methods, too."""
        loop = self._around((ast.For, ast.While, ast.AsyncFor), self.place.line)
        if loop is None:
            return
        yield loop
        asked = [node.func for node in ast.walk(loop) if isinstance(node, ast.Call)]
        called = {last_name(one) for one in asked if methods or isinstance(one, ast.Name)}
        functions = [node for node in ast.walk(self._tree) if isinstance(node, ast.FunctionDef) and node.name in called]
        yield from (one for one in functions if not one.lineno <= loop.lineno <= (one.end_lineno or 0))

    def name(self, node: ast.AST) -> str:
        """Such as `train.py:42`."""
        return Place(self.place.file, getattr(node, "lineno", self.place.line)).name

    def _around(self, kinds: tuple[type[ast.stmt], ...], line: int) -> ast.stmt | None:
        """The innermost statement of these kinds that holds a line."""
        holds = [
            node
            for node in ast.walk(self._tree)
            if isinstance(node, kinds) and node.lineno <= line <= (node.end_lineno or 0)
        ]
        return max(holds, key=lambda node: node.lineno, default=None)


def _calls(part: ast.AST, names: tuple[str, ...]) -> Iterator[ast.Call]:
    for node in ast.walk(part):
        if isinstance(node, ast.Call) and last_name(node.func) in names:
            yield node


def _returns(function: ast.FunctionDef, call: ast.Call) -> bool:
    """Whether a function returns what a call gives, or names that it was given to, and nothing made of them."""
    given = [node for node in ast.walk(function) if isinstance(node, ast.Assign) and call in ast.walk(node.value)]
    parts = [part for node in given for target in node.targets for part in ast.walk(target)]
    names = {part.id for part in parts if isinstance(part, ast.Name)}

    def gives(value: ast.expr | None) -> bool:
        if isinstance(value, ast.Tuple | ast.List):
            return any(map(gives, value.elts))
        if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute):  # x.to(device)
            return value is call or gives(value.func.value)
        return value is call or (isinstance(value, ast.Name) and value.id in names)

    return any(gives(node.value) for node in ast.walk(function) if isinstance(node, ast.Return))


def last_name(node: ast.expr) -> str:
    """The last part of a dotted name.

    Example:
        >>> last_name(ast.parse("torch.optim.Adam", mode="eval").body)
        'Adam'
    """
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def rewritten(call: ast.Call, *, first: str = "", name: str = "", **given: float | str) -> str:
    """A call as code, with other arguments.

    Args:
        call: the call as it is written.
        first: what the first argument becomes; empty: it stays.
        name: what the function becomes, without what is before its last dot; then only first argument and `given` stay.
        **given: keywords and their new values; a second argument without a name is the learning rate.

    Example:
        >>> call = ast.parse("torch.optim.SGD(net.parameters(), 0.1, momentum=0.9)", mode="eval").body
        >>> rewritten(call, lr=0.01)
        'torch.optim.SGD(net.parameters(), 0.01, momentum=0.9)'
        >>> rewritten(call, name="Adam", lr=0.001)
        'torch.optim.Adam(net.parameters(), lr=0.001)'
    """
    arguments = [ast.unparse(one) for one in call.args]
    keywords = {one.arg or "**": ast.unparse(one.value) for one in call.keywords}
    function = ast.unparse(call.func)
    if name:
        function = function[: len(function) - len(last_name(call.func))] + name
        arguments, keywords = arguments[:1], {key: value for key, value in keywords.items() if key == "params"}
    if first:
        arguments[:1], _ = [first], keywords.pop("params", None)
    for key, value in given.items():
        text = value if isinstance(value, str) else f"{value:.3g}"
        if key == "lr" and len(arguments) > 1:
            arguments[1] = text
        else:
            keywords[key] = text
    named = [f"{key}={value}" if key != "**" else f"**{value}" for key, value in keywords.items()]
    return f"{function}({', '.join([*arguments, *named])})"
