"""Answer every question of a SQuAD file and print the official scores.

python examples/ask_a_data_set.py BUNDLE DATA
"""

import sys

from edge_qa import QuestionAnswerer, read_dataset, score

qa = QuestionAnswerer.load(sys.argv[1])
dataset = read_dataset(sys.argv[2])
answers = qa.answer_many((example.question, example.context) for example in dataset)
predictions = {example.id: answer.text for example, answer in zip(dataset, answers, strict=True)}
scores = score(dataset, predictions, version=dataset.version)
print(f"{scores.questions} questions: exact match {scores.exact_match:.2f}, F1 {scores.f1:.2f}")
