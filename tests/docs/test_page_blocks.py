"""How pages are read, by hand."""

from pathlib import Path

import pytest

from tests.docs.page_blocks import blocks_of, matches, needs

PAGE = """<!-- begins with: bundles/fp16 bundles/int8 -->
# A page

<!-- exit: 4 -->
```sh
edge-qa ask
```

```text
it was 12.5 ms
```

<!-- not run: takes an hour of training -->
```sh
edge-qa train
```

```ini
[Unit]
```

<!-- slow -->
<!-- output varies -->
<!-- block needs: haystack -->
```python
print(1)
```
"""


def test_blocks_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text(PAGE)
    first, second, third = blocks_of(path)
    assert (first.language, first.code, first.output, first.exit) == ("sh", "edge-qa ask\n", "it was 12.5 ms\n", 4)
    assert (second.not_run, second.output) == ("takes an hour of training", None)
    assert (third.language, third.slow, third.varies, third.exit) == ("python", True, True, 0)
    assert (second.needs, third.needs) == (None, "haystack")
    assert first.line == 5
    assert needs(path) == ["bundles/fp16", "bundles/int8"]


def test_an_unknown_fence_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text("```bash\nls\n```\n")
    with pytest.raises(ValueError, match="bash"):
        blocks_of(path)


@pytest.mark.parametrize(
    ("shown", "got", "same"),
    [
        ("1871  96.4%  characters 39-43", "1871 12.0% characters 39-43", True),
        ("1871  96.4%  characters 39-43", "1871 96.4% characters 39-44", False),
        ("took 12 ms, 5 questions", "took 9 ms, 5 questions", True),
        ("took 12 ms, 5 questions", "took 12 ms, 6 questions", False),
        ("begin\n...\nend", "begin\nmiddle\nlonger\nend\n", True),
        ("begin\n...", "other", False),
        ("all is well", "evaluate: 14/60  23%\nall is well", True),
        ("logits within 1.1e-06", "logits within 9.9e-07", True),
    ],
)
def test_figures_may_differ_and_words_may_not(shown: str, got: str, same: bool) -> None:
    assert matches(shown, got) is same
