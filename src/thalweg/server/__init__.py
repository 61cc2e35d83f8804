"""The local page: `thalweg serve DIR`.

Python computes, the page's script draws. `app` joins the routes of all tabs (`routes`, one module per tab),
`middleware` decides which requests to answer, `request` reads them, and `answers` writes the responses.
"""

from typing import TYPE_CHECKING

from thalweg._lazy import lazy_names


if TYPE_CHECKING:
    from thalweg.server.app import build_app
    from thalweg.server.serving import serve

_homes = {"build_app": ".app", "serve": ".serving"}

__all__ = ["build_app", "serve"]

__getattr__, __dir__ = lazy_names(__name__, _homes)
