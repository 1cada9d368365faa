"""examples/c/ask.c: built as its first lines say, it answers from a packed bundle."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from converters.native.bundle import pack_native
from edge_qa import QuestionAnswerer
from tests.support.kernels import SOURCE, library_path

ROOT = Path(__file__).resolve().parents[2]


def numbers(bundle: Path, question: str, context: str) -> list[int]:
    """The numbers of a question's tokens, as the command makes them that stands in the first lines of the example."""
    head = (ROOT / "examples" / "c" / "ask.c").read_text().partition("*/")[0]
    (code,) = re.findall(r'python -c "(.*tokenizers.*)" \\', head)
    command = [sys.executable, "-c", code, str(bundle / "tokenizer.json"), question, context]
    return [int(word) for word in subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()]


def test_its_first_lines_make_the_tokens_that_a_bundle_reads():
    bundle = ROOT / "examples" / "models" / "minilm-squad-small-int8"
    asked = ("Who kept the lamp?", "The lamp was kept by Ada Lovelace in 1843.")
    (window,) = QuestionAnswerer.load(bundle, engine="openvino").windows(*asked)
    assert numbers(bundle, *asked) == window.input_ids.tolist()


def test_the_c_example_answers(fp16_bundle, tmp_path):
    library = library_path()
    compiler = shutil.which("cc") or pytest.skip("no C compiler")
    program = tmp_path / "ask"
    command = [compiler, "-Wall", "-Werror", str(ROOT / "examples" / "c" / "ask.c"), "-I", str(SOURCE / "include")]
    subprocess.run([*command, str(library), f"-Wl,-rpath,{library.parent}", "-o", str(program)], check=True)
    packed = pack_native(fp16_bundle, tmp_path / "packed").path
    ids = numbers(packed, "Who kept the lamp?", "The lamp was kept by Ada Lovelace in 1843.")
    done = subprocess.run(
        [str(program), str(packed / "model.native"), *map(str, ids)],
        capture_output=True,
        text=True,
        check=True,
    )
    first, last = map(int, re.match(r"tokens (\d+) to (\d+), score ", done.stdout).groups())
    tokenizer = Tokenizer.from_file(str(packed / "tokenizer.json"))
    assert tokenizer.decode(ids[first : last + 1]) == "ada lovelace"
