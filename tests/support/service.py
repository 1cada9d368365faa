"""A service as a process of its own, and clients that speak to it."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from edge_qa.bundle.bundle import Bundle, new_bundle
from edge_qa.bundle.manifest import Manifest
from tests.support.places import ROOT

SMALL_BUNDLE = ROOT / "examples" / "models" / "minilm-squad-small-int8"
_PATIENCE_S = 120  # a busy machine takes its time; nothing here is measured


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Service:
    """`edge-qa serve`, running; requests go to it one connection each."""

    def __init__(
        self,
        *arguments: object,
        wait: bool = True,
        hosts_socket: Path | None = None,
        under: Sequence[str] = (),
    ) -> None:
        """under: a program that becomes the service, such as `strace -D`."""
        where = [] if hosts_socket else ["--port", "0"]
        self._socket = hosts_socket
        self.process = subprocess.Popen(
            [*under, sys.executable, "-m", "edge_qa", "serve", *map(str, arguments), *where],
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
        )
        self.log: list[str] = []
        self.port = 0
        try:
            address = self._until("listening on ")
            if match := re.search(r":(\d+)$", address):
                self.port = int(match[1])
            if wait:
                self.until_ready()
        except BaseException:
            self.process.kill()
            raise

    def _until(self, start: str) -> str:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log.append(line)
            if line.startswith(start):
                return line.strip()
        raise AssertionError(f"the service ended: {''.join(self.log)}")

    def until_ready(self) -> None:
        self.until(lambda: self.get("/health").status == 200)

    def until(self, true: Any) -> None:
        """Wait until something is true; fail if it does not become so."""
        end = time.monotonic() + _PATIENCE_S
        while not true():
            assert time.monotonic() < end, "waited too long"
            assert self.process.poll() is None, self.rest_of_log()
            time.sleep(0.02)

    def connection(self, timeout: float = _PATIENCE_S) -> http.client.HTTPConnection:
        made = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        if self._socket is not None:
            made.sock = socket.socket(socket.AF_UNIX)
            made.sock.settimeout(timeout)
            try:
                made.sock.connect(str(self._socket))
            except OSError:  # the service has ended
                made.close()
                raise
        return made

    def request(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Reply:
        connection = self.connection()
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            return Reply(response.status, dict(response.headers), response.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Reply:
        return self.request("GET", path, headers=headers)

    def post(self, path: str, value: Any, **headers: str) -> Reply:
        """Post JSON, or bytes as they are."""
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        return self.request("POST", path, body, {"Content-Type": "application/json", **headers})

    def ask(self, question: str, context: str, **parameters: Any) -> Reply:
        value = {"inputs": {"question": question, "context": context}, "parameters": parameters}
        return self.post("/v1/question-answering", value)

    def raw(self, content: bytes, *, timeout: float = _PATIENCE_S) -> bytes:
        """What comes back for bytes until the service closes the connection."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as connection:
            connection.sendall(content)
            received = b""
            while block := connection.recv(65536):
                received += block
            return received

    def metric(self, line: str) -> float:
        """The value of a line of the metrics; 0 if it is not there."""
        found = re.search(rf"^{re.escape(line)} (\S+)$", self.get("/metrics").body.decode(), re.MULTILINE)
        return float(found[1]) if found else 0.0

    def workers(self) -> list[int]:
        """The processes that answer."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(child) for child in children]

    def signal_workers(self, number: int) -> None:
        for worker in self.workers():
            os.kill(worker, number)

    def end(self, number: int = signal.SIGTERM) -> int:
        """End the service and return its exit code."""
        self.process.send_signal(number)
        code = self.process.wait(_PATIENCE_S)
        self.rest_of_log()
        return code

    def rest_of_log(self) -> str:
        if self.process.poll() is not None and self.process.stderr is not None and not self.process.stderr.closed:
            self.log += self.process.stderr.readlines()
            self.process.stderr.close()
        return "".join(self.log)


def changed_bundle(destination: Path, source: Path = SMALL_BUNDLE, **changes: Any) -> Path:
    """Write a bundle again with other parts of its manifest."""
    bundle = Bundle.load(source)
    with new_bundle(destination) as draft:
        for name in bundle.manifest.files:
            draft.add(name, bundle.contents[name].tobytes())
        parts = {field.name: getattr(bundle.manifest, field.name) for field in fields(Manifest)}
        kept = {name: part for name, part in parts.items() if name not in ("format", "digest", "files")}
        draft.seal(**kept | changes)
    return destination


def terse_bundle(destination: Path, source: Path = SMALL_BUNDLE) -> Path:
    """Write a bundle again with answers of one token, so that it can be told by its answers."""
    defaults = replace(Bundle.load(source).manifest.defaults, max_answer_len=1)
    return changed_bundle(destination, source, defaults=defaults)


@contextmanager
def running(
    *arguments: object, wait: bool = True, hosts_socket: Path | None = None, under: Sequence[str] = ()
) -> Iterator[Service]:
    """A service; it is ended afterwards, and its log must hold no traceback."""
    service = Service(*arguments, wait=wait, hosts_socket=hosts_socket, under=under)
    try:
        yield service
    finally:
        if service.process.poll() is None:
            service.end()
        service.process.kill()
        assert "Traceback" not in service.rest_of_log(), service.rest_of_log()
