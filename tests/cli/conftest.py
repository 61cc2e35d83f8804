"""The command line in this process."""

import sys

import pytest

from thalweg.cli import main


@pytest.fixture
def thalweg(monkeypatch, capsys):
    """Run the command line as `thalweg ARGUMENTS`; gives exit code, stdout, stderr."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["thalweg", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return ended.value.code or 0, captured.out, captured.err

    return call
