"""What a CPU gains from INT8, bf16 and sparse weights, as statements that say where they come from."""

from edge_qa.diagnosis.finding import Finding, Origin
from edge_qa.system.cpu import InstructionSet

# Milliseconds a question, f32 and INT8: MiniLM of 6 layers on 500 questions of SQuAD 1.1 dev, on an AMD EPYC
# (Zen 5) with two cores; the smaller sets through ONEDNN_MAX_CPU_ISA.
_MILLISECONDS: dict[InstructionSet, tuple[float, float]] = {
    "avx2": (22.7, 25.0),
    "avx2_vnni": (22.7, 8.9),
    "avx512": (11.9, 7.9),
    "avx512_vnni": (12.0, 5.4),
}
_WHERE = "AMD EPYC with two cores, MiniLM on SQuAD"


def int8_speed(instruction_set: InstructionSet) -> float | None:
    """Return how many times as fast as f32 INT8 was elsewhere, or None where nobody measured."""
    if instruction_set not in _MILLISECONDS:
        return None
    f32, int8 = _MILLISECONDS[instruction_set]
    return f32 / int8


def int8_gain(instruction_set: InstructionSet, *, x86: bool = True) -> Finding:
    """Return what INT8 gains on such a CPU."""
    speed = int8_speed(instruction_set)
    text, origin = _int8_gain(instruction_set, speed) if x86 else (_UNKNOWN, "expected")
    return Finding("int8", "fact", text, origin)


_UNKNOWN = "what INT8 gains on this kind of CPU is not known; `measure` tells"


def _int8_gain(instruction_set: InstructionSet, speed: float | None) -> tuple[str, Origin]:
    if instruction_set == "amx":
        return "INT8 gains at least what it gains with VNNI, about 2.2x over f32", "expected"
    if speed is None:
        return "INT8 gains no speed without AVX2, only files of half the size", "expected"
    f32, int8 = _MILLISECONDS[instruction_set]
    figures = f"{int8} against {f32} ms a question with {instruction_set}: {_WHERE}"
    if speed < 1:
        return f"INT8 gains no speed without VNNI, only files of half the size ({figures})", "measured elsewhere"
    return f"INT8 is about {speed:.1f}x as fast as f32 ({figures})", "measured elsewhere"


# MiniLM with 80 % of its 4x1 blocks zero beside the dense one, two threads, 64 to 384 tokens:
# docs/benchmarks/results/native.json.
NATIVE_SPARSE = (
    "the native engine skips 4x1 blocks of zeros: 1.7x at 80 % of them with AVX512-VNNI, 1.8x to 2.2x with AVX-VNNI"
)


def sparsity_gain(instruction_set: InstructionSet, *, native: bool = False) -> Finding:
    """Return what zeros in the weights gain on such a CPU. native: the native engine is installed and runs here."""
    if native:
        text = f"{NATIVE_SPARSE} (Intel Xeon, MiniLM); with OpenVINO they gain "
        text += "speed on AMX alone, if any" if instruction_set == "amx" else "none without AMX"
        return Finding("sparsity", "fact", text, "measured elsewhere")
    if instruction_set == "amx":
        text = "zeros in INT8 weights can gain speed: OpenVINO's sparse kernels run on AMX"
    else:
        text = (
            "zeros in the weights gain no speed with OpenVINO, whose sparse kernels need AMX; the native engine skips "
            "4x1 blocks of them; removing heads and neurons helps everywhere"
        )
    return Finding("sparsity", "fact", text, "documented")


def bf16_gain(available: bool) -> Finding:
    """Return what bf16 would do; available: whether it runs."""
    if not available:
        return Finding("precision", "fact", "f32; bf16 does not run on this CPU", "measured here")
    text = (
        'f32 unless asked, for nearly the same scores on every CPU; precision="bf16" is faster and changes scores '
        "more (84 against 157 ms: AMD EPYC with two cores, BERT-base at 384 tokens)"
    )
    return Finding("precision", "fact", text, "measured elsewhere")
