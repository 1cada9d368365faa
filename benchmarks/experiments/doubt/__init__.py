"""Make training data for a model that knows when there is no answer: SQuAD changed, and invented documents."""
