"""How the checkpoints of each family that can be written are laid out, for converters/checkpoint_writer.py."""

from dataclasses import dataclass

from converters.families.distilbert import DISTILBERT_LAYER
from converters.families.layout import BERT_LAYER, LayerNames
from converters.model.encoder import Activation

# As config.json of transformers names them.
ACTIVATION_NAMES: dict[Activation, str] = {
    "gelu": "gelu",
    "gelu_10": "gelu_10",
    "gelu_tanh": "gelu_new",
    "mish": "mish",
    "quick_gelu": "quick_gelu",
    "relu": "relu",
    "relu2": "relu2",
    "silu": "silu",
    "tanh": "tanh",
}


@dataclass(frozen=True)
class CheckpointFormat:
    """Names of one family's tensors and configuration keys.

    prefix: before every tensor but the head's. layers: the list of layers, below the prefix.
    epsilon: the configuration key, or None where the value is written into the model's code.
    """

    architecture: str
    prefix: str
    layers: str = "encoder.layer"
    names: LayerNames = BERT_LAYER
    hidden: str = "hidden_size"
    depth: str = "num_hidden_layers"
    heads: str = "num_attention_heads"
    width: str = "intermediate_size"
    activation: str = "hidden_act"
    epsilon: str | None = "layer_norm_eps"
    counts_from_padding: bool = False  # position ids begin after pad_token_id


CHECKPOINT_FORMATS = {
    "bert": CheckpointFormat("BertForQuestionAnswering", "bert."),
    "roberta": CheckpointFormat("RobertaForQuestionAnswering", "roberta.", counts_from_padding=True),
    "xlm-roberta": CheckpointFormat("XLMRobertaForQuestionAnswering", "roberta.", counts_from_padding=True),
    "camembert": CheckpointFormat("CamembertForQuestionAnswering", "roberta.", counts_from_padding=True),
    "electra": CheckpointFormat("ElectraForQuestionAnswering", "electra."),
    "distilbert": CheckpointFormat(
        "DistilBertForQuestionAnswering",
        "distilbert.",
        layers="transformer.layer",
        names=DISTILBERT_LAYER,
        hidden="dim",
        depth="n_layers",
        heads="n_heads",
        width="hidden_dim",
        activation="activation",
        epsilon=None,
    ),
}
