"""Write the files of tests/golden/torch_pickle/ with a real torch (2.13 wrote the committed ones).

    python tests/golden/make_torch_pickle.py

zip.bin and legacy.bin hold the same tensors in the two formats of torch.save; nested.bin holds them under "state_dict".
What they hold is stated again, by hand, in tests/converters/checkpoints/torch_pickle/test_torch_pickle.py.
"""

from collections import OrderedDict
from pathlib import Path

import torch


def tensors() -> "OrderedDict[str, object]":
    grid = torch.arange(12.0).reshape(3, 4)
    tied = torch.arange(4.0) * 0.25
    state = OrderedDict(
        grid=grid,
        view=grid[1:, 1:],
        transposed=grid.t(),
        column=grid[:, 2],
        tied=tied,
        tied_again=tied,
        parameter=torch.nn.Parameter(torch.tensor([[1.5, -2.5]])),
        expanded=torch.tensor([7.0]).expand(3),
        scalar=torch.tensor(2.5),
        empty=torch.zeros(0, 3),
        float64=torch.tensor([0.1, -1e300], dtype=torch.float64),
        float16=torch.tensor([1.0, -0.5, 65504.0], dtype=torch.float16),
        bfloat16=torch.tensor([1.0, -2.0, 3.140625, float("inf")], dtype=torch.bfloat16),
        bfloat16_view=(torch.arange(6.0).reshape(2, 3).to(torch.bfloat16)).t(),
        int64=torch.tensor([-(2**63), 2**63 - 1]),
        int32=torch.tensor([-(2**31), 2**31 - 1], dtype=torch.int32),
        int16=torch.tensor([-(2**15), 2**15 - 1], dtype=torch.int16),
        int8=torch.tensor([-128, 127], dtype=torch.int8),
        uint8=torch.tensor([0, 255], dtype=torch.uint8),
        uint16=torch.tensor([0, 65535], dtype=torch.uint16),  # _rebuild_tensor_v3 over an untyped storage
        bool=torch.tensor([True, False, True]),
        epoch=3,
        note="not a tensor",
    )
    state._metadata = OrderedDict({"": {"version": 1}})  # type: ignore[attr-defined]  # as Module.state_dict does
    return state


if __name__ == "__main__":
    folder = Path(__file__).parent / "torch_pickle"
    folder.mkdir(exist_ok=True)
    torch.save(tensors(), folder / "zip.bin")
    torch.save(tensors(), folder / "legacy.bin", _use_new_zipfile_serialization=False)
    torch.save({"epoch": 3, "state_dict": tensors(), "optimizer": {"state": {}}}, folder / "nested.bin")
