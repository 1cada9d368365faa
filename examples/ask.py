"""Ask a question of a text.

python examples/ask.py BUNDLE
"""

import sys

from edge_qa import QuestionAnswerer

CONTEXT = "The Analytical Engine was described by Ada Lovelace in 1843. Charles Babbage never built it."

qa = QuestionAnswerer.load(sys.argv[1])
answer = qa.answer("Who described the Analytical Engine?", CONTEXT)
print(answer.text, f"{answer.score:.2f}", answer.start, answer.end)
