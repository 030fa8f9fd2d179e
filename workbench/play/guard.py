"""Who may talk to the page's server: a browser that was given the token, on a page of this server alone."""

import hmac
from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BYTES = 2**18
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Guard:
    """Refuse requests without the `token` as first part of their path, and those that pages of other origins make.

    A request that changes something names its page's origin, which must be one of `origins`, and sends JSON of at most
    MOST_BYTES.
    """

    def __init__(self, app: ASGIApp, token: str, origins: Sequence[str]) -> None:
        self._app, self._token, self._origins = app, token.encode(), origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 403, 404, 413 or 415, or pass the request on."""
        if scope["type"] != "http":
            return
        status = self._refusal(scope)

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        app = PlainTextResponse("refused", status_code=status) if status else self._app
        await app(scope, receive, with_headers)

    def _refusal(self, scope: Scope) -> int:
        """Return the status that refuses a request; 0 for one that may pass."""
        headers = Headers(scope=scope)
        given = scope["path"].split("/")[1].encode()
        if not hmac.compare_digest(given, self._token):
            return 404
        origin, changes = headers.get("origin"), scope["method"] not in ("GET", "HEAD")
        if (changes or origin is not None) and origin not in self._origins:
            return 403
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return 403
        if not changes:
            return 0
        length = headers.get("content-length", "")
        if not length.isdecimal() or int(length) > MOST_BYTES:
            return 413
        return 0 if headers.get("content-type") == "application/json" else 415
