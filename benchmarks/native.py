"""The native engine beside OpenVINO, in turns in one process, for each instruction set that the CPU has.

    edge-qa pack-native BUNDLE PACKED
    python -m benchmarks.native PACKED [--openvino BUNDLE] [--tokens 64,178,384] [--threads 2] [--json]

PACKED runs natively; OpenVINO runs the same bundle, or the one that is named, such as an INT8 one made of it. A cap
is set for both (EDGE_QA_ISA, ONEDNN_MAX_CPU_ISA), in a process of its own. A busy machine moves a ratio of CPU time
with one thread less than one of wall time.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from typing import Any

import numpy as np

# What a cap is called by the native engine and by oneDNN; None: the whole CPU.
CAPS = {
    "amx": "AVX512_CORE_AMX",
    "avx512_vnni": "AVX512_CORE_VNNI",
    "avx_vnni": "AVX2_VNNI",
    "avx2": "AVX2",
}
ROUNDS = 40


def main() -> None:
    """Run every cap in a process of its own and print the ratios."""
    options = _options()
    if options.cap:
        print(json.dumps(measure(options)))
        return
    results = []
    for cap in CAPS:
        environment = os.environ | {"EDGE_QA_ISA": cap, "ONEDNN_MAX_CPU_ISA": CAPS[cap]}
        command = [sys.executable, "-m", "benchmarks.native", *sys.argv[1:], "--cap", cap]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"{cap}: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
            continue
        found = json.loads(done.stdout)
        if found["isa"] == cap:  # otherwise the CPU lacks it, and stepped down
            results.append(found)
    if options.json:
        print(json.dumps(results, indent=1))
        return
    from edge_qa.system.machine import this_machine

    print(f"{this_machine(options.threads).cpu}, {options.threads} threads; ms, lower quartile (wall | CPU)")
    for found in results:
        for row in found["rows"]:
            native, other = row["native"], row["openvino"]
            ratios = [before / after for before, after in zip(other, native, strict=True)]
            print(
                f"{found['isa']:12s} {row['tokens']:4d} tokens  native {native[0]:7.2f} | {native[1]:7.2f}  "
                f"openvino {other[0]:7.2f} | {other[1]:7.2f}  ratio {ratios[0]:.2f} | {ratios[1]:.2f}"
            )


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Time both engines in turns at each length; milliseconds."""
    from edge_qa import QuestionAnswerer

    native = QuestionAnswerer.load(options.packed, engine="native", threads=options.threads).engine
    other = QuestionAnswerer.load(options.openvino or options.packed, engine="openvino", threads=options.threads).engine
    random = np.random.default_rng(0)
    rows = []
    for tokens in options.tokens:
        ids = random.integers(0, native.model.vocabulary, (1, tokens))
        inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        inputs["position_ids"] = np.arange(tokens)[None]
        times: dict[str, list[tuple[float, float]]] = {"native": [], "openvino": []}
        for number in range(2 * ROUNDS + 2):
            name, engine = (("native", native), ("openvino", other))[number % 2]
            wall, cpu = time.perf_counter(), time.process_time()
            engine.run(inputs)
            if number >= 2:
                times[name].append((time.perf_counter() - wall, time.process_time() - cpu))
        quartiles = {name: (np.percentile(found, 25, axis=0) * 1000).tolist() for name, found in times.items()}
        rows.append({"tokens": tokens, **quartiles})
    return {"isa": native.isa, "rows": rows}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packed", help="a bundle that pack-native made")
    parser.add_argument("--openvino", help="the bundle that OpenVINO runs; the same one by default")
    parser.add_argument("--tokens", type=lambda text: [int(part) for part in text.split(",")], default=[64, 178, 384])
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--cap", choices=CAPS, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
