"""What a service is run with: its bundle, its limits and its deadlines."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edge_qa.bundle.manifest import FULL_BUDGET
from edge_qa.inference.engine_choice import EngineName

MIB = 2**20


@dataclass(frozen=True)
class Model:
    """What the workers load. threads: of one worker; None for an equal share of what the process may use.

    bundle: a folder, or a link to one; what it points to is looked at again when it changes.
    name: what the service calls the model; None for the name of the folder.
    documents: an index to ask, None for texts alone.
    """

    bundle: Path
    name: str | None = None
    documents: Path | None = None
    engine: EngineName = "auto"
    precision: Literal["f32", "bf16"] = "f32"
    budget: str = FULL_BUDGET
    threads: int | None = None
    cache: str | None = None


@dataclass(frozen=True)
class Limits:
    """What bounds a service. All times in seconds.

    workers: processes. worker_bytes: the most data of one, None for no limit.
    batch_tokens: of the windows that run together. queued: requests that wait at most; queued_bytes: of their texts.
    body_bytes: of one request. request_s: from the moment that a request was received until its answer.
    receive_s: for the head of a request to arrive, and again for its body.
    drain_s: for what runs when the service is told to end.
    hang_s: how long after its deadline a worker that says nothing is still waited for.
    load_s: how long a worker may take to load. connections: open at once.
    """

    workers: int = 1
    worker_bytes: int | None = 4096 * MIB
    batch_tokens: int = 4096
    queued: int = 512
    queued_bytes: int = 64 * MIB
    body_bytes: int = 1 * MIB
    request_s: float = 30.0
    receive_s: float = 10.0
    drain_s: float = 30.0
    hang_s: float = 5.0
    load_s: float = 120.0
    connections: int = 1000


@dataclass(frozen=True)
class Listening:
    """Where a service listens, and who may ask.

    socket: the path of a Unix socket, None for host and port. port: 0 for one that is free.
    token: what a client must show, None where everybody who reaches the service may ask.
    hosts: names that a request may ask for beside those of the loopback and `host`.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    socket: Path | None = None
    token: str | None = None
    hosts: tuple[str, ...] = ()
