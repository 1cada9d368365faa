"""Bundles are read strictly and written whole."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_qa import QuestionAnswerer
from edge_qa.bundle.bundle import Bundle, new_bundle
from edge_qa.bundle.manifest import FileRecord, read_manifest
from edge_qa.errors import BundleError, InputError
from tests.support.checkpoints import write_checkpoint


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    """A bundle of a few KB."""
    from converters.conversion import convert

    folder = tmp_path_factory.mktemp("tiny")
    return convert(write_checkpoint(folder / "checkpoint"), folder / "bundle").path


@pytest.fixture
def copy(bundle, tmp_path) -> Path:
    return Path(shutil.copytree(bundle, tmp_path / "copy"))


def rewrite(folder: Path, change) -> None:
    """Write a manifest whose digest is right, after `change` has edited its JSON."""
    path = folder / "bundle.json"
    raw = json.loads(path.read_text())
    change(raw)
    path.write_text(json.dumps(raw, indent=1, ensure_ascii=False) + "\n")


def test_a_bundle_reads_back(bundle):
    manifest = Bundle.load(bundle).manifest
    assert manifest.precision == "fp16"
    assert manifest.model.layers == 2
    assert set(manifest.files) == {"model.xml", "model.bin", "tokenizer.json", "README.md"}
    assert manifest.lineage[0].recipe == "convert"


@settings(max_examples=150, deadline=None)
@given(
    place=st.floats(0, 1, exclude_max=True),
    bit=st.integers(0, 7),
    name=st.sampled_from(["model.bin", "model.xml", "tokenizer.json", "bundle.json", "README.md"]),
)
def test_any_flipped_bit_is_found(bundle, place, bit, name):
    path = bundle / name
    before = path.read_bytes()
    index = int(place * len(before))
    after = bytearray(before)
    after[index] ^= 1 << bit
    path.write_bytes(after)
    try:
        with pytest.raises(BundleError):
            Bundle.load(bundle)
    finally:
        path.write_bytes(before)


def test_every_bit_of_a_manifest_counts(bundle):
    content = (bundle / "bundle.json").read_bytes()
    for index in range(len(content)):
        for bit in range(8):
            flipped = bytearray(content)
            flipped[index] ^= 1 << bit
            with pytest.raises(BundleError):
                read_manifest(bytes(flipped), "bundle.json")


@pytest.mark.parametrize("name", ["model.bin", "model.xml", "tokenizer.json", "bundle.json"])
def test_a_truncated_file_is_found(copy, name):
    content = (copy / name).read_bytes()
    (copy / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(BundleError, match=name):
        Bundle.load(copy)


@pytest.mark.parametrize("name", ["model.bin", "model.xml", "tokenizer.json", "bundle.json", "README.md"])
def test_a_missing_file_is_named(copy, name):
    (copy / name).unlink()
    with pytest.raises(BundleError, match=name):
        Bundle.load(copy)


def test_a_newer_format_is_refused_by_name(copy):
    rewrite(copy, lambda raw: raw.update(format=5))
    with pytest.raises(BundleError, match="bundle format 5, this release reads formats 1 to 4; install a newer"):
        Bundle.load(copy)


def test_a_bundle_of_the_first_format_is_read():
    # The carried one was written by the first release, whose manifests have no languages and no confidence.
    folder = Path(__file__).parents[3] / "examples" / "models" / "minilm-squad-small-int8"
    content = (folder / "bundle.json").read_bytes()
    manifest = read_manifest(content, "bundle.json")
    assert (manifest.format, manifest.model.languages) == (1, None)
    assert manifest.to_bytes() == content


def test_a_bundle_of_the_third_format_is_read(bundle):
    # As that release wrote it: the manifest without `documents`, its digest over what is left.
    manifest = replace(Bundle.load(bundle).manifest, format=3)
    content = replace(manifest, digest=manifest.compute_digest()).to_bytes()
    assert "documents" not in json.loads(content)
    assert read_manifest(content, "bundle.json").to_bytes() == content


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_key_of_a_later_format_is_refused_in_an_earlier_one(copy, number):
    rewrite(copy, lambda raw: raw.update(format=number))
    with pytest.raises(BundleError, match="altered after it was written"):
        Bundle.load(copy)


def test_an_unknown_key_is_refused(copy):
    rewrite(copy, lambda raw: raw["model"].update(colour="blue"))
    with pytest.raises(BundleError, match=r"manifest\.model: unknown key 'colour'"):
        Bundle.load(copy)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda raw: raw["model"].update(layers="six"), r"manifest\.model\.layers: got 'six', wanted an integer"),
        (lambda raw: raw["model"].update(vocabulary=True), r"manifest\.model\.vocabulary: got True, wanted an integer"),
        (lambda raw: raw["model"].update(heads=[4, None]), r"manifest\.model\.heads\[1\]: got None"),
        (lambda raw: raw["io"]["inputs"].pop("input_ids"), r"role 'input_ids' is missing"),
        (lambda raw: raw["io"]["outputs"].pop("output_e"), r"manifest\.io\.outputs: got \['output_s'\]"),
        (lambda raw: raw.update(precision="int4"), r"manifest\.precision: got 'int4', wanted one of fp32, fp16, int8"),
        (lambda raw: raw["defaults"].update(doc_stride=0), r"manifest\.defaults\.doc_stride: got 0"),
        (lambda raw: raw["io"].update(tokens=0), r"manifest\.io\.tokens: got 0, wanted at least 1"),
        (lambda raw: raw["io"].update(batch=-1), r"manifest\.io\.batch: got -1, wanted at least 1"),
        (lambda raw: raw["io"].update(tokens=65), r"manifest\.io\.tokens: got 65, wanted at most longest_input \(64\)"),
        (lambda raw: raw["model"].update(longest_input=0), r"manifest\.model\.longest_input: got 0"),
        (lambda raw: raw["model"].update(vocabulary=-5), r"manifest\.model\.vocabulary: got -5"),
        (lambda raw: raw["model"].update(token_types=-1), r"manifest\.model\.token_types: got -1"),
        (lambda raw: raw["defaults"].pop("doc_stride") and None, r"altered after it was written"),
        (lambda raw: raw.pop("lineage"), r"key 'lineage' is missing"),
        (lambda raw: raw["model"].update(layers=3), r"altered after it was written"),
    ],
)
def test_a_wrong_manifest_is_explained(copy, change, message):
    rewrite(copy, change)
    with pytest.raises(BundleError, match=message):
        Bundle.load(copy)


@pytest.mark.parametrize("name", ["../model.bin", "/etc/passwd", "a/b", "..", ".hidden", "bundle.json", "", "a\nb"])
def test_a_name_outside_the_folder_is_refused(copy, name):
    manifest = Bundle.load(copy).manifest
    forged = replace(manifest, files={**manifest.files, name: FileRecord(1, "0" * 64)})
    forged = replace(forged, digest=forged.compute_digest())
    (copy / "bundle.json").write_bytes(forged.to_bytes())
    with pytest.raises(BundleError, match="is not a plain file name inside the bundle"):
        Bundle.load(copy)


def test_files_that_are_links_are_followed(copy, tmp_path):
    # As in a cache of downloads; the hash guards the bytes.
    wanted = Bundle.load(copy)
    outside = tmp_path / "blobs"
    outside.mkdir()
    for file in list(copy.iterdir()):
        shutil.move(file, outside / f"{file.name}-blob")
        file.symlink_to(outside / f"{file.name}-blob")
    assert Bundle.load(copy).manifest == wanted.manifest
    (outside / "model.bin-blob").write_bytes(bytes(wanted.manifest.files["model.bin"].bytes))
    with pytest.raises(BundleError, match="its bytes are not those that were written"):
        Bundle.load(copy)


@pytest.mark.parametrize("target", ["nowhere", "/dev/null"])
def test_a_link_to_no_file_is_refused(copy, target):
    (copy / "model.bin").unlink()
    (copy / "model.bin").symlink_to(target)
    with pytest.raises(BundleError, match="missing or not a plain file"):
        Bundle.load(copy)


@pytest.mark.parametrize("name", ["bundle.json", "model.xml", "model.bin", "tokenizer.json"])
def test_a_pointer_of_git_lfs_is_named(copy, name):
    (copy / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n")
    with pytest.raises(BundleError, match=f"{name}: a pointer of Git LFS, not the file itself; run git lfs pull"):
        Bundle.load(copy)


def test_a_folder_that_is_no_bundle_says_what_to_do(tmp_path):
    with pytest.raises(BundleError, match="does not exist"):
        Bundle.load(tmp_path / "nothing")
    with pytest.raises(BundleError, match=r"holds no bundle\.json"):
        Bundle.load(tmp_path)
    with pytest.raises(BundleError, match="convert it first: edge-qa convert"):
        Bundle.load(write_checkpoint(tmp_path / "checkpoint"))


def test_an_existing_destination_is_kept(copy):
    before = sorted(copy.iterdir())
    with pytest.raises(InputError, match="already exists"), new_bundle(copy):
        pass
    assert sorted(copy.iterdir()) == before


def test_force_replaces_only_at_the_very_end(copy):
    with pytest.raises(RuntimeError, match="stop"), new_bundle(copy, force=True) as draft:
        draft.add("model.xml", b"new")
        raise RuntimeError("stop")
    assert Bundle.load(copy)
    assert list(copy.parent.iterdir()) == [copy]


def test_an_interrupt_leaves_nothing_behind(tmp_path):
    with pytest.raises(KeyboardInterrupt), new_bundle(tmp_path / "out") as draft:
        draft.add("model.xml", b"half")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_the_model_that_runs_is_the_one_that_was_hashed(copy):
    loaded = Bundle.load(copy)
    for name in ("model.xml", "model.bin", "tokenizer.json"):
        os.truncate(copy / name, 0)
    answer = QuestionAnswerer(loaded).answer("who ?", "ada wrote the book")
    assert answer.text
