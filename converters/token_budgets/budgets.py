"""Several token budgets of one model in one bundle: one IR each, one weights file for all."""

import hashlib
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from converters.ir.storage import write_ir
from converters.token_budgets.token_dropping import Keep, drop_tokens
from edge_qa._openvino import ov, this_core
from edge_qa.bundle.bundle import Bundle
from edge_qa.bundle.manifest import MODEL_BIN, MODEL_XML, Budget, TokenRule
from edge_qa.errors import BundleError

_PLACE = re.compile(rb'offset="(\d+)" size="(\d+)"')
# Constants begin where any vector instruction may load them from.
_ALIGNMENT = 64


def budget_file(name: str) -> str:
    """The file of a budget's IR inside a bundle."""
    return f"model.{name}.xml"


def token_dropping_model(bundle: Bundle, keep: Keep, *, xml: str = MODEL_XML) -> "ov.Model":
    """Return the bundle's model with token dropping. Raises InputError, or BundleError for an imported one."""
    heads = bundle.manifest.model.heads
    if heads is None:
        raise BundleError(
            "was imported, and its layers are not known",
            where=bundle.path,
            remedy="only what edge-qa convert made can drop tokens",
        )
    keep.check(heads)
    model = this_core().read_model(bundle.checked_xml(xml), ov.Tensor(bundle.model_bin))
    drop_tokens(model, keep)
    return model


def budget_files(bundle: Bundle, budgets: Mapping[str, Keep], *, scratch: Path | None = None) -> dict[str, bytes]:
    """Return the model files of a bundle with these budgets: the plain IR, one for each budget, the weights.

    The weights file begins with the bundle's own, so that the plain IR is the bundle's own as well; what
    only a budget needs (its probes, a few numbers) follows. scratch: as for `serialized`.
    """
    blob = bytearray(bundle.model_bin.tobytes())
    plain = bundle.model_xml
    places: dict[tuple[int, bytes], int] = {}
    for offset, size in _places(plain):
        places.setdefault(_key(blob[offset : offset + size]), offset)
    files = {MODEL_XML: plain}
    for name, keep in budgets.items():
        xml, weights = serialized(token_dropping_model(bundle, keep), scratch)

        def move(match: re.Match[bytes], weights: bytes = weights) -> bytes:
            content = weights[int(match[1]) : int(match[1]) + int(match[2])]
            key = _key(content)
            if key not in places:
                blob.extend(bytes(-len(blob) % _ALIGNMENT))
                places[key] = len(blob)
                blob.extend(content)
            return b'offset="%d" size="%d"' % (places[key], len(content))

        files[budget_file(name)] = _PLACE.sub(move, xml)
    files[MODEL_BIN] = bytes(blob)
    return files


def read_keep(bundle: Bundle, budget: Budget) -> Keep:
    """Return what a budget of a bundle keeps, its probes read from its IR."""
    if budget.rule == "attention":
        return Keep(budget.keep, budget.step)
    model = this_core().read_model(bundle.checked_xml(budget.model), ov.Tensor(bundle.model_bin))
    probes: dict[int, NDArray[np.float32]] = {}
    for node in model.get_ordered_ops():
        match = re.fullmatch(r"encoder\.layer\.(\d+)\.drop\.probe\.weight", node.get_friendly_name())
        if match:
            probes[int(match[1])] = np.array(node.get_data()[0], np.float32)  # the head's rows follow
    return Keep(budget.keep, budget.step, probes)


def carry_budgets(source: Bundle, successor: Bundle) -> tuple[dict[str, bytes], dict[str, Budget] | None]:
    """Put the budgets of a bundle into what was made from it: model files, and the manifest's entries.

    What was measured of the source's budgets does not hold any more and is left out.
    """
    if not source.manifest.budgets:
        return {name: successor.contents[name].tobytes() for name in (MODEL_XML, MODEL_BIN)}, None
    keeps = {name: read_keep(source, budget) for name, budget in source.manifest.budgets.items()}
    return budget_files(successor, keeps), {name: budget_record(name, keep) for name, keep in keeps.items()}


def budget_record(name: str, keep: Keep, *, f1: float | None = None, relative_latency: float | None = None) -> Budget:
    """Return the manifest's entry of a budget."""
    rule: TokenRule = "probe" if keep.probes else "attention"
    return Budget(budget_file(name), tuple(map(float, keep.shares)), rule, keep.step, f1, relative_latency)


def serialized(model: "ov.Model", scratch: Path | None = None) -> tuple[bytes, bytes]:
    """Return the two files of a model. scratch: where they lie meanwhile; the system's temporary folder if None."""
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        write_ir(model, Path(folder))
        return (Path(folder) / MODEL_XML).read_bytes(), (Path(folder) / MODEL_BIN).read_bytes()


def _places(xml: bytes) -> list[tuple[int, int]]:
    return [(int(match[1]), int(match[2])) for match in _PLACE.finditer(xml)]


def _key(content: bytes | bytearray) -> tuple[int, bytes]:
    return len(content), hashlib.sha256(content).digest()
