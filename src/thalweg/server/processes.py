"""Processes of this very program, beside the server."""

from __future__ import annotations

import asyncio
import os
import sys

from thalweg.i18n import get_language


async def launch(*arguments: str, stderr: int) -> asyncio.subprocess.Process:
    """Start Python with some arguments, in the visitor's language; what it writes to stdout can be read.

    It is of a session of its own: a Ctrl-C for the server does not reach it.

    Args:
        *arguments: as Python takes them; no shell reads them.
        stderr: one of `asyncio.subprocess`.
    """
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=stderr,
        env={**os.environ, "THALWEG_LANG": get_language()},
        start_new_session=True,
    )
