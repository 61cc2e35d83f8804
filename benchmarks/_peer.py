"""A peer in its own Python process: one question per line, one answer per line."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Self


if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class Peer:
    """A script of this folder, called with `--answer` by another Python, whose environment is created if needed.

    Args:
        script: reads questions from standard input and writes a JSON answer for each.
        python: the Python of a virtual environment.
        installs: lists of arguments of `pip install`, in order, for a new environment.
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
        """Return the answer to one question."""
        print(question, file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())
