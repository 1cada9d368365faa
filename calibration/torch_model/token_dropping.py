"""Token dropping in a forward pass of torch: the rule is that of converters/token_budgets/token_dropping.py."""

from collections.abc import Callable
from typing import TypeAlias

from converters.token_budgets.token_dropping import QUESTION_BONUS, Keep, kept_tokens
from edge_qa.errors import missing_extra

try:
    import torch
except ModuleNotFoundError as error:
    raise missing_extra(error, "torch") from None

Tensor: TypeAlias = torch.Tensor

MASKED = -1e4  # added to a score that must not count; exp of it is 0 in every float type


class Drop:
    """Which tokens go on from one layer: chosen when its attention is known, or before."""

    def __init__(self, there: Tensor, counts: Tensor, scores: Tensor | None) -> None:
        self.before, self.counts, self.scores = there, counts, scores
        self.kept = self.there = there

    def choose(self, probabilities: Tensor) -> None:
        """probabilities: (batch, heads, queries, tokens)."""
        scores = self.scores
        if scores is None:
            queries = self.before[:, None, :, None].to(probabilities.dtype)
            scores = (probabilities.detach() * queries).float().sum((1, 2))
        scores = scores.masked_fill(~self.before, -torch.inf)
        most = int(self.counts.max())
        self.kept = scores.argsort(dim=1, descending=True, stable=True)[:, :most]
        self.there = torch.arange(most, device=scores.device) < self.counts[:, None]

    def rows(self, x: Tensor) -> Tensor:
        """Return the rows of x, (batch, tokens, n), that stay."""
        return x.gather(1, self.kept[:, :, None].expand(-1, -1, x.shape[2]))


class Dropper:
    """The token dropping of one forward pass."""

    def __init__(self, head: Callable[[Tensor], Tensor], keep: Keep, question: Tensor, lengths: Tensor) -> None:
        """head: hidden states -> logits. question: which tokens are the question's, (batch, tokens)."""
        self.head, self.keep, self.question, self.lengths = head, keep, question, lengths
        self.passed: list[tuple[Tensor, Drop]] = []

    def step(self, index: int, x: Tensor, there: Tensor) -> Drop | None:
        """The choice in this layer, which reads x, or None if all tokens go on."""
        if index not in self.keep.dropping_layers:
            return None
        if self.passed:
            self.question = self.question.gather(1, self.passed[-1][1].kept)
        own = [
            min(length, kept_tokens(self.keep.shares[index], length, self.keep.step))
            for length in self.lengths.tolist()
        ]
        scores = None
        if self.keep.probes:
            probe = torch.as_tensor(self.keep.probes[index], dtype=torch.float32, device=x.device)
            scores = x.detach().float() @ probe + QUESTION_BONUS * self.question
        drop = Drop(there, torch.tensor(own, device=x.device), scores)
        self.passed.append((self.head(x), drop))
        return drop

    def restore(self, logits: Tensor) -> Tensor:
        """Give every dropped token the logits of the last layer that it came through."""
        for before, drop in reversed(self.passed):
            places = drop.kept[:, :, None].expand(-1, -1, 2)
            own = torch.where(drop.there[:, :, None], logits, before.gather(1, places))
            logits = before.scatter(1, places, own)
        return logits
