"""Ask the small INT8 bundle that this repository carries: nothing to convert, nothing to train, no torch.

python examples/ask_the_small_one.py
"""

import time
from pathlib import Path

from edge_qa import QuestionAnswerer

BUNDLE = Path(__file__).parent / "models" / "minilm-squad-small-int8"
CACHE = Path("compiled")
CONTEXT = (
    "The lighthouse on Gull Rock was lit for the first time in 1871. Its keeper, Marta Lind, recorded the weather "
    "every hour for forty years, and her notebooks are kept in the harbour museum."
)
QUESTIONS = ("When was the lighthouse first lit?", "Who was the keeper?", "Where are her notebooks kept?")

begin = time.perf_counter()
# The native engine, where it is installed, packs the model into this folder once.
CACHE.mkdir(exist_ok=True)
qa = QuestionAnswerer.load(BUNDLE, cache=CACHE)
print(f"loaded in {time.perf_counter() - begin:.2f} s, {qa.engine.name} engine\n{CONTEXT}\n")
for question in QUESTIONS:
    begin = time.perf_counter()
    answer = qa.answer(question, CONTEXT)
    print(f"{question}\n  {answer.text}  ({answer.score:.1%}, {(time.perf_counter() - begin) * 1000:.0f} ms)")
