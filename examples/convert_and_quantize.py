"""Turn a checkpoint into an FP16 and an INT8 bundle.

python examples/convert_and_quantize.py CHECKPOINT QUESTIONS FOLDER
"""

import sys
from pathlib import Path

from calibration import QuantizationOptions, quantize
from converters import convert

checkpoint, questions, folder = sys.argv[1:]
Path(folder).mkdir(parents=True, exist_ok=True)
made = convert(checkpoint, Path(folder) / "fp16")
print(f"{made.path}: logits within {made.verification.difference:.0e} of the reference")
small = quantize(made.path, Path(folder) / "int8", calibration=questions, options=QuantizationOptions(samples=24))
print(f"{small.path}: {small.manifest.precision}, calibrated on {small.samples} questions")
