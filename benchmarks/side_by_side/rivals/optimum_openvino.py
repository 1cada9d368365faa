"""optimum-intel's OVModelForQuestionAnswering, in the loop that its users write.

Also makes its models: `optimum_openvino.py --make JOB`, job: checkpoint, output, int8, calibration (pairs), threads.
"""

import json
import sys

from protocol import serve
from squad_loop import SquadLoop, transformers_encoder


def load(job):
    """job: model (a saved one), threads, hint (an inference precision, null for OpenVINO's own choice)."""
    from optimum.intel import OVModelForQuestionAnswering

    # Not pinned, as ours: beside other processes pinned threads wait for each other.
    config = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": job["threads"],
        "ENABLE_CPU_PINNING": False,
    }
    if job["hint"]:
        config["INFERENCE_PRECISION_HINT"] = job["hint"]
    model = OVModelForQuestionAnswering.from_pretrained(job["model"], ov_config=config)

    def logits(arrays):
        found = model(**arrays)
        return found.start_logits, found.end_logits

    loop = SquadLoop(transformers_encoder(job["model"]), logits)
    loop.detail = f"activations {job['hint'] or 'as OpenVINO chooses'}"
    return loop


def make(job):
    """Export the checkpoint, and quantize it with the library's own quantizer if job["int8"]."""
    from optimum.intel import OVModelForQuestionAnswering
    from transformers import AutoTokenizer

    model = OVModelForQuestionAnswering.from_pretrained(job["checkpoint"], export=True, compile=False)
    tokenizer = AutoTokenizer.from_pretrained(job["checkpoint"])
    if job["int8"]:
        import nncf
        from optimum.intel import OVConfig, OVQuantizationConfig, OVQuantizer

        encode = transformers_encoder(job["checkpoint"])
        loop = SquadLoop(encode, None)
        samples = [loop.batch([encode(*pair)[0]]) for pair in job["calibration"]]
        OVQuantizer.from_pretrained(model).quantize(
            calibration_dataset=nncf.Dataset(samples),
            ov_config=OVConfig(quantization_config=OVQuantizationConfig(bits=8, num_samples=len(samples))),
            save_directory=job["output"],
        )
    else:
        model.save_pretrained(job["output"])
    tokenizer.save_pretrained(job["output"])


if __name__ == "__main__":
    if sys.argv[1] == "--make":
        make(json.load(sys.stdin))
    else:
        serve(load)
