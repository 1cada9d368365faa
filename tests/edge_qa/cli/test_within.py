"""ask and batch keep to the borders of the text's blocks, unless told otherwise."""

import json

import pytest

from edge_qa import QuestionAnswerer

QUESTION = "Who painted the bridge?"
TEXT = "The bridge was painted by\n\nJohn\n\nMiller and Sons\n\nin 1911."


@pytest.mark.parametrize(("within", "options"), [("block", []), ("text", ["--within", "text"])])
def test_the_commands_have_both_ways(command, fp16_bundle, tmp_path, within, options):
    wanted = QuestionAnswerer.load(fp16_bundle).answer(QUESTION, TEXT, within=within).text
    assert ("Miller" in wanted) == (within == "text")
    (asked,) = command("ask", fp16_bundle, QUESTION, "--text", TEXT, "--json", *options).json
    assert asked["answers"][0]["text"] == wanted
    source = tmp_path / "questions.jsonl"
    source.write_text(json.dumps({"question": QUESTION, "context": TEXT}))
    assert command("batch", fp16_bundle, source, *options).json["answers"][0]["text"] == wanted
