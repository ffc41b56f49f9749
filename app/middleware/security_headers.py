"""Security headers of every response: what a browser may do with our pages."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "media-src 'self' blob:{audio}; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_OVER_HTTPS = (b"strict-transport-security", b"max-age=31536000")  # a year, in seconds
# Features that no page needs. Browsers complain about names that they do not know, so these are left out.
_UNUSED = (
    *("accelerometer", "camera", "display-capture", "geolocation", "gyroscope", "magnetometer", "microphone", "midi"),
    *("payment", "publickey-credentials-get", "usb", "xr-spatial-tracking"),
)
_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", ", ".join(f"{feature}=()" for feature in _UNUSED).encode()),
    (b"x-frame-options", b"DENY"),
]

FOR_REFUSALS = [(b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"), *_HEADERS]
"""Headers of a response that is not made by the application."""


class SecurityHeaders:
    """ASGI middleware that adds the headers to the first message of a response; streams are not slowed down.

    Args:
        over_https: whether people use https, even if requests reach this server without it.
        audio_origin: the other site that audio is fetched from, if any.
    """

    def __init__(self, app: ASGIApp, over_https: bool = False, audio_origin: str = "") -> None:
        self._app = app
        self._over_https = over_https
        policy = _POLICY.format(audio=audio_origin and f" {audio_origin}")
        self._headers = [(b"content-security-policy", policy.encode()), *_HEADERS]
        self._secure = [*self._headers, _OVER_HTTPS]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message.get("headers", ())
                said = {name for name, _ in headers}  # lower-case, as ASGI requires
                ours = self._secure if self._over_https or scope["scheme"] == "https" else self._headers
                message["headers"] = [*headers, *(header for header in ours if header[0] not in said)]
            await send(message)

        await self._app(scope, receive, marked if scope["type"] == "http" else send)
