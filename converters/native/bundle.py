"""Add the packed model to a bundle: `edge-qa pack-native`."""

import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from converters.native.pack import pack_bundle
from edge_qa.bundle.bundle import Bundle, Draft, new_bundle
from edge_qa.bundle.manifest import PACKED_MODEL, Manifest
from edge_qa.files import check_destination

# What `Draft.seal` makes itself.
_SEALED = ("format", "digest", "files")


@dataclass(frozen=True)
class Packed:
    """A bundle that the native engine runs; packed_bytes: what was added to it."""

    path: Path
    manifest: Manifest
    packed_bytes: int


def pack_native(bundle: str | os.PathLike[str], destination: str | os.PathLike[str], *, force: bool = False) -> Packed:
    """Write a copy of a bundle that also holds its model, and its token budgets, for the native engine.

    No calibration data is needed: activations are quantized as they come. The model of OpenVINO stays in the
    bundle, for machines without the native engine.
    Raises BundleError for a bundle that the native engine cannot run, InputError for a destination that exists.
    """
    target = Path(os.path.abspath(destination))
    check_destination(target, force=force, sources=[bundle])
    source = Bundle.load(bundle)
    packed = pack_bundle(source)
    with new_bundle(target, force=force) as draft:
        manifest = write_packed(draft, source, packed)
    return Packed(target, manifest, len(packed))


def write_packed(draft: Draft, source: Bundle, packed: bytes, **changes: Any) -> Manifest:
    """Write every file of a bundle and its packed model, and seal it. changes: parts of the manifest."""
    for name, content in source.contents.items():
        draft.add(name, content.tobytes())
    draft.add(PACKED_MODEL, packed)
    kept = {part.name: getattr(source.manifest, part.name) for part in fields(source.manifest)}
    return draft.seal(**{name: value for name, value in (kept | changes).items() if name not in _SEALED})
