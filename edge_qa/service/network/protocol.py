"""uvicorn's HTTP/1.1 over h11, with what it lacks: deadlines for a request to arrive and for a response to leave.

uvicorn has a timer for connections that are idle after a response, and for nothing else: one that sends nothing, or
a byte a second, stays for ever. Responses are counted here, because those to what is no HTTP, to a connection too
many and to an application that failed are uvicorn's own.
"""

import asyncio
from collections.abc import Callable

from edge_qa.errors import missing_extra
from edge_qa.service.network.failures import RequestError

try:
    import h11
    from uvicorn.protocols.http.h11_impl import H11Protocol
except ModuleNotFoundError as error:
    raise missing_extra(error, "serve") from None

# After the answer about a slow body, so that the client still reads it. Seconds.
_GRACE_S = 1.0


class _Responding(h11.Connection):
    """The server's side of HTTP/1.1, which tells the status of each response that leaves."""

    def __init__(self, longest_head: int, responded: Callable[[int], None]) -> None:
        super().__init__(h11.SERVER, longest_head)
        self._responded = responded

    def send_with_data_passthrough(self, event: h11.Event) -> list[bytes] | None:
        """Send an event, as `send` does."""
        sent: list[bytes] | None = super().send_with_data_passthrough(event)
        if isinstance(event, h11.Response):
            self._responded(event.status_code)
        return sent


def protocol_with(
    receive_s: float, *, longest_head: int, responded: Callable[[int], None], rejected: Callable[[str], None]
) -> type[asyncio.Protocol]:
    """Return the class of connections.

    receive_s: from a request's first byte, or the connection's, to its last. longest_head: bytes of a request's head.
    responded: told the status of each response. rejected: told the kind of what is turned away here.
    """

    class Connection(H11Protocol):
        """One connection. A deadline runs while a request is arriving, and while a response cannot leave."""

        _arriving: asyncio.TimerHandle | None = None
        _leaving: asyncio.TimerHandle | None = None
        _watched: object = None

        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(transport)
            self.conn = _Responding(longest_head, responded)
            self._arriving = self.loop.call_later(receive_s, self._too_slow)

        def send_400_response(self, msg: str) -> None:
            """Say what is wrong with what is no HTTP, as every other failure is said."""
            failure = RequestError(400, "http", "the request is no valid HTTP/1.1")
            rejected(failure.failure.kind)
            content = failure.response().body
            headers = [
                (b"content-type", b"application/json"),
                (b"content-length", b"%d" % len(content)),
                (b"x-content-type-options", b"nosniff"),
                (b"cache-control", b"no-store"),
                (b"connection", b"close"),
            ]
            for event in (
                h11.Response(status_code=400, headers=headers, reason=b"Bad Request"),
                h11.Data(data=bytes(content)),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event))
            self.transport.close()

        def connection_lost(self, exc: Exception | None) -> None:
            for timer in (self._arriving, self._leaving):
                if timer is not None:
                    timer.cancel()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._watch()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            self._watch()
            if self.transport.is_closing():
                self._let_leave()

        def pause_writing(self) -> None:
            super().pause_writing()
            self._let_leave()

        def resume_writing(self) -> None:
            super().resume_writing()
            if self._leaving is not None and not self.transport.is_closing():
                self._leaving.cancel()
                self._leaving = None

        def _watch(self) -> None:
            """Run the deadline if, and only if, a request has begun and not ended."""
            state = self.conn.their_state
            begun = state is h11.SEND_BODY or (state is h11.IDLE and bool(self.conn.trailing_data[0]))
            # One that was answered before it ended has the time that was its own, and no more.
            if self._arriving is not None and (not begun or self._watched is not self.cycle):
                self._arriving.cancel()
                self._arriving = None
            if begun and self._arriving is None:
                self._watched = self.cycle
                grace = _GRACE_S if state is h11.SEND_BODY else 0.0
                self._arriving = self.loop.call_later(receive_s + grace, self._too_slow)

        def _too_slow(self) -> None:
            self._arriving = None
            if self.cycle is not None and not self.cycle.response_complete:
                self.transport.abort()
            elif not self.transport.is_closing():
                self.transport.close()
                self._let_leave()

        def _let_leave(self) -> None:
            if self._leaving is None:
                self._leaving = self.loop.call_later(receive_s, self.transport.abort)

    return Connection
