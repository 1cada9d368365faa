"""What config.json says of a model and no family computes: refused, never ignored."""

import pytest

from converters.conversion import convert
from edge_qa.errors import CheckpointError
from tests.support.checkpoints import bert_config, write_checkpoint


@pytest.mark.parametrize(
    ("switch", "why"),
    [
        ({"is_decoder": True}, "config is_decoder: got True, which is not supported"),
        ({"add_cross_attention": True}, "config add_cross_attention: got True"),
        ({"is_encoder_decoder": True}, "config is_encoder_decoder: got True"),
        ({"position_embedding_type": "rotary"}, "config position_embedding_type: got 'rotary', wanted one of absolute"),
        ({"quantization_config": {"bits": 4}}, "config quantization_config: .*its weights are quantized"),
    ],
)
def test_a_switch_that_changes_the_model_is_refused(tmp_path, switch, why):
    folder = write_checkpoint(tmp_path / "source", config=bert_config(**switch))
    with pytest.raises(CheckpointError, match=why) as refused:
        convert(folder, tmp_path / "out")
    assert "complete question-answering checkpoint" not in str(refused.value)
    assert not (tmp_path / "out").exists()


def test_switches_that_change_nothing_are_taken(tmp_path):
    harmless = {
        "is_decoder": False,
        "add_cross_attention": None,
        "use_bfloat16": True,
        "use_cache": True,
        "output_attentions": True,
        "chunk_size_feed_forward": 2,
        "tie_word_embeddings": False,
        "torchscript": True,
        "position_embedding_type": "absolute",
    }
    assert convert(write_checkpoint(tmp_path / "source", config=bert_config(**harmless)), tmp_path / "out").path
