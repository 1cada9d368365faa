"""Windows of random tokens for an encoder, of batch 1 without padding."""

import numpy as np

from calibration.data.samples import Inputs
from converters.model.encoder import Encoder


def random_windows(encoder: Encoder, count: int, seed: int) -> list[Inputs]:
    random = np.random.default_rng(seed)
    return [
        {
            "input_ids": random.integers(0, encoder.vocabulary, (1, tokens)),
            "attention_mask": np.ones((1, tokens), np.int64),
            "token_type_ids": (np.arange(tokens) > 5)[None].astype(np.int64),
            "position_ids": np.arange(tokens)[None],
        }
        for tokens in random.integers(10, 40, count)
    ]
