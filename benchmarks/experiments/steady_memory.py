"""Memory over many questions of random lengths, and over one very long document.

python -m benchmarks.experiments.steady_memory BUNDLE [--questions 10000] [--megabytes 1 2 5 10]
"""

import argparse
import time
from pathlib import Path

import numpy as np

from benchmarks.timing import describe_machine
from edge_qa import QuestionAnswerer

_WORDS = (
    *("the", "keeper", "of", "lighthouse", "wrote", "wind", "weather", "and", "ships", "into", "book", "every"),
    *("evening", "while", "rain", "fell", "on", "harbour", "stones", "old", "engine", "turned", "slowly", "under"),
    *("bridge", "nobody", "counted", "boats", "before", "spring", "came", "again"),
)


def resident_mb(kind: str = "VmRSS") -> float:
    """This process's memory in MB (10^6 bytes): VmRSS now, VmHWM at its highest."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(kind)) * 1024 / 1e6


def text(random: np.random.Generator, words: int) -> str:
    """Words in a random order, a full stop after every twelfth."""
    chosen = random.choice(_WORDS, words).tolist()
    return " ".join(f"{word}." if place % 12 == 11 else word for place, word in enumerate(chosen))


def main() -> None:
    """Print memory and time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle")
    parser.add_argument("--questions", type=int, default=10_000)
    parser.add_argument("--megabytes", type=float, nargs="*", default=[1, 2, 5, 10])
    options = parser.parse_args()

    random = np.random.default_rng(0)
    answerer = QuestionAnswerer.load(options.bundle)
    print(describe_machine())
    print(f"loaded {resident_mb():.0f} MB, at its highest {resident_mb('VmHWM'):.0f} MB")
    answerer.answer("Who wrote?", text(random, 20))
    print(f"after the first answer {resident_mb():.0f} MB")
    answerer.warm_up()
    base = resident_mb()
    print(f"after every length {base:.0f} MB")
    for number in range(options.questions):
        answerer.answer("Who wrote into the book?", text(random, int(random.integers(5, 360))))
        if number + 1 in (100, 1000, options.questions):
            print(f"after {number + 1} questions {resident_mb():.0f} MB ({resident_mb() - base:+.1f})")
    for megabytes in options.megabytes:
        words = text(random, int(megabytes * 1e6 / 5.5))
        # Making the text takes more memory than answering from it: the peak is counted from here.
        Path("/proc/self/clear_refs").write_text("5")
        before = resident_mb()
        begin = time.perf_counter()
        answerer.answer("Who wrote into the book?", words)
        seconds = time.perf_counter() - begin
        size = len(words) / 1e6
        print(
            f"a document of {size:.1f} MB: {seconds:.1f} s, {seconds / size:.2f} s/MB, "
            f"memory {before:.0f} -> {resident_mb():.0f} MB, at its highest {resident_mb('VmHWM'):.0f} MB "
            f"(+{resident_mb('VmHWM') - before:.0f})",
            flush=True,
        )


if __name__ == "__main__":
    main()
