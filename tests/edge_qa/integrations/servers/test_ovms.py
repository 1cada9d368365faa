"""The node of OpenVINO Model Server, with a stand-in for `pyovms`, which only the server has."""

import sys
from importlib import import_module
from types import ModuleType

import numpy as np
import pytest

from edge_qa.errors import InputError, ResourceError
from edge_qa.integrations.servers.columns import packed_texts
from tests.conftest import ROOT

MODULE = "edge_qa.integrations.servers.ovms"
MODELS = ROOT / "examples" / "models"


class Tensor:
    """As the server documents it: a name, a buffer, and a shape and a type that may be overridden."""

    def __init__(self, name, data, shape=None, datatype=None):
        self.name, self.data = name, memoryview(data)
        self.shape = tuple(shape) if shape is not None else self.data.shape
        self.datatype = datatype or {"d": "FP64", "l": "INT64", "B": "UINT8"}[self.data.format]

    def __bytes__(self):
        return self.data.tobytes()


@pytest.fixture
def model(monkeypatch, tmp_path):
    server = ModuleType("pyovms")
    server.Tensor = Tensor
    monkeypatch.setitem(sys.modules, "pyovms", server)
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    (tmp_path / "bundle").symlink_to(MODELS / "minilm-squad-small-int8")
    model = import_module(MODULE).OvmsPythonModel()
    model.initialize({"node_name": "qa", "base_path": str(tmp_path)})
    yield model
    model.finalize()
    sys.modules.pop(MODULE)


def test_a_request_is_answered(model):
    texts = {"context": ["It was lit in 1871.", "Marta Lind kept it."], "question": ["When?", "Who kept it?"]}
    outputs = model.execute([Tensor(name, packed_texts(values)) for name, values in texts.items()])
    found = {tensor.name: tensor for tensor in outputs}
    assert list(found) == ["answer", "score", "start", "end"]
    assert bytes(found["answer"]) == packed_texts(["1871", "Marta Lind"])
    assert {name: (tensor.datatype, tensor.shape) for name, tensor in found.items()} == {
        "answer": ("BYTES", (2,)),
        "score": ("FP64", (2,)),
        "start": ("INT64", (2,)),
        "end": ("INT64", (2,)),
    }
    assert np.asarray(found["start"].data).tolist() == [14, 0]


def test_what_cannot_be_answered_is_an_error(model):
    with pytest.raises(InputError, match="got the inputs question, wanted question and context"):
        model.execute([Tensor("question", packed_texts(["When?"]))])
    with pytest.raises(InputError, match=r"question\[0\]: is blank"):
        model.execute([Tensor(name, packed_texts([" "])) for name in ("question", "context")])


def test_outside_of_the_server_the_import_says_so():
    sys.modules.pop(MODULE, None)
    with pytest.raises(ResourceError, match="pyovms is part of OpenVINO Model Server"):
        import_module(MODULE)
