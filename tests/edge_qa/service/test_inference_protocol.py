"""The Open Inference Protocol, version 2: as JSON, as bytes, and through the client of Triton."""

import json
import struct

import pytest

from edge_qa import QuestionAnswerer
from edge_qa.service.api.binary_tensors import packed, packed_text, unpacked_text
from edge_qa.service.network.failures import RequestError
from tests.support.service import SMALL_BUNDLE, Service

NAME = SMALL_BUNDLE.name
INFER = f"/v2/models/{NAME}/infer"
CONTEXT = "The lighthouse was lit in 1871. Its keeper was Ada Lovelace."
QUESTIONS = ["When was it lit?", "Who was the keeper?"]


def tensor(name: str, data: list, shape: list[int] | None = None, **more) -> dict:
    return {"name": name, "shape": shape or [len(data)], "datatype": "BYTES", "data": data, **more}


def inputs(questions: list, contexts: list, shape: list[int] | None = None) -> dict:
    return {"inputs": [tensor("question", questions, shape), tensor("context", contexts, shape)]}


def outputs(reply) -> dict:
    assert reply.status == 200, reply.body
    return {output["name"]: output for output in reply.json["outputs"]}


def test_metadata_and_readiness(service: Service):
    server = service.get("/v2").json
    assert (server["name"], server["extensions"]) == ("edge-qa", ["binary_tensor_data"])
    model = service.get(f"/v2/models/{NAME}").json
    assert model["inputs"] == [{"name": name, "datatype": "BYTES", "shape": [-1]} for name in ("question", "context")]
    # The bundle has no confidence.
    assert [output["name"] for output in model["outputs"]] == ["answer", "score", "start", "end"]
    for path in ("/v2/health/live", "/v2/health/ready", f"/v2/models/{NAME}/ready"):
        assert service.get(path).status == 200
    for path in ("/v2/models/other", "/v2/models/other/ready"):
        assert service.get(path).status == 404


def test_answers_as_json_are_those_of_the_answerer(service: Service):
    serial = QuestionAnswerer.load(SMALL_BUNDLE, engine="openvino")
    want = [serial.answer(question, CONTEXT) for question in QUESTIONS]
    reply = service.post(INFER, {"id": "seven", **inputs(QUESTIONS, [CONTEXT, CONTEXT])})
    assert (reply.json["id"], reply.json["model_name"]) == ("seven", NAME)
    found = outputs(reply)
    assert found["answer"] == {"name": "answer", "shape": [2], "datatype": "BYTES", "data": ["1871", "Ada Lovelace"]}
    assert found["score"]["data"] == [answer.score for answer in want]
    assert [found[name]["data"] for name in ("start", "end")] == [[26, 47], [30, 59]]


def test_shapes_may_be_nested_or_not_and_come_back(service: Service):
    flat = outputs(service.post(INFER, inputs(QUESTIONS, [CONTEXT] * 2, [2, 1])))
    nested = outputs(service.post(INFER, inputs([[one] for one in QUESTIONS], [[CONTEXT]] * 2, [2, 1])))
    assert flat == nested
    assert flat["answer"]["shape"] == [2, 1]


def test_outputs_and_parameters_are_chosen(service: Service):
    wanted = {"outputs": [{"name": "end"}, {"name": "answer"}], "parameters": {"max_answer_len": 1, "priority": 3}}
    found = outputs(service.post(INFER, inputs(QUESTIONS[1:], [CONTEXT]) | wanted))
    assert list(found) == ["end", "answer"]
    assert found["answer"]["data"][0] in ("Ada", "Lovelace")


def test_tensors_as_bytes(service: Service):
    contents = [packed_text(QUESTIONS), packed_text([CONTEXT, CONTEXT])]
    value = {
        "inputs": [
            {
                "name": name,
                "shape": [2],
                "datatype": "BYTES",
                "parameters": {"binary_data_size": len(content)},
            }
            for name, content in zip(("question", "context"), contents, strict=True)
        ],
        "outputs": [{"name": "answer", "parameters": {"binary_data": True}}, {"name": "start"}],
    }
    head = json.dumps(value).encode()
    length = {"Inference-Header-Content-Length": str(len(head))}
    reply = service.request("POST", INFER, head + b"".join(contents), length)
    assert reply.status == 200, reply.body
    split = int(reply.headers["inference-header-content-length"])
    answer, start = json.loads(reply.body[:split])["outputs"]
    assert (answer["parameters"], start["data"]) == ({"binary_data_size": 24}, [26, 47])
    # By hand: 4 bytes and 4 characters, 4 bytes and 12 characters.
    assert reply.body[split:] == b"\x04\0\0\x001871\x0c\0\0\0Ada Lovelace"


def test_bytes_by_hand():
    assert packed([1.5, -2.0], "FP64") == bytes.fromhex("000000000000f83f00000000000000c0")
    assert packed([1, -1], "INT64") == b"\x01" + b"\0" * 7 + b"\xff" * 8
    assert unpacked_text("\x02\0\0\0é\0\0\0\0".encode(), "question") == ["é", ""]
    for content, status in ((b"\x02\0\0", 400), (b"\x02\0\0\0a", 400), (b"\x01\0\0\0\xff", 422)):
        with pytest.raises(RequestError) as error:
            unpacked_text(content, "question")
        assert error.value.status == status


@pytest.mark.parametrize(
    ("value", "status"),
    [
        ({"inputs": [tensor("question", ["a"])]}, 400),
        ({"inputs": [tensor("question", ["a"]), tensor("text", ["a"])]}, 400),
        ({"inputs": [tensor("question", ["a"]), tensor("question", ["a"])]}, 400),
        (inputs(["a"], ["a", "b"]), 400),
        (inputs(["a"], ["b"], [2]), 400),
        (inputs([], []), 400),
        (inputs(["a"] * 65, ["b"] * 65), 422),
        (inputs(["a"], [" "]), 422),
        (inputs(["a"], [1]), 422),
        (inputs(["a"], ["b"]) | {"outputs": [{"name": "confidence"}]}, 400),
        (inputs(["a"], ["b"]) | {"parameters": {"max_answer_len": "many"}}, 400),
        ({"inputs": [tensor("question", ["a"], datatype="INT64"), tensor("context", ["a"])]}, 400),
        ({"inputs": [tensor("question", ["a"], parameters={"binary_data_size": 9}), tensor("context", ["a"])]}, 400),
    ],
)
def test_what_does_not_fit_is_refused(service: Service, value, status):
    reply = service.post(INFER, value)
    assert reply.status == status, reply.body
    assert isinstance(reply.json["error"], str)


def binary_input(name: str, content: bytes, **more) -> dict:
    return {"name": name, "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": len(content)}, **more}


def test_bytes_that_belong_to_no_input_are_refused(service: Service):
    contents = [packed_text(["When?"]), packed_text([CONTEXT])]
    names = ("question", "context")
    as_bytes = {"inputs": [binary_input(name, content) for name, content in zip(names, contents, strict=True)]}
    for value, behind in ((as_bytes, b"".join(contents)), (inputs(["When?"], [CONTEXT]), b"")):
        head = json.dumps(value).encode()
        length = {"Inference-Header-Content-Length": str(len(head))}
        assert service.request("POST", INFER, head + behind, length).status == 200
        reply = service.request("POST", INFER, head + behind + b"more", length)
        assert (reply.status, reply.json["where"]) == (400, "Inference-Header-Content-Length")
        assert reply.json["error"].startswith("4 bytes of the body belong to no input")


def test_data_twice_and_json_behind_json_are_refused(service: Service):
    contents = [packed_text(["When?"]), packed_text([CONTEXT])]
    value = {
        "inputs": [binary_input("question", contents[0], data=["Who?"]), binary_input("context", contents[1])],
    }
    head = json.dumps(value).encode()
    length = {"Inference-Header-Content-Length": str(len(head))}
    reply = service.request("POST", INFER, head + b"".join(contents), length)
    assert (reply.status, reply.json["where"]) == (400, "question")
    reply = service.post(INFER, json.dumps(inputs(["When?"], [CONTEXT])).encode() + b"{}")
    assert (reply.status, reply.json["kind"]) == (400, "json")


@pytest.mark.parametrize("length", ["0", "-1", "x", "999999", "1" * 5000])
def test_a_length_that_is_none_is_refused(service: Service, length):
    reply = service.request("POST", INFER, b"{}", {"Inference-Header-Content-Length": length})
    assert reply.status == 400


@pytest.mark.parametrize("binary", [True, False])
def test_the_client_of_triton_gets_answers(service: Service, binary):
    triton = pytest.importorskip("tritonclient.http", reason="tritonclient is not installed")
    numpy = pytest.importorskip("numpy")
    client = triton.InferenceServerClient(f"127.0.0.1:{service.port}")
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(NAME)
    assert client.get_model_metadata(NAME)["platform"] == "edge-qa"
    given = []
    for name, texts in (("question", QUESTIONS), ("context", [CONTEXT] * 2)):
        given.append(triton.InferInput(name, [2], "BYTES"))
        given[-1].set_data_from_numpy(numpy.array(texts, dtype=object), binary_data=binary)
    for wanted in (None, [triton.InferRequestedOutput("answer", binary_data=binary)]):
        result = client.infer(NAME, given, outputs=wanted)
        assert [text.decode() if isinstance(text, bytes) else text for text in result.as_numpy("answer")] == [
            "1871",
            "Ada Lovelace",
        ]
    assert client.infer(NAME, given).as_numpy("start").tolist() == [26, 47]
    client.close()


def test_scores_keep_their_bits_as_bytes():
    score = 0.6586431431770295
    assert struct.unpack("<d", packed([score], "FP64")) == (score,)
