"""Texts and data sets that are what Git LFS leaves in their place: named by every command that reads them."""

import pytest

from tests.support.tiny import tiny_bundle

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp("lfs"))


@pytest.mark.parametrize(
    ("before", "after"),
    [(["ask"], ["who ?", "--context"]), (["batch"], []), (["evaluate"], ["--data"])],
    ids=["ask", "batch", "evaluate"],
)
@pytest.mark.parametrize("name", ["data.json", "data.txt"])
def test_a_pointer_is_named(command, bundle, tmp_path, before, after, name):
    (tmp_path / name).write_text(POINTER)
    done = command(*before, bundle, *after, tmp_path / name)
    assert done.code == 4
    assert "a pointer of Git LFS, not the file itself; run git lfs pull" in done.err
