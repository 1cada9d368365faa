"""What a service says to requests that it cannot use, and to clients that it must not trust."""

import json
import socket
import time
from typing import Any

import pytest

from edge_qa.service.api.decoding import BodyDecoder
from edge_qa.service.network.failures import RequestError
from tests.support.service import Service

GOOD = {"inputs": {"question": "When?", "context": "Lit in 1871."}}
QA = "/v1/question-answering"


@pytest.mark.parametrize(
    ("body", "status", "where", "position"),
    [
        (b"{", 400, None, None),
        (b"", 400, None, None),
        (b'{"inputs": "\xff"}', 400, None, 12),
        (b"[" * 100_000, 422, None, None),
        (b'{"inputs": {"question": "a", "context": "ab\\ud800c"}}', 422, "inputs.context", 2),
        (b'{"inputs": [{"question": "\\udfff", "context": "a"}]}', 422, "inputs[0].question", 0),
        # A pair of surrogates is one character.
        (b'{"inputs": {"question": "a", "context": "\\ud83d\\ude00\\ud83d"}}', 422, "inputs.context", 1),
        (b'{"inputs": {"question": " ", "context": "a"}}', 422, "inputs.question", None),
        (b'{"inputs": {"question": "a"}}', 422, "inputs", None),
        (b'{"inputs": []}', 422, "inputs", None),
        (b'{"inputs": {"question": "a", "context": "b", "contxt": "c"}}', 422, "inputs", None),
        (b'{"inputs": {"question": "a", "context": "b"}, "parameters": {"top_k": 0}}', 422, "parameters.top_k", None),
        (b'{"inputs": {"question": "a", "context": "b"}, "parameters": {"top_k": NaN}}', 400, None, None),
        (b'{"inputs": {"question": "a", "context": "b"}, "parameters": {"max_seq_len": 4000}}', 422, "inputs[0]", None),
        # Nothing is left of it once it is tokenized.
        (b'{"inputs": {"question": "a", "context": "\\u0000\\u200b"}}', 422, "inputs[0]", None),
        (
            b'{"inputs": {"question": "a", "context": "b"}, "parameters": {"min_confidence": 0.5}}',
            422,
            "inputs[0]",
            None,
        ),
    ],
)
def test_a_body_that_cannot_be_used(service: Service, body, status, where, position):
    reply = service.post(QA, body)
    assert reply.status == status, reply.body
    assert reply.json["error"]
    assert (reply.json.get("where"), reply.json.get("position")) == (where, position)


def test_one_bad_text_among_several_is_named(service: Service):
    inputs = [GOOD["inputs"], {"question": "a", "context": "\x00"}]
    reply = service.post(QA, {"inputs": inputs})
    assert (reply.status, reply.json["where"]) == (422, "inputs[1]")


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", QA, {}, 405),
        ("OPTIONS", QA, {"Origin": "http://elsewhere.example"}, 405),
        ("GET", "/nothing", {}, 404),
        ("GET", "/v1/ask/", {}, 404),
        ("POST", QA, {"Content-Type": "text/plain"}, 415),
        ("POST", QA, {}, 415),
        ("GET", "/health", {"Host": "elsewhere.example"}, 421),
        ("GET", "/health", {"Host": "localhost.elsewhere.example:80"}, 421),
        ("GET", "/health", {"Host": "[::1]:8000"}, 200),
        ("GET", "/health", {"Host": "LOCALHOST."}, 200),
        ("POST", QA, {"Content-Type": "application/json", "Sec-Fetch-Site": "cross-site"}, 403),
        ("POST", QA, {"Content-Type": "application/json", "Sec-Fetch-Site": "same-origin"}, 400),
        # A link to the page may stand on another site.
        ("GET", "/", {"Sec-Fetch-Site": "cross-site"}, 200),
    ],
)
def test_the_edge_of_the_service(service: Service, method, path, headers, status):
    reply = service.request(method, path, b"" if method == "POST" else None, headers)
    assert reply.status == status
    assert not [name for name in reply.headers if name.lower().startswith("access-control-")]
    assert reply.headers["x-content-type-options"] == "nosniff"
    if status == 405:
        assert reply.headers["allow"] == "POST"


def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_sent(service: Service):
    head = f"POST {QA} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", service.port), timeout=60) as connection:
        connection.sendall(f"{head}Content-Length: 200001\r\n\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


def test_a_body_without_a_length_is_refused_when_it_has_become_too_large(service: Service):
    connection = service.connection()
    connection.putrequest("POST", QA)
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()
    for _ in range(30):
        connection.send(b"2710\r\n" + b" " * 10_000 + b"\r\n")
    response = connection.getresponse()
    assert (response.status, b"200000 bytes" in response.read()) == (413, True)
    # What came after is passed over, and the connection serves again.
    connection.send(b"0\r\n\r\n")
    connection.request("GET", "/health")
    assert connection.getresponse().status == 200
    connection.close()


@pytest.mark.parametrize(
    "begin",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"GET /health HTTP/1.1\r\nHost: loc", id="half a head"),
        pytest.param(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\nGET", id="half a second head"),
    ],
)
def test_a_connection_that_does_not_go_on_is_closed(service: Service, begin):
    started = time.monotonic()
    service.raw(begin)
    assert time.monotonic() - started > 1  # not before its 2 seconds are over; `raw` waits no longer than a minute


def test_a_body_that_drips_is_given_up(service: Service):
    head = f"POST {QA} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
    with socket.create_connection(("127.0.0.1", service.port), timeout=60) as connection:
        connection.sendall(head.encode())
        started = time.monotonic()
        connection.settimeout(0.2)
        received = b""
        while not received and time.monotonic() - started < 60:
            try:
                connection.sendall(b" ")
                received = connection.recv(1000)
            except TimeoutError:
                continue
        connection.settimeout(60)
        while block := connection.recv(1000):
            received += block
    assert received.startswith(b"HTTP/1.1 408 ")
    assert b'"kind":"slow"' in received


def test_what_is_no_http_is_refused(service: Service):
    assert service.raw(b"\x16\x03\x01\x02\x00 hello\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    head, body = service.raw(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n").split(b"\r\n\r\n", 1)
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"application/json" in head
    assert json.loads(body) == {"error": "the request is no valid HTTP/1.1", "kind": "http"}
    long = b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 40_000
    assert service.raw(long).startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 431 "))
    assert service.ask("When?", "Lit in 1871.").json["answer"] == "1871"


# A second request, hidden in the body of the first: it must not be answered.
HIDDEN = b"GET /info HTTP/1.1\r\nHost: localhost\r\n\r\n"
BODY = json.dumps(GOOD).encode()
CHUNKED = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
JSON_HEAD = b"POST /v1/question-answering HTTP/%s\r\nHost: localhost\r\nContent-Type: application/json\r\n%s\r\n"


@pytest.mark.parametrize(
    ("head", "body"),
    [
        pytest.param(
            JSON_HEAD % (b"1.1", b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n" % len(CHUNKED)),
            CHUNKED,
            id="both, the length first",
        ),
        pytest.param(
            JSON_HEAD % (b"1.1", b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
            CHUNKED,
            id="both, chunked first",
        ),
        pytest.param(JSON_HEAD % (b"1.0", b"Transfer-Encoding: chunked\r\n"), CHUNKED, id="chunked HTTP/1.0"),
        pytest.param(
            JSON_HEAD % (b"1.0", b"Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n"),
            CHUNKED,
            id="chunked HTTP/1.0 that would go on",
        ),
    ],
)
def test_a_body_with_two_ends_is_refused_and_the_connection_closed(service: Service, head, body):
    received = service.raw(head + body + HIDDEN)  # until the service closes
    answer, _, content = received.partition(b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"connection: close" in answer.lower()
    assert json.loads(content)["where"] == "Transfer-Encoding"  # and nothing behind it


def test_a_chunked_body_alone_is_answered(service: Service):
    head = JSON_HEAD % (b"1.1", b"Transfer-Encoding: chunked\r\nConnection: close\r\n")
    assert b'"answer":"1871"' in service.raw(head + CHUNKED)


def test_nesting_beyond_what_can_be_looked_through_is_refused():
    deep = b"[" * 900 + b'"\\ud800"' + b"]" * 900
    with pytest.raises(RequestError, match="the body is no JSON"):
        BodyDecoder(dict[str, Any]).decode(b'{"x": ' + deep + b"}")
