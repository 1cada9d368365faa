"""Ctrl-C and its like: held back until a step is whole, or let through where nothing can be lost."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequests:
    """Whether somebody has asked to stop."""

    def __init__(self) -> None:
        self.asked = False
        self._through = False

    def ask(self) -> None:
        """Take note of a request; raises KeyboardInterrupt inside `let_through`."""
        self.asked = True
        if self._through:
            raise KeyboardInterrupt

    @contextmanager
    def let_through(self) -> Iterator[None]:
        """For work that can be stopped anywhere: a request raises KeyboardInterrupt at once, an earlier one, too."""
        self._through = True
        try:
            if self.asked:
                raise KeyboardInterrupt
            yield
        finally:
            self._through = False


@contextmanager
def stop_requests() -> Iterator[StopRequests]:
    """Yield the requests that come from now on, by SIGINT, SIGTERM or SIGHUP. A second one stops at once."""
    requests = StopRequests()
    if threading.current_thread() is not threading.main_thread():
        yield requests
        return
    before = {number: signal.getsignal(number) for number in _ENDINGS}
    # What is ignored stays so: nohup, and SIGINT of what a script runs in the background.
    before = {number: handler for number, handler in before.items() if handler not in (signal.SIG_IGN, None)}

    def ask(number: int, _frame: object) -> None:
        signal.signal(number, before[signal.Signals(number)])
        requests.ask()

    for number in before:
        signal.signal(number, ask)
    try:
        yield requests
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
