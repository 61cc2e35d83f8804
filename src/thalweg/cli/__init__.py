"""The command line: `main` sets the language, calls a verb, and turns errors into sentences and exit codes.

One thin file a verb. A verb imports what it needs inside its function, so that `--help` loads no torch.
"""

from thalweg.cli._main import main


__all__ = ["main"]
