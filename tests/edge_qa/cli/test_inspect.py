"""edge-qa inspect on checkpoints and bundles: in words, as JSON, as a page."""

import base64
import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
import zlib
from pathlib import Path

import numpy as np
import pytest

from tests.support.checkpoints import bert_config, bert_tensors, write_checkpoint

SIZES = {"layers": 2, "hidden": 128, "heads": 4, "ffn": 256}
BUNDLE, INPUT, USAGE = 3, 4, 2


def pruned_checkpoint(folder: Path) -> Path:
    """Layer 0 has lost heads 1 and 2, layer 1 is 1x4 sparse in its feed-forward block, 40 neurons are padding."""
    tensors = bert_tensors(**SIZES)
    first, second = "bert.encoder.layer.0", "bert.encoder.layer.1"
    keep = np.array([True, False, False, True]).repeat(32)
    for part in ("query", "key", "value"):
        for kind in ("weight", "bias"):
            name = f"{first}.attention.self.{part}.{kind}"
            tensors[name] = tensors[name][keep]
    output = f"{first}.attention.output.dense.weight"
    tensors[output] = np.ascontiguousarray(tensors[output][:, keep])
    tensors[f"{first}.intermediate.dense.weight"][-40:] = 0
    tensors[f"{first}.intermediate.dense.bias"][-40:] = 0
    tensors[f"{first}.output.dense.weight"][:, -40:] = 0
    random = np.random.default_rng(0)
    for part in ("intermediate", "output"):
        weight = tensors[f"{second}.{part}.dense.weight"]
        weight *= (random.random((weight.shape[0] // 4, weight.shape[1])) < 0.2).repeat(4, axis=0)
    return write_checkpoint(folder, tensors=tensors, config=bert_config(**SIZES, pruned_heads={"0": [1, 2]}))


@pytest.fixture(scope="module")
def pruned(tmp_path_factory) -> Path:
    return pruned_checkpoint(tmp_path_factory.mktemp("checkpoints") / "pruned")


def test_a_dense_checkpoint_in_words(command, checkpoint):
    result = command("inspect", checkpoint)
    assert result.code == 0
    assert result.err == ""
    for fact in (
        "dense",
        "72 of 72",
        "22.57 M",
        "4.76 G (9.51 GOps) at 384",
        "2.04 G (4.07 GOps) at 178",
        "nothing was pruned",
    ):
        assert fact in result.out
    assert "1536 of 1536" in result.out


def test_a_pruned_checkpoint_in_words(command, pruned):
    out = command("inspect", pruned).out
    assert "hybrid-filled + pruned heads + 1x4 block sparse" in out
    assert "6 of 8" in out
    assert re.search(r"^0 +2 of 4 +0 +216 of 256 ", out, re.MULTILINE)
    assert re.search(r"^1 +4 of 4 +0 +256 of 256 ", out, re.MULTILINE)
    assert "4 outputs x 1 input (1x4)" in out
    assert "no dense kernel can use that" in out
    assert "encoder.layer.0" not in out


def test_tensors_by_name(command, pruned):
    out = command("inspect", pruned, "--tensors").out
    (line,) = [line for line in out.splitlines() if line.startswith("encoder.layer.1.ffn.0.up ")]
    assert "256x128" in line
    assert line.endswith("1x4 blocks (4 outputs x 1 input)")
    assert "embeddings.word" in out


def test_everything_as_json(command, pruned):
    found = command("inspect", pruned, "--json").json
    assert found["checkpoint"] == str(pruned)
    weights = found["weights"]
    assert weights["kinds"] == ["hybrid-filled", "pruned heads", "1x4 block sparse"]
    assert weights["layers"][0]["removed"] == [1, 2]
    assert weights["layers"][0]["feed_forwards"] == [{"width": 256, "kept": 216, "original": 256, "padded": True}]
    up = next(row for row in weights["tensors"] if row["name"] == "encoder.layer.1.ffn.0.up")
    assert up["zeros"]["block"] == [4, 1]
    assert up["zeros"]["sparsity"] == pytest.approx(0.8, abs=0.02)
    # 40 neurons of 128 weights each way.
    assert [g["before"] - g["after"] for g in weights["gains"]] == [40 * 256 * 384, 40 * 256 * 178]
    assert any("1x4" in sentence for sentence in weights["reading"])


def page_of(command, path, page: Path) -> ElementTree.Element:
    result = command("inspect", path, "--html", page)
    assert result.code == 0, result.err
    assert f"page: {page}" in result.out
    return ElementTree.fromstring(page.read_text(encoding="utf-8").removeprefix("<!DOCTYPE html>"))


def cells(root: ElementTree.Element, heading: str) -> list[list[str]]:
    """The rows of the table in the section with that heading."""
    for section in root.iter("section"):
        if section.find("h2").text == heading:
            return [["".join(cell.itertext()) for cell in row] for row in section.find(".//tbody")]
    raise AssertionError(heading)


def test_a_page_holds_the_right_numbers(command, pruned, tmp_path):
    root = page_of(command, pruned, tmp_path / "page.html")
    assert root.find("body/header/h1").text == "pruned"
    layers = cells(root, "Layer by layer")
    assert layers[0][:4] == ["0", "2 of 4", "0", "216 of 256"]
    assert layers[0][-1] == "1 2"
    assert layers[1][:4] == ["1", "4 of 4", "0", "256 of 256"]
    # Two matrices of 256 x 128 with a 1x4 pattern; what is padding is gone after compaction.
    assert cells(root, "What no dense kernel can use")[0][:2] == ["1x4 blocks (4 outputs x 1 input)", "2"]
    names = [row[0] for row in cells(root, "Matrix by matrix")]
    assert len(names) == 2 * 6 + 1 + 3
    assert "encoder.layer.0.attention.query" in names


def test_a_page_draws_every_head_and_every_matrix(command, pruned, tmp_path):
    root = page_of(command, pruned, tmp_path / "page.html")
    drawings = [drawing for drawing in root.iter("svg") if drawing.get("aria-label").startswith("Layer ")]
    assert len(drawings) == 2
    heads = [title.text for title in drawings[0].iter("title")]
    assert heads == ["head 0: live", "head 1: removed", "head 2: removed", "head 3: live"]
    images = list(drawings[0].iter("image"))
    assert len(images) == 6
    query, up, down = (pixels(images[index]) for index in (0, 4, 5))
    # 128 channels and four heads of 32: tiles of 4 x 4, heads from left to right.
    assert query.shape == (4, 4, 2)
    assert query[:, :, 1].tolist() == [[255, 0, 0, 255]] * 4  # opacity: what is removed is not painted
    assert (query[:, [0, 3], 0] < 60).all()
    # 256 neurons are 8 tiles; of the last 40 neurons 8 lie in tile 6, 32 in tile 7.
    assert up.shape == down.shape == (4, 8, 2)
    for tiles in (up, down):
        assert (tiles[:, :6, 0] < 60).all()
        assert (tiles[:, 6, 0] > tiles[:, 5, 0]).all()
        assert (tiles[:, 7, 0] == 255).all()


def pixels(image: ElementTree.Element) -> np.ndarray:
    content = base64.b64decode(image.get("href").removeprefix("data:image/png;base64,"))
    width, height = (int.from_bytes(content[at : at + 4], "big") for at in (16, 20))
    length = int.from_bytes(content[33:37], "big")
    rows = np.frombuffer(zlib.decompress(content[41 : 41 + length]), np.uint8).reshape(height, 1 + 2 * width)
    return rows[:, 1:].reshape(height, width, 2)


def test_a_hostile_name_stays_text(command, tmp_path):
    name = "<script>alert(1)<!-- & \"'"
    root = page_of(command, pruned_checkpoint(tmp_path / name), tmp_path / "page.html")
    assert root.find("body/header/h1").text == name
    assert not list(root.iter("script"))


def test_a_page_loads_nothing_and_is_small(command, checkpoint, tmp_path):
    page_of(command, checkpoint, tmp_path / "page.html")
    content = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert not re.search(r"https?:|<script|<link|@import", content)
    assert len(content) < 200_000


def test_pages_are_the_same_each_time(command, pruned, tmp_path):
    for name in ("a.html", "b.html"):
        page_of(command, pruned, tmp_path / name)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_an_existing_page_is_kept(command, pruned, tmp_path):
    page = tmp_path / "page.html"
    page.write_text("mine")
    result = command("inspect", pruned, "--html", page)
    assert result.code == INPUT
    assert "already exists" in result.err
    assert page.read_text() == "mine"
    assert command("inspect", pruned, "--html", page, "--force").code == 0
    assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["page.html"]


@pytest.mark.parametrize(("page", "code"), [("no/page.html", INPUT), (".", INPUT)])
def test_a_page_that_cannot_be_written(command, pruned, tmp_path, page, code):
    result = command("inspect", pruned, "--html", tmp_path / page)
    assert result.code == code
    assert len(result.err.splitlines()) == 1


def test_an_fp16_bundle_with_its_weights(command, fp16_bundle, tmp_path):
    result = command("inspect", fp16_bundle, "--tensors", "--html", tmp_path / "page.html")
    assert result.code == 0
    for fact in ("every byte checked", "dense", "encoder.layer.5.ffn.0.down", "page: "):
        assert fact in result.out
    found = command("inspect", fp16_bundle, "--tensors", "--json").json
    assert found["weights"]["kind"] == "dense"
    assert {key: found[key] for key in found if key != "weights"} == json.loads(
        (fp16_bundle / "bundle.json").read_text()
    )


def test_an_int8_bundle_shows_its_zeros(command, int8_bundle, tmp_path):
    result = command("inspect", int8_bundle, "--tensors")
    assert "Rounding to 8 bits makes zeros of its own" in result.out
    assert "encoder.layer.5.ffn.0.down" in result.out
    root = page_of(command, int8_bundle, tmp_path / "page.html")
    assert len([drawing for drawing in root.iter("svg") if drawing.get("aria-label").startswith("Layer ")]) == 6


def test_a_checkpoint_that_cannot_be_read(command, tmp_path):
    folder = write_checkpoint(tmp_path / "c", config=bert_config() | {"num_hidden_layers": 5})
    result = command("inspect", folder)
    assert result.code == BUNDLE
    assert "config: 5 layers, but the weights hold 2" in result.err


def test_a_folder_that_is_neither(command, tmp_path):
    result = command("inspect", tmp_path)
    assert result.code == BUNDLE
    assert "not a bundle" in result.err


def test_mask_scores_need_to_be_explained(command, tmp_path):
    tensors = bert_tensors(**SIZES)
    name = "bert.encoder.layer.0.intermediate.dense"
    scores = np.ones((8, 4), np.float32)
    scores[2] = -1
    tensors[f"{name}.mask_scores"] = scores
    folder = write_checkpoint(tmp_path / "c", tensors=tensors, config=bert_config(**SIZES))
    assert "give --mask-method and --mask-threshold" in command("inspect", folder).err


def test_mask_options_belong_to_checkpoints(command, fp16_bundle):
    assert command("inspect", fp16_bundle, "--mask-threshold", "0.1").code == USAGE


def run(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    program = f"import sys\nsys.argv[0] = 'edge-qa'\n{code}\nfrom edge_qa.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", program, "inspect", *map(str, arguments)], capture_output=True, text=True, check=False
    )


BLOCKED = "for name in ('converters', 'calibration', 'safetensors', 'nncf'): sys.modules[name] = None"


def test_a_device_without_extras_inspects_bundles(int8_bundle):
    done = run(BLOCKED, int8_bundle)
    assert (done.returncode, done.stderr) == (0, "")
    assert "every byte checked" in done.stdout


@pytest.mark.parametrize("missing", ["safetensors", "converters"])
def test_a_missing_extra_is_named(checkpoint, missing):
    done = run(f"sys.modules[{missing!r}] = None", checkpoint)
    assert done.returncode == USAGE
    assert "pip install 'edge-qa[convert]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1
