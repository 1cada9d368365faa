"""Who may come in, and how much they may send: an ASGI layer around everything.

No header of CORS is ever sent, so a page of another site cannot read an answer; and a page of another name that
resolves to this machine is stopped at the Host header.
"""

import asyncio
import hmac
import ipaddress
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any

from edge_qa.service.network.failures import RequestError, too_large, too_slow
from edge_qa.service.settings import Limits, Listening

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

# A probe has no token, and the page is a file without secrets that asks for one.
_OPEN_PATHS = frozenset({"/", "/health", "/v2/health/live", "/v2/health/ready"})
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Guard:
    """Turns away what must not come in, and ends a body that is too large or too slow while it is received."""

    def __init__(self, app: App, listening: Listening, limits: Limits, rejected: Callable[[str], None]) -> None:
        """rejected: told the kind of each request that was turned away here."""
        self._app, self._limits, self._rejected = app, limits, rejected
        self._token = None if listening.token is None else listening.token.encode()
        # Over a Unix socket no name led here, so none can be wrong.
        self._hosts = None if listening.socket else known_hosts(listening.host, listening.hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application on what may come in."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = list(scope["headers"])
        try:
            self._check(scope, headers)
        except RequestError as error:
            self._rejected(error.failure.kind)
            await error.response()(scope, receive, send)
            return
        await self._app(scope, self._bounded(receive), send)

    def _check(self, scope: Scope, headers: Iterable[tuple[bytes, bytes]]) -> None:
        by_name: dict[bytes, list[bytes]] = {}
        for name, value in headers:
            by_name.setdefault(name, []).append(value)
        if b"transfer-encoding" in by_name:
            _check_framing(scope, by_name)
        hosts = by_name.get(b"host", [])
        if self._hosts is not None and (len(hosts) != 1 or host_name(hosts[0]) not in self._hosts):
            raise RequestError(421, "host", "this service does not go by that name", where="Host")
        # A link to the page may stand anywhere; what asks must be the page itself, or no browser.
        reads = scope["method"] in ("GET", "HEAD")
        if not reads and by_name.get(b"sec-fetch-site") not in (None, [b"same-origin"], [b"none"]):
            raise RequestError(403, "cross-site", "a page of another site may not ask here")
        if self._token is not None and scope["path"] not in _OPEN_PATHS:
            self._check_token(by_name.get(b"authorization", []))
        lengths = by_name.get(b"content-length", [])
        # h11 has checked that it is a number, and that there is one.
        if lengths and int(lengths[0]) > self._limits.body_bytes:
            raise too_large(self._limits.body_bytes)

    def _check_token(self, given: list[bytes]) -> None:
        assert self._token is not None
        scheme, _, token = given[0].partition(b" ") if len(given) == 1 else (b"", b"", b"")
        # In the same time, however much of it is right.
        is_right = hmac.compare_digest(token.strip(), self._token)
        if scheme.lower() != b"bearer" or not is_right:
            raise RequestError(
                401,
                "token",
                "this service asks for a token: Authorization: Bearer TOKEN",
                headers={"WWW-Authenticate": "Bearer"},
            )

    def _bounded(self, receive: Receive) -> Receive:
        """A `receive` that raises RequestError for a body that is too large, or not there in time."""
        deadline = time.monotonic() + self._limits.receive_s
        received, complete = 0, False

        async def bounded() -> Message:
            nonlocal received, complete
            if complete:
                return await receive()  # waits until the client leaves
            try:
                async with asyncio.timeout(deadline - time.monotonic()):
                    message = await receive()
            except TimeoutError:
                raise too_slow() from None
            received += len(message.get("body", b""))
            if received > self._limits.body_bytes:
                raise too_large(self._limits.body_bytes)
            complete = not message.get("more_body", False)
            return message

        return bounded


def _check_framing(scope: Scope, headers: Mapping[bytes, object]) -> None:
    """Refuse a body whose end a proxy in front may see elsewhere than h11 does: the rest would be a second request.

    The connection is closed, so that nothing behind the head is read as a request (RFC 9112, section 6.3).
    """
    if b"content-length" in headers:
        problem = "a request has a Content-Length or a Transfer-Encoding, not both"
    elif scope["http_version"] == "1.0":
        problem = "a request of HTTP/1.0 has no Transfer-Encoding"
    else:
        return
    raise RequestError(400, "http", problem, where="Transfer-Encoding", headers={"Connection": "close"})


def known_hosts(host: str, more: Iterable[str]) -> frozenset[str]:
    """Return the names that a request may ask for: those of the loopback, the address itself, and what was named."""
    return frozenset(name.lower() for name in (*_LOOPBACK, host, *more))


def host_name(header: bytes) -> str:
    """Return the name in a Host header, without the port and the brackets of IPv6; "" if it is malformed."""
    text = header.decode("latin-1").strip().lower()
    if text.startswith("["):
        name, bracket, rest = text[1:].partition("]")
        return name if bracket and (not rest or rest.startswith(":")) else ""
    name, _, port = text.partition(":")
    return name.removesuffix(".") if not port or port.isdigit() else ""


def is_loopback(host: str) -> bool:
    """Return whether an address to listen on can be reached from this machine only."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
