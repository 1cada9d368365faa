"""What the doctor says of machines and bundles, and when the verdict is bad."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from converters.token_budgets.token_dropping import Keep
from edge_qa.bundle.manifest import Defaults, Manifest, read_manifest
from edge_qa.diagnosis import bundle_fitness, doctor
from edge_qa.diagnosis.bundle_fitness import bundle_needs, check_bundle
from edge_qa.diagnosis.doctor import diagnose
from edge_qa.diagnosis.expected_gains import bf16_gain, int8_gain, sparsity_gain
from edge_qa.diagnosis.finding import Finding
from edge_qa.errors import BundleError
from edge_qa.system import matmul_probe as product
from edge_qa.system.cpu import this_cpu
from edge_qa.system.machine import this_machine
from edge_qa.system.matmul_probe import Products, measure_products
from edge_qa.system.memory import Memory
from tests.support.budgets import bundle_with_budgets
from tests.support.tiny import tiny_bundle

PLENTY = Memory(64 * 10**9, 32 * 10**9, None)
RAN = Finding("bundle", "fact", "ran", "measured here")
OK = Products((1, 1, 1), 1, 1.0, 1.0, 1.0, 1.0, 1.0, int8_sums_are_exact=True)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("doctor"))


def forge(bundle: Path, place: Path, **changes: object) -> Path:
    """A copy whose manifest says something else, with a digest that is right."""
    copy = shutil.copytree(bundle, place / "forged", dirs_exist_ok=True)
    manifest = read_manifest((bundle / "bundle.json").read_bytes(), "test")
    manifest = replace(manifest, **changes)
    (copy / "bundle.json").write_bytes(replace(manifest, digest=manifest.compute_digest()).to_bytes())
    return copy


def manifest_of(bundle: Path) -> Manifest:
    return read_manifest((bundle / "bundle.json").read_bytes(), "test")


def test_a_python_without_fts5_is_noted(monkeypatch):
    assert not [finding for finding in diagnose().findings if finding.topic == "documents"]
    monkeypatch.setitem(sys.modules, "sqlite3", None)
    (finding,) = (finding for finding in diagnose().findings if finding.topic == "documents")
    assert (finding.level, "FTS5" in finding.text) == ("note", True)


def problems(findings) -> list[str]:
    return [finding.text for finding in findings if finding.level == "problem"]


def notes(findings) -> list[str]:
    return [finding.text for finding in findings if finding.level == "note"]


@pytest.fixture
def no_trial(monkeypatch):
    """The real answer in a fresh process is left out; it has its own test."""
    monkeypatch.setattr(bundle_fitness, "_try", lambda path, budget: RAN)


def test_a_sound_bundle_answers_in_a_fresh_process(bundle):
    diagnosis = diagnose(bundle)
    assert diagnosis.well
    assert diagnosis.bundle == str(bundle)
    assert diagnosis.products is None
    assert "INT8" in diagnosis.openvino.capabilities
    last = diagnosis.findings[-1]
    assert last.origin == "measured here"
    assert last.text.startswith("runs: a fresh process gave its first answer after ")
    assert json.loads(json.dumps(asdict(diagnosis)))["well"] is True


def test_every_budget_of_a_bundle_is_tried(bundle, tmp_path):
    keeps = {"fast": Keep((0.5, 0.5)), "mild": Keep((1, 0.5))}
    good = bundle_with_budgets(bundle, tmp_path / "good", keeps)
    diagnosis = diagnose(good)
    assert diagnosis.well
    runs = [finding.text.partition(":")[0] for finding in diagnosis.findings if finding.text.startswith("runs")]
    assert runs == ["runs", "runs with budget fast", "runs with budget mild"]

    content = (good / "model.fast.xml").read_bytes().replace(b'type="Gather"', b'type="Gathers"')
    files = manifest_of(good).files
    record = replace(files["model.fast.xml"], bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    bad = forge(good, tmp_path, files=files | {"model.fast.xml": record})
    (bad / "model.fast.xml").write_bytes(content)
    (problem,) = problems(diagnose(bad).findings)
    assert problem.startswith(
        f"budget fast: in a fresh process: {bad}/model.fast.xml: not a model that is safe to read"
    )


def test_without_a_bundle_the_machine_is_described(monkeypatch):
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    this_cpu.cache_clear()
    diagnosis = diagnose()
    assert diagnosis.well
    topics = {finding.topic for finding in diagnosis.findings}
    assert topics == {"cpu", "cores", "memory", "openvino", "native", "precision", "int8", "sparsity"}
    assert diagnosis.machine.threads >= 1
    assert diagnosis.memory.total_bytes > 0


@pytest.mark.parametrize(
    ("target", "instruction_set", "bad"),
    [
        ("vnni", "avx2", True),
        ("vnni", "avx512", True),
        ("vnni", "avx2_vnni", False),
        ("vnni", "avx512_vnni", False),
        ("vnni", "amx", False),
        ("any", "avx2", False),
        ("avx2", "avx512", False),
        (None, "sse", False),
    ],
)
def test_a_bundle_for_vnni_is_wrong_without_it(bundle, tmp_path, no_trial, target, instruction_set, bad):
    forged = forge(bundle, tmp_path, target=target)
    findings = list(check_bundle(forged, replace(this_machine(), instruction_set=instruction_set), PLENTY))
    assert (problems(findings) != []) is bad
    assert (findings[-1] == RAN) is not bad
    if bad:
        (problem,) = [finding for finding in findings if finding.level == "problem"]
        assert problem.text.startswith(f"made for CPUs with VNNI, this one has {instruction_set}")
        assert problem.remedy == "quantize the FP16 bundle again for the target 'any'"


@pytest.mark.parametrize(
    ("precision", "instruction_set", "note"),
    [
        ("int8", "avx2", "INT8 is no faster than FP16 on this CPU"),
        ("int8", "avx512_vnni", None),
        ("fp16", "avx2", None),
        ("fp16", "avx512", "fp16 runs in f32; INT8 was 1.5x as fast on such a CPU"),
        ("fp16", "avx512_vnni", "fp16 runs in f32; INT8 was 2.2x as fast on such a CPU"),
        ("fp16", "amx", None),
    ],
)
def test_what_int8_gains_depends_on_the_cpu(bundle, tmp_path, no_trial, precision, instruction_set, note):
    forged = forge(bundle, tmp_path, precision=precision)
    findings = list(check_bundle(forged, replace(this_machine(), instruction_set=instruction_set), PLENTY))
    assert notes(findings) == ([] if note is None else [note])
    assert problems(findings) == []


@pytest.mark.parametrize(("instruction_set", "expected"), [("avx512_vnni", True), ("amx", False)])
def test_zeros_gain_nothing_without_amx(bundle, tmp_path, no_trial, instruction_set, expected):
    sparse = replace(manifest_of(bundle).model, sparsity=0.8)
    forged = forge(bundle, tmp_path, model=sparse, precision="int8")
    findings = list(check_bundle(forged, replace(this_machine(), instruction_set=instruction_set), PLENTY))
    assert (
        "80% of the weights are zero, which gains no speed with OpenVINO without AMX" in notes(findings)
    ) is expected


def test_memory_is_estimated_from_the_weights(bundle):
    manifest = manifest_of(bundle)
    files = manifest.files | {"model.bin": replace(manifest.files["model.bin"], bytes=100 * 10**6)}
    for precision, needs in (("fp16", 800), ("int8", 800), ("fp32", 500)):  # 200 MB and 6 or 3 times the weights
        assert bundle_needs(replace(manifest, files=files, precision=precision)) == needs * 10**6


def test_a_bundle_that_does_not_fit_into_memory_is_not_tried(bundle, no_trial):
    machine = this_machine()
    needs = bundle_needs(manifest_of(bundle))
    tight = list(check_bundle(bundle, machine, Memory(64 * 10**9, 32 * 10**9, needs - 1)))
    (problem,) = problems(tight)
    assert problem.startswith(f"takes about {needs / 1e6:.0f} MB of memory")
    assert tight[-1] != RAN
    assert list(check_bundle(bundle, machine, Memory(64 * 10**9, 32 * 10**9, needs)))[-1] == RAN
    assert list(check_bundle(bundle, machine, Memory(64 * 10**9, needs, None)))[-1] == RAN


def test_a_damaged_bundle_is_a_finding_with_its_remedy(bundle, tmp_path, no_trial):
    copy = shutil.copytree(bundle, tmp_path / "damaged")
    content = bytearray((copy / "model.bin").read_bytes())
    content[100] ^= 1
    (copy / "model.bin").write_bytes(content)
    (finding,) = check_bundle(copy, this_machine(), PLENTY)
    assert (finding.level, finding.remedy) == ("problem", "restore the bundle or make it again")
    assert "sha256 differs" in finding.text
    assert ";" not in finding.text


def test_a_folder_that_is_no_bundle_is_a_problem_and_no_folder_an_error(tmp_path):
    diagnosis = diagnose(tmp_path)
    assert not diagnosis.well
    assert any("holds no bundle.json" in text for text in problems(diagnosis.findings))
    with pytest.raises(BundleError, match="is no folder"):
        diagnose(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("changes", "level", "text"),
    [
        # 256 tokens less 3 special ones, 128 shared and one new: a question of 124 still fits.
        ({}, None, ""),
        ({"max_question_len": 124}, None, ""),
        ({"max_question_len": 125}, "note", "questions of more than 124 tokens about texts of several windows"),
        ({"max_seq_len": 150}, "note", "questions of more than 18 tokens about texts of several windows"),
        ({"max_seq_len": 132}, "problem", "no text longer than one window can be read: windows of 132 tokens"),
        ({"max_seq_len": 133}, "note", "questions of more than 1 tokens"),
    ],
)
def test_windows_must_leave_room_for_the_question(bundle, tmp_path, no_trial, changes, level, text):
    forged = forge(bundle, tmp_path, defaults=replace(Defaults(max_seq_len=256), **changes), precision="fp16")
    found = check_bundle(forged, replace(this_machine(), instruction_set="avx2"), PLENTY)
    raised = [finding for finding in found if finding.level != "fact"]
    assert [finding.level for finding in raised] == ([] if level is None else [level])
    assert all(finding.text.startswith(text) for finding in raised)


def test_a_bundle_of_one_length_says_what_that_costs(bundle, tmp_path, no_trial):
    forged = forge(bundle, tmp_path, io=replace(manifest_of(bundle).io, tokens=200))
    found = notes(check_bundle(forged, replace(this_machine(), instruction_set="avx2"), PLENTY))
    assert found[0].startswith("every question costs as much as one of 200 tokens")


def test_a_tokenizer_that_cannot_be_read_is_a_problem(bundle, tmp_path, no_trial):
    content = b'{"not": "a tokenizer"}'
    manifest = manifest_of(bundle)
    record = replace(manifest.files["tokenizer.json"], bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    forged = forge(bundle, tmp_path, files=manifest.files | {"tokenizer.json": record})
    (forged / "tokenizer.json").write_bytes(content)
    findings = list(check_bundle(forged, this_machine(), PLENTY))
    assert any("cannot be read as a tokenizer" in text for text in problems(findings))
    assert findings[-1] != RAN


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"cap": "AVX2", "hidden_instruction_set": "avx512_vnni"}, "hides what the CPU has: avx512_vnni"),
        ({"cap": "AVX9", "hidden_instruction_set": None}, "ONEDNN_MAX_CPU_ISA=AVX9 takes nothing away"),
        ({"quota": 0.5}, "less than one core (0.5)"),
        ({"load_average": 99.0}, "other programs keep the machine busy"),
        ({"instruction_set": "sse"}, "without AVX2 answers take several times as long"),
        ({"quota": 1.0, "load_average": 0.0, "cap": None}, None),
    ],
)
def test_what_slows_the_machine_down_is_noted_with_a_remedy(monkeypatch, changes, text):
    calm = replace(
        this_machine(), instruction_set="avx2", load_average=0.0, quota=None, cap=None, hidden_instruction_set=None
    )
    monkeypatch.setattr(doctor, "_is_x86", lambda: True)
    found = [finding for finding in doctor._look_at_cpu(replace(calm, **changes)) if finding.level != "fact"]
    assert len(found) == (text is not None)
    assert all(text in finding.text and finding.remedy and finding.level == "note" for finding in found)


def test_little_memory_is_noted():
    assert notes(doctor._look_at_memory(Memory(10**9, 200 * 10**6, None)))[0].startswith("200 MB left")
    assert notes(doctor._look_at_memory(PLENTY)) == []
    assert notes(doctor._look_at_memory(Memory(None, None, None))) == []


@pytest.mark.parametrize(
    ("instruction_set", "words", "origin"),
    [
        ("sse", "no speed", "expected"),
        ("avx2", "no speed without VNNI", "measured elsewhere"),
        ("avx2_vnni", "about 2.6x", "measured elsewhere"),  # 22.7 / 8.9
        ("avx512", "about 1.5x", "measured elsewhere"),  # 11.9 / 7.9
        ("avx512_vnni", "about 2.2x", "measured elsewhere"),  # 12.0 / 5.4
        ("amx", "at least", "expected"),
    ],
)
def test_each_cpu_has_its_statement_and_the_statement_its_origin(instruction_set, words, origin):
    finding = int8_gain(instruction_set)
    assert words in finding.text
    assert finding.origin == origin
    assert int8_gain(instruction_set, x86=False).origin == "expected"


def test_sparsity_and_bf16_are_stated():
    assert "gain no speed" in sparsity_gain("avx512_vnni").text
    assert "can gain speed" in sparsity_gain("amx").text
    native = sparsity_gain("avx512_vnni", native=True)
    assert "the native engine skips 4x1 blocks of zeros: 1.7x" in native.text
    assert "with OpenVINO they gain none without AMX" in native.text
    assert native.origin == "measured elsewhere"
    assert bf16_gain(True).origin == "measured elsewhere"
    assert bf16_gain(False).text == "f32; bf16 does not run on this CPU"


def test_the_measured_products_follow_from_their_times():
    products = measure_products(threads=1)
    operations = 2 * 384 * 768 * 3072
    assert products.f32_gops == pytest.approx(operations / products.f32_ms / 1e6)
    assert products.int8_gops == pytest.approx(operations / products.int8_ms / 1e6)
    assert products.int8_speed == pytest.approx(products.f32_ms / products.int8_ms)
    assert (products.shape, products.threads) == ((384, 768, 3072), 1)
    if doctor._is_x86():
        assert products.int8_sums_are_exact is this_cpu().has_int8_dot_product


def test_the_int8_product_is_right_and_runs_in_8_bits():
    random = np.random.default_rng(0)
    weights, given = random.integers(-60, 61, (24, 32)), random.integers(0, 256, (16, 32))
    request = product._compiled(product._int8(16, weights), 1)
    request.infer([given.astype(np.float32)])
    np.testing.assert_array_equal(request.get_output_tensor().data, given @ weights.T)
    run = request.get_compiled_model().get_runtime_model().get_ops()
    kinds = {op.get_rt_info()["layerType"].astype(str): op.get_rt_info()["runtimePrecision"].astype(str) for op in run}
    assert kinds["FullyConnected"] in ("u8", "i8")


@pytest.mark.parametrize(("exact", "words"), [(True, "are exact"), (False, "only bundles of target any or avx2")])
def test_the_measurement_is_told_with_its_origin(exact, words):
    found = list(doctor._look_at_products(replace(OK, int8_sums_are_exact=exact), this_machine()))
    assert [finding.origin for finding in found if finding.level == "fact"] == ["measured here", "measured here"]
    assert words in found[-1].text


def test_a_machine_without_openvino_gets_a_diagnosis():
    code = (
        "import sys; sys.modules['openvino'] = None\n"
        "from edge_qa.diagnosis.doctor import diagnose\n"
        "found = diagnose()\n"
        "assert not found.well and found.openvino is None\n"
        "print(found.findings[-1].text, '|', found.findings[-1].remedy)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "OpenVINO cannot be used: " in done.stdout
    assert "| pip install" in done.stdout


@pytest.mark.parametrize(("cap", "hidden"), [("AVX2", True), ("sse41", True), ("", False), ("AVX512_CORE_AMX", False)])
def test_a_cap_shows_what_it_hides(monkeypatch, cap, hidden):
    flags = "avx2 fma avx512f avx512bw avx512vl avx512dq avx512_vnni"
    monkeypatch.setattr("edge_qa.system.cpu._cpuinfo", lambda: {"flags": flags, "model name": "test"})
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", cap)
    this_cpu.cache_clear()
    try:
        assert this_cpu().hidden == ("avx512_vnni" if hidden else None)
        assert (this_cpu().instruction_set == "avx512_vnni") is not hidden
        assert this_machine().cap == (cap or None)
    finally:
        monkeypatch.undo()
        this_cpu.cache_clear()


def test_a_forged_bundle_for_vnni_fails_under_a_cap(bundle, tmp_path):
    forged = forge(bundle, tmp_path, target="vnni", precision="int8")
    done = subprocess.run(
        [sys.executable, "-m", "edge_qa", "doctor", forged, "--json"],
        env=os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX2"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    said = json.loads(done.stdout)
    assert said["well"] is False
    (problem,) = [finding for finding in said["findings"] if finding["level"] == "problem"]
    assert problem["remedy"] == "quantize the FP16 bundle again for the target 'any'"
