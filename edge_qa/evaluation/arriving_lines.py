"""Lines of a pipe or a terminal, and whether another one is at hand: who asks one by one must not be kept waiting."""

import io
import os
import select


class ArrivingLines(io.BufferedReader):
    """The bytes of a file descriptor, which stays open."""

    def __init__(self, descriptor: int) -> None:
        """Read from a descriptor that nobody else reads from."""
        self._counted = _CountedBytes(descriptor)
        self._taken = 0
        super().__init__(self._counted)

    def __next__(self) -> bytes:
        line = self.readline()
        if not line:
            raise StopIteration
        self._taken += 1
        return line

    def at_hand(self) -> bool:
        """Return whether the next line, or the end, can be had without waiting for whoever writes."""
        if self._counted.line_feeds > self._taken:
            return True
        try:
            readable, _, _ = select.select([self._counted.descriptor], [], [], 0)
        except (OSError, ValueError):  # nothing that one could wait for
            return True
        return bool(readable)


class _CountedBytes(io.RawIOBase):
    def __init__(self, descriptor: int) -> None:
        self.descriptor, self.line_feeds = descriptor, 0

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self.descriptor

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        content = os.read(self.descriptor, len(buffer))
        buffer[: len(content)] = content
        self.line_feeds += content.count(b"\n")
        return len(content)
