"""examples/c/ask.c: built as its first lines say, it answers from a packed bundle."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from converters.native.bundle import pack_native
from edge_qa import QuestionAnswerer
from tests.support.kernels import SOURCE, library_path

ROOT = Path(__file__).resolve().parents[2]


def test_the_c_example_answers(fp16_bundle, tmp_path):
    library = library_path()
    compiler = shutil.which("cc") or pytest.skip("no C compiler")
    program = tmp_path / "ask"
    command = [compiler, "-Wall", "-Werror", str(ROOT / "examples" / "c" / "ask.c"), "-I", str(SOURCE / "include")]
    subprocess.run([*command, str(library), f"-Wl,-rpath,{library.parent}", "-o", str(program)], check=True)
    packed = pack_native(fp16_bundle, tmp_path / "packed").path
    qa = QuestionAnswerer.load(packed, engine="openvino")
    (window,) = qa.windows("who wrote the notes?", "Ada Lovelace wrote the notes in 1843.")
    done = subprocess.run(
        [str(program), str(packed / "model.native"), *map(str, window.input_ids)],
        capture_output=True,
        text=True,
        check=True,
    )
    first, last = map(int, re.match(r"tokens (\d+) to (\d+), score ", done.stdout).groups())
    tokenizer = Tokenizer.from_file(str(packed / "tokenizer.json"))
    assert tokenizer.decode(window.input_ids[first : last + 1].tolist()) == "ada lovelace"
