"""The process in which a proof runs: one line of JSON, and nothing else, on stdout."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from thalweg.server.verdicts import prove


if __name__ == "__main__":
    sys.stdout.write(json.dumps(prove(Path(sys.argv[1]), sys.argv[2]), ensure_ascii=False, default=str) + "\n")
