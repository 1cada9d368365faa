"""How the documentation is built: sphinx-build -W --keep-going -n docs build/docs."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from docs.generate.python_names import MOCKED  # noqa: E402 - only once the root is on the path
from edge_qa import __version__  # noqa: E402

project = "Edge QA"
author = "The Edge QA contributors"
copyright = "The Edge QA contributors; Apache-2.0"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "docs.generate.pages"]
exclude_patterns = ["generate", "_static"]
smartquotes = False  # options begin with two hyphens
html_theme = "furo"
html_title = f"Edge QA {__version__}"
html_static_path = ["_static"]
html_css_files = ["narrow.css"]
html_copy_source = html_show_sourcelink = False

# Every heading is an anchor, so that a link to one that is not there is a warning, and so an error.
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence", "deflist"]

# What stands in single backticks in a docstring is code.
default_role = "code"
autodoc_mock_imports = MOCKED
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
maximum_signature_line_length = 88
nitpicky = True
