"""What a model card says of itself, in the manifest."""

import pytest

from converters.bundle_writer import languages_of, licence_of
from converters.conversion import convert
from edge_qa.bundle.manifest import FORMAT
from tests.support.checkpoints import write_checkpoint
from tests.support.command import Command


@pytest.mark.parametrize(
    ("front", "wanted"),
    [
        ("language: en", ("en",)),
        ("language: 'de'  # German", ("de",)),
        ('language: "zh-Hant"', ("zh-Hant",)),
        ("language: [en, 'fr', zh]", ("en", "fr", "zh")),
        ("language:\n- en\n- fr", ("en", "fr")),
        ("language:\n  - en\n  - fr\nlicense: mit", ("en", "fr")),
        ("tags:\n- de\nlanguage:\n- en\ntags2:\n- fr", ("en",)),
        ("language: no", ("no",)),
        ("language: multilingual", ("multilingual",)),
        ("language:\n- en\n- en", ("en",)),
        ("language:", None),
        ("language: []", None),
        ("language: <b>", None),
        ("languages: en", None),
        ("license: mit", None),
    ],
)
def test_languages(front, wanted):
    assert languages_of(f"---\n{front}\n---\n# A model\nlanguage: xx\n") == wanted


def test_no_front_matter():
    assert languages_of(None) is None
    assert languages_of("language: en") is None


@pytest.mark.parametrize(
    ("front", "wanted"),
    [
        ("license: apache-2.0", "apache-2.0"),
        ("license:\n- mit\n- other", "mit"),
        ("license: [mit, other]", "mit"),
        ("license: a b", None),
    ],
)
def test_licence(front, wanted):
    assert licence_of(f"---\n{front}\n---\n") == wanted


def test_they_are_in_the_manifest_and_inspect_shows_them(monkeypatch, capsys, tmp_path):
    source = write_checkpoint(tmp_path / "source")
    (source / "README.md").write_text("---\nlanguage:\n- en\n- de\n---\n# A model\n")
    made = convert(source, tmp_path / "made")
    assert made.manifest.model.languages == ("en", "de")
    assert made.manifest.format == FORMAT
    shown = [
        line
        for line in Command(monkeypatch, capsys)("inspect", made.path).out.splitlines()
        if line.startswith("languages")
    ]
    assert [line.split()[1:] for line in shown] == [["en,", "de"]]
