"""Download a checkpoint from the Hugging Face hub: the one module that touches the network, only when asked."""

from pathlib import Path

from edge_qa.errors import CheckpointError, missing_extra

try:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
except ModuleNotFoundError as error:
    raise missing_extra(error, "hub") from None

# What a conversion reads; a model repository often holds the same weights in five more formats.
_PATTERNS = ["*.json", "*.txt", "*.model", "*.safetensors", "pytorch_model*.bin", "README.md", "LICENSE*"]


def download(model_id: str, revision: str | None = None) -> Path:
    """Download a model and return its folder in the hub's cache. Raises CheckpointError."""
    try:
        return Path(snapshot_download(model_id, revision=revision, allow_patterns=_PATTERNS))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise CheckpointError(
            f"cannot be downloaded ({reason})", where=model_id, remedy="check the id and the network, or give a folder"
        ) from None
