"""A peer in a process of its own Python: a question a line, an answer a line."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Self


if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class Peer:
    """A script of this folder, called with `--answer` by another Python, which is made where there is none.

    Args:
        script: reads questions from its standard input, and writes an answer of JSON for each.
        python: of a virtual environment.
        installs: arguments of `pip install`, one list after the other, for a new environment.
    """

    def __init__(self, script: str, python: Path, *installs: Sequence[str]) -> None:
        self._script, self._python, self._installs = script, python, installs

    def __enter__(self) -> Self:
        if not self._python.exists():
            subprocess.run([sys.executable, "-m", "venv", str(self._python.parents[1])], check=True)
            for arguments in self._installs:
                subprocess.run([str(self._python), "-m", "pip", "install", "--quiet", *arguments], check=True)
        self._process = subprocess.Popen(
            [str(self._python), self._script, "--answer"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def ask(self, question: str) -> Any:
        """The answer to one question."""
        print(question, file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())
