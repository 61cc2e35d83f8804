"""The middleware: which requests get an answer, and what the page may do in the browser.

- *Host*: a foreign name is refused, so that a foreign page cannot reach the server through its own name for 127.0.0.1
  (DNS rebinding). IP addresses cannot be rebound; beyond loopback they are accepted.
- *Origin*: a request that changes something, and every socket, must come from a page of this server; a request that
  costs work must not come from a foreign page.
- *Token*: beyond loopback, visitors without it are refused. It comes once in the address, then stays in a cookie.
- *Content security policy*: the page loads and runs what this server sends, and nothing else.
"""

from __future__ import annotations

import hmac
import ipaddress
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from thalweg.i18n import LANGUAGES, speaking, t


if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_UNSAFE: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_COOKIE: Final = "thalweg_token"
_MONTH: Final = 30 * 86_400  # seconds
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self' ws://{host}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Guard:
    """The middleware in front of all routes.

    Args:
        app: the application behind it.
        token: the token that visitors need; None on loopback.
        host: the machine's name in the visitors' address, if it is not an IP address.
    """

    def __init__(self, app: ASGIApp, *, token: str | None = None, host: str = "") -> None:
        self._app, self._token, self._host = app, token, host.lower()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        headers, asked = Headers(scope=scope), _query(scope)
        host = headers.get("host", "")
        with speaking(_language(asked.get("lang"), headers.get("accept-language", ""))):
            refusal = self._refusal(scope, headers, asked)
            if refusal is None and self._came_with_token(scope, asked):
                refusal = self._keep_token(scope)
            if refusal is None:
                await self._app(scope, receive, _with_headers(send, host))
            elif scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            else:
                await refusal(scope, receive, _with_headers(send, host))

    def _refusal(self, scope: Scope, headers: Headers, asked: dict[str, str]) -> Response | None:
        host = headers.get("host", "")
        if not self._is_ours(host):
            return PlainTextResponse(t("page.wrong_host", host=host[:200]), 421)
        origin = headers.get("origin")
        socket = scope["type"] == "websocket"
        changes = socket or scope["method"] in _UNSAFE
        if (socket and origin is None) or (changes and origin is not None and not _is_same(origin, host)):
            return PlainTextResponse(t("page.wrong_origin", origin=(origin or "")[:200]), 403)
        site = headers.get("sec-fetch-site", "same-origin")
        is_work = scope["path"].startswith("/api/")  # a foreign page could keep the CPU busy with our pictures
        if (changes and site not in {"same-origin", "none"}) or (is_work and site == "cross-site"):
            return PlainTextResponse(t("page.wrong_origin", origin=""), 403)
        if self._token is not None and not self._knows(headers, asked):
            return PlainTextResponse(t("page.no_token"), 403)
        return None

    def _is_ours(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return is_loopback(name) or (self._token is not None and self._is_known(name))

    def _is_known(self, name: str) -> bool:
        """Whether a name is an IP address, or the name with which this server was started."""
        return _is_address(name) or name == self._host

    def _knows(self, headers: Headers, asked: dict[str, str]) -> bool:
        kept = [part.partition("=") for part in headers.get("cookie", "").split(";")]
        given = [asked.get("token", ""), *(value for name, _, value in kept if name.strip() == _COOKIE)]
        assert self._token is not None  # noqa: S101 - for the type checker
        right = self._token.encode()
        return any(hmac.compare_digest(one.encode("utf-8", "replace"), right) for one in given)

    def _came_with_token(self, scope: Scope, asked: dict[str, str]) -> bool:
        return self._token is not None and scope["type"] == "http" and scope["path"] == "/" and "token" in asked

    def _keep_token(self, scope: Scope) -> Response:
        """Move the token from the address into a cookie, so that no history and no shared link has it."""
        rest = [part for part in scope["query_string"].decode("latin-1").split("&") if not part.startswith("token=")]
        response = RedirectResponse("/" + ("?" + "&".join(rest) if any(rest) else ""), 303)
        response.set_cookie(_COOKIE, self._token or "", max_age=_MONTH, httponly=True, samesite="strict")
        return response


def is_loopback(host: str) -> bool:
    """Whether a name or address is loopback."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _query(scope: Scope) -> dict[str, str]:
    found = parse_qs(scope["query_string"].decode("latin-1"), max_num_fields=None)
    return {name: values[-1] for name, values in found.items()}


def _language(asked: str | None, accepted: str) -> str | None:
    """The language in the address, else the browser's first language in the catalogue, else None."""
    if asked in LANGUAGES:
        return asked
    for part in accepted.split(","):
        name = part.partition(";")[0].strip().lower()
        if name.startswith("zh"):
            return "zh-CN"
        if name.startswith("en"):
            return "en"
    return None


def _is_same(origin: str, host: str) -> bool:
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and parts.netloc.lower() == host.lower()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _with_headers(send: Send, host: str) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] in {"http.response.start", "websocket.http.response.start"}:
            headers = MutableHeaders(raw=message["headers"])
            safe = "".join(letter for letter in host if letter.isalnum() or letter in ".-:[]")
            headers["content-security-policy"] = _POLICY.format(host=safe)
            headers["x-content-type-options"] = "nosniff"
            headers["referrer-policy"] = "no-referrer"
            headers["cross-origin-resource-policy"] = "same-origin"
            headers["cross-origin-opener-policy"] = "same-origin"
            headers.setdefault("cache-control", "no-store")
        await send(message)

    return send_with_headers
