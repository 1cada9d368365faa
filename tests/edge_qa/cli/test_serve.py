"""Options of edge-qa serve that are refused before anything is loaded; no extra is needed for that."""

import pytest


@pytest.mark.parametrize("name", ["a/b", "/", "", " ", ".", "..", "a\nb"])
def test_a_name_that_is_no_segment_of_a_path_is_refused(command, tmp_path, name):
    done = command("serve", tmp_path / "none", "--name", name)
    assert done.code == 2
    assert f"Invalid value for '--name': got {name!r}, wanted a name that can stand in /v2/models/NAME" in done.err


@pytest.mark.parametrize("host", ["http://x/y", "qa.example.org:8000", "", "a b", "user@host"])
def test_a_host_that_no_header_names_is_refused(command, tmp_path, host):
    done = command("serve", tmp_path / "none", "--allow-host", host)
    assert done.code == 2
    assert f"Invalid value for '--allow-host': got {host!r}, wanted a name or an address" in done.err


def test_any_other_name_is_taken(command, tmp_path):
    pytest.importorskip("uvicorn", reason="the extra serve is not installed")
    done = command("serve", tmp_path / "none", "--name", "\u00e9 model%2", "--port", "0", "--allow-host", "::1")
    assert done.code == 3  # it went on to look for the bundle
