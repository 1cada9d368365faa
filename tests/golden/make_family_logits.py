"""Write families/: one tiny seeded checkpoint of each family, with the logits and answers that transformers gives.

Run in an environment with the torch extra, sentencepiece and protobuf, from the root of the
repository, after make_tokenizers.py (whose vocabularies the checkpoints use):

    python tests/golden/make_family_logits.py [NAME...]

Made with transformers 4.57.6 and torch 2.13.0 (CPU, float32, eager attention). Each folder is a
checkpoint as `save_pretrained` writes it, and golden.npz beside it:

* BATCHxTOKENS/{input_ids,attention_mask,token_type_ids,start,end}: random inputs, in a batch of
  three padded at the right with the model's own padding, and their logits. Positions are not given:
  each model finds its own.
* answers: JSON; the best answer of at most LONGEST_ANSWER tokens to each of PAIRS by these logits, with
  offsets that leave out the white space at its ends, and the sum of the probabilities of its pairs of tokens.

To add a family, add a function to FAMILIES.
"""

import itertools
import json
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import (
    AlbertConfig,
    AlbertForQuestionAnswering,
    AlbertTokenizerFast,
    AutoTokenizer,
    BertConfig,
    BertForQuestionAnswering,
    CamembertConfig,
    CamembertForQuestionAnswering,
    DistilBertConfig,
    DistilBertForQuestionAnswering,
    ElectraConfig,
    ElectraForQuestionAnswering,
    MobileBertConfig,
    MobileBertForQuestionAnswering,
    PreTrainedModel,
    RobertaConfig,
    RobertaForQuestionAnswering,
    XLMRobertaConfig,
    XLMRobertaForQuestionAnswering,
)

HERE = Path(__file__).resolve().parent
OUT = HERE / "families"
TOKENIZERS = HERE / "tokenizers"
LONGEST, LONGEST_ANSWER = 96, 8
CASES = ((1, 7), (3, 33), (1, LONGEST), (3, LONGEST))
PAIRS = [
    ("Who rises?", "The tide rises at noon."),
    ("Where?", "Chez Zoé, au café de l'Île; à 9 h."),
    ("Who flew?", "  Ada (a 🚀 pilot) flew,  twice. "),
    ("東京?", "A gauge in 東京 reads 5 metres."),
]
SIZES: dict[str, Any] = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 40,
    "attn_implementation": "eager",
}
FAIRSEQ: dict[str, Any] = {**SIZES, "max_position_embeddings": LONGEST + 2, "type_vocab_size": 1, "pad_token_id": 1}


# Families: the name of the folder -> the tokenizer it uses, and the model for a vocabulary of that size.


def bert(words: int, **more: Any) -> PreTrainedModel:
    config = BertConfig(vocab_size=words, max_position_embeddings=LONGEST, **SIZES, **more)
    return BertForQuestionAnswering(config)


def bert_relative(words: int) -> PreTrainedModel:
    """Distances are added to the scores, by query and by key. Pruned in the second layer."""
    model = bert(words, position_embedding_type="relative_key_query", hidden_act="quick_gelu")
    model.bert._prune_heads({1: [0, 2]})
    model.config.pruned_heads = {1: [0, 2]}
    return model


def roberta(words: int) -> PreTrainedModel:
    """Pruned: heads 1 of the first layer, 0 and 3 of the second are gone."""
    model = RobertaForQuestionAnswering(RobertaConfig(vocab_size=words, layer_norm_eps=1e-5, **FAIRSEQ))
    model.roberta._prune_heads({0: [1], 1: [0, 3]})
    model.config.pruned_heads = {0: [1], 1: [0, 3]}
    return model


def xlm_roberta(words: int) -> PreTrainedModel:
    return XLMRobertaForQuestionAnswering(XLMRobertaConfig(vocab_size=words, layer_norm_eps=1e-5, **FAIRSEQ))


def camembert(words: int) -> PreTrainedModel:
    return CamembertForQuestionAnswering(CamembertConfig(vocab_size=words, layer_norm_eps=1e-5, **FAIRSEQ))


def distilbert(words: int, **more: Any) -> PreTrainedModel:
    config = DistilBertConfig(
        vocab_size=words,
        max_position_embeddings=LONGEST,
        dim=24,
        n_layers=3,
        n_heads=4,
        hidden_dim=40,
        attn_implementation="eager",
        **more,
    )
    return DistilBertForQuestionAnswering(config)


def distilbert_pruned(words: int) -> PreTrainedModel:
    """Sines for positions, ReLU, two heads less in the middle layer."""
    model = distilbert(words, sinusoidal_pos_embds=True, activation="relu")
    model.distilbert._prune_heads({1: [0, 2]})
    model.config.pruned_heads = {1: [0, 2]}
    return model


def electra(words: int) -> PreTrainedModel:
    config = ElectraConfig(vocab_size=words, max_position_embeddings=LONGEST, embedding_size=16, **SIZES)
    return ElectraForQuestionAnswering(config)


def electra_relative(words: int) -> PreTrainedModel:
    """Distances are added to the scores, by query alone."""
    config = ElectraConfig(
        vocab_size=words,
        max_position_embeddings=LONGEST,
        embedding_size=16,
        position_embedding_type="relative_key",
        hidden_act="mish",
        **SIZES,
    )
    return ElectraForQuestionAnswering(config)


def electra_wide(words: int) -> PreTrainedModel:
    """Embeddings as wide as the layers, as in electra-base: no projection."""
    config = ElectraConfig(vocab_size=words, max_position_embeddings=LONGEST, embedding_size=24, **SIZES)
    return ElectraForQuestionAnswering(config)


def albert(words: int, **more: Any) -> PreTrainedModel:
    """One group of two layers, which acts twice."""
    sizes = {"embedding_size": 16, "inner_group_num": 2}
    config = AlbertConfig(vocab_size=words, max_position_embeddings=LONGEST, **{**SIZES, **sizes, **more})
    return AlbertForQuestionAnswering(config)


def albert_groups(words: int) -> PreTrainedModel:
    """Three layers that share four turns: the first acts twice. Pruned in the first and the last."""
    model = albert(words, num_hidden_layers=4, num_hidden_groups=3, inner_group_num=1)
    model.albert._prune_heads({0: [1], 2: [0, 2]})
    model.config.pruned_heads = {0: [1], 2: [0, 2]}
    return model


def mobilebert(words: int, **more: Any) -> PreTrainedModel:
    sizes = {"embedding_size": 10, "intra_bottleneck_size": 16, "num_feedforward_networks": 3}
    config = MobileBertConfig(vocab_size=words, max_position_embeddings=LONGEST, **{**SIZES, **sizes, **more})
    return MobileBertForQuestionAnswering(config)


def mobilebert_norm(words: int) -> PreTrainedModel:
    """Layer norms, some of which ignore the configured epsilon; attention inside the bottleneck; single tokens."""
    return mobilebert(
        words,
        normalization_type="layer_norm",
        layer_norm_eps=0.3,
        use_bottleneck_attention=True,
        trigram_input=False,
        num_feedforward_networks=1,
        hidden_act="gelu",
    )


def mobilebert_flat(words: int) -> PreTrainedModel:
    """No bottlenecks, and two heads less in the first layer."""
    model = mobilebert(words, use_bottleneck=False, num_feedforward_networks=2)
    model.mobilebert._prune_heads({0: [0, 3]})
    model.config.pruned_heads = {0: [0, 3]}
    return model


def mobilebert_whole(words: int) -> PreTrainedModel:
    """Attention around the bottleneck, which is as wide as the layer; tokens neither joined nor widened."""
    return mobilebert(
        words,
        key_query_shared_bottleneck=False,
        intra_bottleneck_size=24,
        trigram_input=False,
        embedding_size=24,
        num_feedforward_networks=1,
    )


FAMILIES: dict[str, tuple[str, Callable[[int], PreTrainedModel]]] = {
    "albert": ("albert", albert),
    "albert-groups": ("albert-cased", albert_groups),
    "bert-relative": ("bert-uncased", bert_relative),
    "camembert": ("camembert", camembert),
    "distilbert": ("bert-cased", distilbert),
    "distilbert-pruned": ("bert-uncased", distilbert_pruned),
    "electra": ("bert-uncased", electra),
    "electra-relative": ("bert-uncased", electra_relative),
    "electra-wide": ("bert-added", electra_wide),
    "mobilebert": ("bert-uncased", mobilebert),
    "mobilebert-flat": ("bert-uncased", mobilebert_flat),
    "mobilebert-norm": ("bert-cased", mobilebert_norm),
    "mobilebert-whole": ("bert-uncased", mobilebert_whole),
    "roberta": ("roberta", roberta),
    "xlm-roberta": ("xlm-roberta", xlm_roberta),
}


def draw_weights(model: PreTrainedModel, seed: int) -> None:
    """Redraw every weight, large enough that no part of the model can be left out or scaled unnoticed."""
    random = np.random.default_rng(seed)
    # Without a norm nothing brings the values back from layer to layer.
    strength = 0.8 if getattr(model.config, "normalization_type", None) == "no_norm" else 2
    with torch.no_grad():
        for name, tensor in sorted(model.named_parameters()):
            shape = tuple(tensor.shape)
            if "norm" in name.lower():
                values = random.normal(1 if name.endswith("weight") else 0, 0.2, shape)
            elif name.endswith("bias"):
                values = random.normal(0, 0.3, shape)
            elif "embeddings." in name:
                values = random.normal(0, 1, shape) if tensor.requires_grad else tensor.numpy()
                if name.endswith("word_embeddings.weight"):
                    values[model.config.pad_token_id] = 0  # as transformers makes and keeps it
            else:
                values = random.normal(0, strength / np.sqrt(shape[-1]), shape)
            tensor.copy_(torch.from_numpy(np.asarray(values, np.float32)))
        # Logits as widely spread as those of a trained model: answers are then no near ties.
        spread = np.std(
            np.concatenate([a.ravel() for key, a in logits(model).items() if key.endswith(("start", "end"))])
        )
        for tensor in model.qa_outputs.parameters():
            tensor.mul_(3 / spread)
        # A bundle holds matrices in float16: rounded here, it holds these exactly.
        for tensor in model.parameters():
            if tensor.ndim > 1:
                tensor.copy_(tensor.half().float())


def logits(model: PreTrainedModel) -> dict[str, np.ndarray]:
    config = model.config
    types = getattr(config, "type_vocab_size", 0)
    random = np.random.default_rng(7)
    arrays: dict[str, np.ndarray] = {}
    for batch, tokens in CASES:
        real = np.arange(tokens) < np.linspace(tokens, tokens // 4, batch).astype(int)[:, None]
        # No special token among them: a model that counts positions from the padding must find none in the text.
        ids = random.integers(5, config.vocab_size, (batch, tokens))
        inputs = {
            "input_ids": np.where(real, ids, config.pad_token_id),
            "attention_mask": real.astype(np.int64),
            "token_type_ids": random.integers(0, max(1, types), (batch, tokens)) * real,
        }
        given = {name: torch.from_numpy(array) for name, array in inputs.items() if types or name != "token_type_ids"}
        with torch.no_grad():
            output = model(**given)
        arrays |= {f"{batch}x{tokens}/{name}": array.astype(np.int32) for name, array in inputs.items()}
        arrays[f"{batch}x{tokens}/start"] = output.start_logits.numpy()
        arrays[f"{batch}x{tokens}/end"] = output.end_logits.numpy()
    return arrays


def answers(model: PreTrainedModel, tokenizer: Any) -> list[dict[str, Any]]:
    """The best answer to each of PAIRS: by definition, pair by pair of tokens."""
    takes_types = hasattr(model.config, "type_vocab_size")
    found = []
    for question, context in PAIRS:
        encoding = tokenizer(
            question, context, return_offsets_mapping=True, return_token_type_ids=takes_types, return_tensors="pt"
        )
        offsets, sides = encoding.pop("offset_mapping")[0].tolist(), encoding.sequence_ids(0)
        with torch.no_grad():
            output = model(**encoding)
        # Probabilities over the tokens of the context and the first token, which stands for no answer.
        places = [0] + [place for place, side in enumerate(sides) if side == 1]
        start = dict(zip(places, output.start_logits[0, places].double().softmax(0).tolist(), strict=True))
        end = dict(zip(places, output.end_logits[0, places].double().softmax(0).tolist(), strict=True))
        scores: Counter[tuple[int, int]] = Counter()
        for first in places[1:]:
            for last in range(first, min(first + LONGEST_ANSWER, places[-1] + 1)):
                if context[slice(*offsets[last])].strip():
                    text = context[offsets[first][0] : offsets[last][1]]
                    begin = offsets[first][0] + len(text) - len(text.lstrip())
                    # Several pairs of tokens may stand for the same characters.
                    scores[begin, begin + len(text.strip())] += start[first] * end[last]
        ((begin, stop), score), (_, rival) = scores.most_common(2)
        if rival > 0.99 * score:
            raise NearTieError(f"{question}: {score} and {rival}")
        found.append({"question": question, "context": context, "start": begin, "end": stop, "score": score})
    return found


class NearTieError(Exception):
    """Two answers so close that rounding may swap them."""


def load_tokenizer(folder: Path, model_type: str) -> Any:
    tokenizer = AutoTokenizer.from_pretrained(folder, tokenizer_type=model_type)
    if model_type == "albert":
        # See make_tokenizers.py: the fast tokenizer must not split at ALBERT's user-defined pieces.
        state = json.loads(tokenizer.backend_tokenizer.to_str())
        state["added_tokens"] = [token for token in state["added_tokens"] if token["special"]]
        tokenizer = AlbertTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(state)))
    return tokenizer


def make(name: str) -> None:
    """Write one folder anew."""
    tokenizer_name, build = FAMILIES[name]
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for file in (TOKENIZERS / tokenizer_name).iterdir():
        if file.name != "golden.json":
            shutil.copyfile(file, folder / file.name)
    torch.manual_seed(0)
    golden = json.loads((TOKENIZERS / tokenizer_name / "golden.json").read_text())
    tokenizer = load_tokenizer(folder, golden["model_type"])
    model = build(max(tokenizer.get_vocab().values()) + 1).eval()
    for seed in itertools.count(sum(name.encode())):
        draw_weights(model, seed)
        try:
            found = answers(model, tokenizer)
            break
        except NearTieError as tie:
            print(f"{name}, seed {seed}: {tie}; the next one")
    model.save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)
    arrays = logits(model) | {"answers": np.array(json.dumps(found))}
    np.savez_compressed(folder / "golden.npz", **arrays)
    spread = max(float(np.abs(array).max()) for key, array in arrays.items() if key.endswith(("start", "end")))
    print(f"{name}: largest logit {spread:.2f}, answers {arrays['answers']}")


if __name__ == "__main__":
    # Sums in one order only: the same bytes each time.
    torch.set_num_threads(1)
    for chosen in sys.argv[1:] or FAMILIES:
        make(chosen)
