"""Real-sized models of the families, seeded, against transformers itself."""

from pathlib import Path

import numpy as np
import pytest

from converters.checkpoints.checkpoint import Checkpoint
from converters.families import read_encoder
from converters.ir.graph import build_graph
from converters.verification.reference import reference_logits
from edge_qa._openvino import this_core
from edge_qa.bundle.manifest import INPUT_ROLES, OUTPUT_ROLES

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

pytestmark = pytest.mark.torch

TOLERANCE = 1e-4
EAGER = {"attn_implementation": "eager"}
ROBERTA = {"max_position_embeddings": 514, "type_vocab_size": 1, "layer_norm_eps": 1e-5, **EAGER}


def distilbert_base():
    return transformers.DistilBertForQuestionAnswering(transformers.DistilBertConfig(**EAGER))


def roberta_base():
    return transformers.RobertaForQuestionAnswering(transformers.RobertaConfig(vocab_size=50265, **ROBERTA))


def camembert_base():
    return transformers.CamembertForQuestionAnswering(transformers.CamembertConfig(vocab_size=32005, **ROBERTA))


def xlm_roberta_base():
    """With a tenth of its 250,002 words: the rest is 700 MB of the same."""
    return transformers.XLMRobertaForQuestionAnswering(transformers.XLMRobertaConfig(vocab_size=25000, **ROBERTA))


def electra_base():
    sizes = {"embedding_size": 768, "hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072}
    return transformers.ElectraForQuestionAnswering(transformers.ElectraConfig(**sizes, **EAGER))


def electra_small():
    return transformers.ElectraForQuestionAnswering(transformers.ElectraConfig(**EAGER))


def albert_base():
    sizes = {"hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072}
    return transformers.AlbertForQuestionAnswering(transformers.AlbertConfig(**sizes, **EAGER))


def mobilebert_uncased():
    return transformers.MobileBertForQuestionAnswering(transformers.MobileBertConfig(**EAGER))


@pytest.mark.parametrize(
    "make",
    [
        distilbert_base,
        roberta_base,
        camembert_base,
        xlm_roberta_base,
        electra_base,
        electra_small,
        albert_base,
        mobilebert_uncased,
    ],
)
def test_a_real_sized_model_computes_what_transformers_computes(make):
    torch.manual_seed(11)
    model = make().eval()
    # Layers that repeat make all tokens alike; without norms attention gets so sharp that even torch's own
    # float32 and float64 disagree by 5 % (from 0.5 on).
    sharpness = {albert_base: 0.7, mobilebert_uncased: 0.3}.get(make, 2)
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            if "norm" in name.lower():
                tensor.add_(torch.randn_like(tensor) * 0.1)
            elif tensor.ndim > 1:
                # 2 is twice the size that keeps the values' own: attention is sharp, and every part matters.
                tensor.normal_(0, 1 if "embeddings." in name else sharpness / tensor.shape[1] ** 0.5)
            else:
                tensor.normal_(0, 0.2)
        # As transformers makes and keeps it.
        model.get_input_embeddings().weight[model.config.pad_token_id] = 0
    real = np.arange(29) < np.array([29, 11])[:, None]
    ids = np.random.default_rng(5).integers(5, model.config.vocab_size, real.shape)
    inputs = {
        "input_ids": np.where(real, ids, model.config.pad_token_id),
        "attention_mask": real.astype(np.int64),
        "token_type_ids": np.zeros(real.shape, np.int64),
    }
    given = {role: inputs[role] for role in INPUT_ROLES[: 3 if hasattr(model.config, "type_vocab_size") else 2]}
    with torch.no_grad():
        output = model(**{role: torch.from_numpy(array) for role, array in given.items()})
    wanted = [output.start_logits.numpy(), output.end_logits.numpy()]

    tensors = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    encoder = read_encoder(Checkpoint(Path(make.__name__), model.config.to_dict(), tensors, "", None, ""))
    inputs["position_ids"] = np.broadcast_to(np.arange(29), real.shape)
    compiled = this_core().compile_model(build_graph(encoder), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    results = compiled(inputs, share_inputs=False)
    found = {"IR": [results[role] for role in OUTPUT_ROLES], "reference": reference_logits(encoder, inputs)}
    for what, logits in found.items():
        worst = max(
            float(np.abs(g - w)[real].max() / max(1, np.abs(w[real]).max()))
            for g, w in zip(logits, wanted, strict=True)
        )
        print(f"{make.__name__}, {what}: {worst:.1e} of {max(np.abs(w[real]).max() for w in wanted):.1f}")
        assert worst <= TOLERANCE
