"""Workers that die, hang or are exchanged, a queue that is full, and the end of a service."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge_qa.bundle.bundle import Bundle
from tests.support.places import ROOT
from tests.support.service import SMALL_BUNDLE, Reply, Service, running, terse_bundle

QUESTION, CONTEXT = "Who was the keeper?", "The lighthouse was lit in 1871. Its keeper was Ada Lovelace."
WHOLE, TERSE = "Ada Lovelace", ("Ada", "Lovelace")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two bundles, and the link `current` to the first."""
    folder = tmp_path_factory.mktemp("bundles")
    shutil.copytree(SMALL_BUNDLE, folder / "whole")
    terse_bundle(folder / "terse")
    (folder / "current").symlink_to("whole")
    return folder


@pytest.fixture(scope="module")
def small(folder: Path) -> Iterator[Service]:
    """A service with little room, on a Unix socket."""
    limits = ("--max-queue", 2, "--engine", "openvino")
    path = folder / "service.sock"
    with running(folder / "current", *limits, "--socket", path, hosts_socket=path) as service:
        yield service


@contextmanager
def asking(service: Service, clients: int) -> Iterator[list[Reply]]:
    """Ask all the time from several clients; the replies are complete when it ends."""
    replies: list[Reply] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            replies.append(service.ask(QUESTION, CONTEXT))

    with ThreadPoolExecutor(clients) as pool:
        asked = [pool.submit(ask) for _ in range(clients)]
        try:
            yield replies
        finally:
            stop.set()
    for one in asked:
        one.result()


def ask_stopped(service: Service, pool: ThreadPoolExecutor, count: int) -> list["Future[Reply]"]:
    """Ask while the worker is stopped: one is with it, the rest wait."""
    asked = []
    for number in range(count):
        asked.append(pool.submit(service.ask, QUESTION, CONTEXT))
        service.until(lambda waiting=number: service.metric("edge_qa_queue_length") >= waiting)
    return asked


def test_over_a_socket_any_name_is_right_and_only_user_and_group_may_ask(small: Service, folder: Path):
    assert small.get("/health", Host="anything.example").status == 200
    assert (folder / "service.sock").stat().st_mode & 0o777 == 0o660


def test_a_full_queue_says_when_to_try_again_and_keeps_what_it_has(small: Service):
    with ThreadPoolExecutor(3) as pool:
        small.signal_workers(signal.SIGSTOP)
        asked = ask_stopped(small, pool, 3)
        refused = small.ask(QUESTION, CONTEXT)
        small.signal_workers(signal.SIGCONT)
        assert (refused.status, refused.json["kind"]) == (429, "full")
        assert int(refused.headers["retry-after"]) >= 1
        assert [one.result().json["answer"] for one in asked] == [WHOLE] * 3


def test_an_entry_whose_client_has_left_is_dropped(small: Service):
    with ThreadPoolExecutor(1) as pool:
        small.signal_workers(signal.SIGSTOP)
        (asked,) = ask_stopped(small, pool, 1)
        # Not before: what an earlier test gave up may still have been running.
        ran = small.metric("edge_qa_batch_requests_sum")
        leaving = small.connection()
        leaving.request("POST", "/v1/question-answering", _body(), {"Content-Type": "application/json"})
        small.until(lambda: small.metric("edge_qa_queue_length") == 1)
        left = 'edge_qa_rejections_total{reason="left"}'
        before = small.metric(left)
        leaving.close()
        small.until(lambda: small.metric(left) == before + 1)
        small.signal_workers(signal.SIGCONT)
        assert asked.result().status == 200
    small.ask(QUESTION, CONTEXT)
    assert small.metric("edge_qa_batch_requests_sum") == ran + 2


def test_a_killed_worker_loses_its_own_request_alone(small: Service):
    lost = small.metric("edge_qa_workers_lost_total")
    with ThreadPoolExecutor(2) as pool:
        small.signal_workers(signal.SIGSTOP)
        first, second = ask_stopped(small, pool, 2)
        small.signal_workers(signal.SIGKILL)
        reply = first.result()
        assert (reply.status, reply.json["kind"], reply.headers["retry-after"]) == (503, "lost", "1")
        # It waited meanwhile for the worker that takes the place.
        assert second.result().json["answer"] == WHOLE
    assert small.metric("edge_qa_workers_lost_total") == lost + 1


def test_a_worker_that_hangs_is_replaced_and_what_waits_too_long_is_late():
    limits = ("--request-timeout", 1, "--hang-timeout", 1, "--engine", "openvino")
    with running(SMALL_BUNDLE, *limits) as service, ThreadPoolExecutor(2) as pool:
        service.signal_workers(signal.SIGSTOP)
        stopped = service.workers()
        replies = [asked.result() for asked in ask_stopped(service, pool, 2)]
        # Which of the two came first is not known.
        assert sorted((reply.status, reply.json["kind"]) for reply in replies) == [(503, "lost"), (504, "late")]
        service.until_ready()
        assert service.workers() != stopped
        assert service.ask(QUESTION, CONTEXT).json["answer"] == WHOLE


def test_another_bundle_is_swapped_in_without_a_failed_request(small: Service, folder: Path):
    digests = {Bundle.load(folder / name).manifest.digest: name for name in ("whole", "terse")}
    swaps = 'edge_qa_bundle_swaps_total{result="swapped"}'
    with asking(small, 2) as replies:
        for number, name in enumerate(("terse", "whole"), 1):
            (folder / "next").symlink_to(name)
            os.replace(folder / "next", folder / "current")
            small.until(lambda wanted=number: small.metric(swaps) == wanted)
            asked = len(replies)
            small.until(lambda least=asked: len(replies) > least + 4)
    assert {reply.status for reply in replies} == {200}
    by_bundle = {(digests[reply.headers["edge-qa-bundle"]], reply.json["answer"] == WHOLE) for reply in replies}
    assert by_bundle == {("whole", True), ("terse", False)}
    assert all(reply.json["answer"] in (WHOLE, *TERSE) for reply in replies)
    small.until(lambda: len(small.workers()) == 1)  # the old one answers what it has, then ends


def test_a_bundle_that_cannot_be_loaded_leaves_the_old_one_at_work(small: Service, folder: Path):
    (folder / "next").symlink_to("nothing")
    os.replace(folder / "next", folder / "current")
    failed = 'edge_qa_bundle_swaps_total{result="failed"}'
    before = small.metric(failed)
    small.process.send_signal(signal.SIGHUP)
    small.until(lambda: small.metric(failed) > before)
    assert small.ask(QUESTION, CONTEXT).json["answer"] == WHOLE
    (folder / "next").symlink_to("whole")
    os.replace(folder / "next", folder / "current")


def test_a_service_that_is_told_to_end_answers_what_it_has(small: Service, folder: Path):
    """The last test of this service."""
    with ThreadPoolExecutor(2) as pool:
        small.signal_workers(signal.SIGSTOP)
        workers = small.workers()
        asked = ask_stopped(small, pool, 2)
        small.process.send_signal(signal.SIGTERM)
        small.until(lambda: not _takes(small))
        for worker in workers:
            os.kill(worker, signal.SIGCONT)
        assert [one.result().json["answer"] for one in asked] == [WHOLE] * 2
    assert small.process.wait(30) == 0
    assert not (folder / "service.sock").exists()
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)


def test_while_the_bundle_is_loaded_requests_get_a_503():
    with running(SMALL_BUNDLE, wait=False) as service:
        reply = service.ask(QUESTION, CONTEXT)
        assert (reply.status, reply.json["kind"], reply.headers["retry-after"]) == (503, "loading", "1")
        assert service.get("/health").json == {"status": "loading"}
        assert service.get("/v2/health/live").status == 200
        assert service.get("/v2/health/ready").status == 503
        assert service.end(signal.SIGINT) == 130


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (["no-such-bundle"], 3, "no-such-bundle: "),
        ([SMALL_BUNDLE, "--worker-memory", 64], 6, "out of memory"),
        ([SMALL_BUNDLE, "--documents", "no-such-library.db"], 4, "no-such-library.db"),
        ([SMALL_BUNDLE, "--host", "0.0.0.0"], 4, "--token-file"),
        ([SMALL_BUNDLE, "--host", "example.org"], 4, "wanted an IP address or localhost"),
        ([SMALL_BUNDLE, "--token-file", os.devnull], 4, "holds no token"),
        ([SMALL_BUNDLE, "--socket", os.devnull], 6, "is no socket"),
    ],
)
def test_a_service_that_cannot_start_says_why(arguments, code, line):
    command = [sys.executable, "-m", "edge_qa", "serve", *map(str, arguments), "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60, check=False)
    assert done.returncode == code, done.stderr
    assert line in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a_token_is_asked_for(tmp_path: Path):
    token = tmp_path / "token"
    token.write_text("0123456789abcdef\n")
    with running(SMALL_BUNDLE, "--host", "0.0.0.0", "--token-file", token, wait=False) as service:
        for given in ({}, {"Authorization": "Bearer 0123456789abcdeX"}, {"Authorization": "Basic 0123456789abcdef"}):
            reply = service.get("/metrics", **given)
            assert (reply.status, reply.headers["www-authenticate"]) == (401, "Bearer")
        assert service.get("/metrics", Authorization="Bearer 0123456789abcdef").status == 200
        assert service.get("/", Host="localhost").status == 200
        assert service.get("/v2/health/live").status == 200


def _body() -> bytes:
    return f'{{"inputs": {{"question": "{QUESTION}", "context": "{CONTEXT}"}}}}'.encode()


def _takes(service: Service) -> bool:
    try:
        return service.get("/health").status == 200
    except OSError:
        return False
