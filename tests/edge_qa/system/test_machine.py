"""What a page says about where its figures come from."""

import re

from edge_qa import __version__
from edge_qa.system.cpu import this_cpu
from edge_qa.system.machine import measured_here


def test_a_page_ends_with_date_machine_and_versions():
    said = measured_here()
    assert re.match(r"\d{4}-\d\d-\d\d; ", said)
    assert this_cpu().name in said
    assert f"edge-qa {__version__}" in said
    assert "openvino 20" in said
