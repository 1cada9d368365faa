"""The MCP server, asked by the SDK's own client over standard input and output."""

import json
import sys
from pathlib import Path

import pytest

pytest.importorskip("mcp", reason="the extra mcp is not installed")

import anyio
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from edge_qa import DocumentIndex, QuestionAnswerer, verify_citation
from edge_qa.integrations.mcp_server import document_server
from tests.conftest import ROOT

BUNDLE = ROOT / "examples" / "models" / "minilm-squad-small-int8"
QUESTION = "What is the monthly rent of the shop?"


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("docs")
    (folder / "lease.txt").write_text("It began in May. The monthly rent of the shop is 1,980 euros. Ask Ada.")
    (folder / "cats.md").write_text("# Cats\n\nThe cat of the shop is called Minka. She is nine years old.\n")
    path = tmp_path_factory.mktemp("library") / "library.db"
    DocumentIndex.build([folder], path).close()
    return path


@pytest.fixture(scope="module")
def answers(library) -> dict:
    """What a client hears from `edge-qa mcp` in a process of its own."""
    arguments = ["-m", "edge_qa", "mcp", str(library), "--bundle", str(BUNDLE)]
    server = StdioServerParameters(command=sys.executable, args=arguments, cwd=ROOT)

    async def converse() -> dict:
        with anyio.fail_after(60):
            async with Client(stdio_client(server)) as client:
                return {
                    "tools": (await client.list_tools()).tools,
                    "ask": await client.call_tool("ask", {"question": QUESTION, "top_k": 1}),
                    "search": await client.call_tool("search", {"words": "cat", "limit": 2}),
                    "nothing": await client.call_tool("ask", {"question": "Xylophone quarks?"}),
                    "empty": await client.call_tool("ask", {"question": " "}),
                    "too many": await client.call_tool("search", {"words": "cat", "limit": 1000}),
                    "unsure": await client.call_tool("ask", {"question": QUESTION, "min_confidence": 0.5}),
                }

    return anyio.run(converse)


def test_the_tools_say_what_they_take_and_only_read(answers):
    assert [tool.name for tool in answers["tools"]] == ["search", "ask"]
    for tool in answers["tools"]:
        assert tool.annotations.read_only_hint is True
        assert tool.output_schema is not None
    assert set(answers["tools"][1].input_schema["properties"]) == {"question", "top_k", "passages", "min_confidence"}


def test_an_answer_is_a_span_with_its_place(answers, library):
    (found,) = answers["ask"].structured_content["answers"]
    text = Path(found["path"]).read_text()
    assert found["text"] == "1,980 euros" == text[found["start"] : found["end"]]
    assert found["sentence"] == "The monthly rent of the shop is 1,980 euros."
    assert text[found["sentence_start"] :].startswith(found["sentence"])
    assert (found["title"], found["page"], found["confidence"]) == ("lease", None, None)
    assert 0 < found["score"] <= 1
    assert json.loads(answers["ask"].content[0].text)["answers"] == [found]
    place = {key: found[key] for key in ("path", "sha256", "start", "sentence", "sentence_start")}
    with DocumentIndex.open(library) as index:
        assert verify_citation(index, {"text": found["text"], "source": place}).verdict == "holds"


def test_passages_are_found_with_their_place(answers):
    (found,) = answers["search"].structured_content["passages"]
    assert Path(found["path"]).read_text()[found["start"] : found["end"]] == found["text"]
    assert (Path(found["path"]).name, found["heading"]) == ("cats.md", "Cats")


def test_no_answer_is_an_empty_list(answers):
    assert answers["nothing"].structured_content == {"answers": [], "none_confidence": None}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("empty", "question is empty"),
        ("too many", "less than or equal to 50"),
        ("unsure", "this bundle has no confidence for answers from documents"),
    ],
)
def test_what_is_wrong_is_said(answers, call, message):
    assert answers[call].is_error
    assert message in answers[call].content[0].text


def test_many_calls_at_once(library):
    async def ask_all() -> list[str]:
        texts = [""] * 8
        with QuestionAnswerer.load(BUNDLE) as qa, DocumentIndex.open(library) as index, anyio.fail_after(60):
            async with Client(document_server(index, qa)) as client, anyio.create_task_group() as group:

                async def one(place: int) -> None:
                    result = await client.call_tool("ask", {"question": QUESTION, "top_k": 1})
                    texts[place] = result.structured_content["answers"][0]["text"]

                for place in range(len(texts)):
                    group.start_soon(one, place)
        return texts

    assert anyio.run(ask_all) == ["1,980 euros"] * 8
