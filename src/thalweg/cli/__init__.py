"""The command line: `main` sets the language, runs a command, and turns errors into sentences and exit codes.

Each command is one thin file. It imports what it needs inside its function, so that `--help` loads no torch.
"""

from thalweg.cli._main import main


__all__ = ["main"]
