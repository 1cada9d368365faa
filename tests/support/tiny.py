"""Tiny bundles that convert in an instant and take inputs of up to 256 tokens."""

from pathlib import Path

from converters.conversion import convert
from tests.support.checkpoints import bert_config, bert_tensors, write_checkpoint


def tiny_bundle(folder: Path, *, seed: int = 0, positions: int = 256) -> Path:
    """Write a checkpoint and its bundle below `folder`; returns the bundle."""
    checkpoint = write_checkpoint(
        folder / f"checkpoint-{seed}-{positions}",
        tensors=bert_tensors(positions=positions, seed=seed),
        config=bert_config(positions=positions),
    )
    return convert(checkpoint, folder / f"bundle-{seed}-{positions}").path
