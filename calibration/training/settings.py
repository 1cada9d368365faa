"""What a run uses of this machine: the device, the type of products, threads, memory."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

from calibration.training.options import Compute, Device
from edge_qa.errors import ResourceError, missing_extra
from edge_qa.system.cpu import this_cpu

try:
    import torch
except ModuleNotFoundError as error:
    raise missing_extra(error, "torch") from None


def find_device(wanted: Device) -> torch.device:
    """Return the device. Raises ResourceError for a GPU that is not there."""
    if wanted == "cuda" and not torch.cuda.is_available():
        raise ResourceError(
            "torch finds no GPU", where="device cuda", remedy="give `device` cpu, or install torch with CUDA"
        )
    return torch.device("cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu")


def compute_type(wanted: Compute, device: torch.device) -> torch.dtype:
    """Return the type of products: bfloat16 where the machine has it in hardware, unless told otherwise."""
    if wanted != "auto":
        return torch.bfloat16 if wanted == "bf16" else torch.float32
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    return torch.bfloat16 if torch.cpu._is_avx512_bf16_supported() else torch.float32


def batch_tokens(device: torch.device) -> int:
    """Return how many tokens a batch holds by default."""
    return 4096 if device.type == "cpu" else 16384


@contextmanager
def use_threads() -> Iterator[None]:
    """Let torch use the cores that this process may use, for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(this_cpu().threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def release_memory() -> None:
    """Give back what glibc holds free: tensors of ever other sizes leave gaps, gigabytes of them in an hour."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
