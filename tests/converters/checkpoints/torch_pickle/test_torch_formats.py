"""The formats that torch has written over the years, by hand, and files that are something else."""

import numpy as np
import pytest

from converters.checkpoints.torch_pickle.reader import read_state_dict
from tests.support.torch_pickle_by_hand import (
    SIX,
    Member,
    entries,
    group,
    name_global,
    pickled,
    storage,
    tensor,
    text,
    zipped,
)
from tests.support.torch_pickle_reading import rejected


def test_the_old_rebuild_function_and_short_opcodes_are_read(write):
    arguments = group(storage(), b"K\x01", b"K\x02K\x02\x86", b"M\x02\x00J\x01\x00\x00\x00\x86")
    value = b"}\x94\x8c\x01w" + name_global("torch._utils._rebuild_tensor") + arguments + b"Rs"
    assert read_state_dict(write(value))["w"].tolist() == [[1, 2], [3, 4]]


def test_protocol_4_names_globals_on_the_stack(write):
    value = b"\x95" + bytes(8) + text("collections") + text("OrderedDict") + b"\x93)R\x94" + text("w") + tensor() + b"s"
    assert read_state_dict(write(value))["w"].tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize(
    ("kind", "stored", "wanted"),
    [
        ("torch.FloatStorage", np.array([1.5, -2], ">f4").tobytes(), [1.5, -2]),
        ("torch.LongStorage", np.array([1, -2], ">i8").tobytes(), [1, -2]),
        ("torch.BFloat16Storage", b"\x3f\x80\xc0\x00", [1, -2]),
        ("torch.CharStorage", b"\x01\xfe", [1, -2]),
    ],
)
def test_big_endian_storages_are_swapped(write, kind, stored, wanted):
    value = entries(w=tensor(0, (2,), (1,), storage(kind, elements=2)))
    path = write(value, {"0": stored}, (Member("m/byteorder", b"big"),))
    assert read_state_dict(path)["w"].tolist() == wanted


def test_an_unknown_byte_order_is_refused(write):
    rejected(write(entries(w=tensor()), extra=(Member("m/byteorder", b"middle"),)), "byte order 'middle'")


@pytest.mark.parametrize("wide", [False, True])
def test_numbers_of_64_bits_in_the_archive_are_read(write_bytes, wide):
    members = [Member("m/data.pkl", pickled(entries(w=tensor())), zip64=wide), Member("m/data/0", SIX, zip64=True)]
    path = write_bytes(zipped(members, zip64=wide))
    assert read_state_dict(path)["w"].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_a_storage_may_end_amid_an_element_as_torch_lets_it(write):
    """A float32 view of five bytes has one element, and torch stores all five bytes."""
    value = entries(w=tensor(0, (1,), (1,), storage(elements=1)))
    assert read_state_dict(write(value, {"0": SIX[4:9]}))["w"].tolist() == [1]


@pytest.mark.parametrize("wrapper", ["state_dict", "model", "model_state_dict"])
def test_the_only_dict_of_tensors_is_unwrapped(write, wrapper):
    path = write(entries(**{wrapper: entries(w=tensor()), "args": entries(lr=b"K\x01")}))
    assert list(read_state_dict(path)) == ["w"]


@pytest.mark.parametrize(
    ("value", "match"),
    [
        (entries(model=entries(w=tensor()), ema=entries(w=tensor())), "under: 'model', 'ema'; wanted one"),
        (entries(generator=entries(w=tensor())), "under: 'generator'; wanted one"),
        (entries(model=entries(model=entries(w=tensor()))), "under: none"),
        (b"}", "under: none"),
        (tensor(), "holds a Tensor, wanted a dict"),
        (b"]" + tensor() + b"a", "holds a list, wanted a dict"),
        (b"}K\x05" + tensor() + b"s", "tensor under the key 5"),
        (b"}J\xfb\xff\xff\xff" + tensor() + b"s", "tensor under the key -5"),
    ],
)
def test_a_checkpoint_that_could_mean_several_things_is_refused(write, value, match):
    rejected(write(value), match)


def test_an_archive_of_another_kind_is_refused(write_bytes):
    rejected(write_bytes(zipped([Member("word/document.xml", b"<x/>")])), "has 0 members <name>/data.pkl, wanted one")


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"", "begins with b''"),
        (b"{}", "wanted a zip archive or the legacy format"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n", "git lfs pull"),
        (b"PK\x03\x04", "no zip record"),
        (b"PK\x03\x04" + bytes(100), "does not end as one"),
    ],
)
def test_a_file_of_another_kind_is_refused(write_bytes, data, match):
    rejected(write_bytes(data), match)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    rejected(tmp_path / "none.bin", "is not a file")
    rejected(tmp_path, "is not a file")
