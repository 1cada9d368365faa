"""Who may import whom: the boundaries between the packages, and the order inside them, held for lazy imports too."""

import ast
import graphlib
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_qa.cli.app import COMMANDS

ROOT = Path(__file__).resolve().parent.parent
CORE = {"numpy", "tokenizers", "click"}
ALLOWED = {
    "edge_qa": CORE | {"edge_qa"},
    "converters": CORE | {"edge_qa", "converters"},
    "calibration": CORE | {"edge_qa", "converters", "calibration"},
}
# A heavy package is imported by the one module that owns it, and nowhere else.
OWNERS = {
    "pypdfium2": {"edge_qa/documents/readers/pdf.py"},
    "haystack": {"edge_qa/integrations/haystack.py"},
    **{name: {"edge_qa/integrations/mcp_server.py"} for name in ("mcp", "mcp_types", "pydantic")},
    "mlserver": {"edge_qa/integrations/servers/mlserver.py"},
    "ray": {"edge_qa/integrations/ray_batch/cluster.py", "edge_qa/integrations/ray_data.py"},
    "pyarrow": {"edge_qa/integrations/ray_batch/parquet.py"},
    "pyovms": {"edge_qa/integrations/servers/ovms.py"},
    "triton_python_backend_utils": {"edge_qa/integrations/servers/triton.py"},
    "openvino": {"edge_qa/_openvino.py", "converters/torch_export/transformers_model.py"},
    "edge_qa_kernels": {"edge_qa/inference/native/library.py"},
    "safetensors": {"converters/checkpoints/weights.py"},
    "huggingface_hub": {"converters/checkpoints/hub.py"},
    "torch": {
        "converters/torch_export/transformers_model.py",
        "calibration/shrinking/fisher.py",
        "calibration/sparsity/unstructured.py",
    },
    "transformers": {"converters/torch_export/transformers_model.py"},
    "nncf": {
        "calibration/quantization/int8_model.py",
        "calibration/sparsity/unstructured.py",
        "calibration/training/recipes/magnitude.py",
    },
}
# Recipes that need gradients may use both everywhere, and the service what its extra brings.
WHOLE_FOLDERS = {
    "calibration/training/": {"torch", "transformers"},
    "calibration/torch_model/": {"torch"},
    "edge_qa/service/": {"starlette", "uvicorn", "h11", "prometheus_client", "msgspec"},
}
MODULES = sorted(path for package in ALLOWED for path in (ROOT / package).rglob("*.py"))


# Folders and modules of each package, the upper may import the lower.
ORDERS = {
    "edge_qa": (
        *("__main__", "cli", "service", "integrations", "diagnosis", "bench", "compat", "documents", "evaluation"),
        *(
            "answerer",
            "answers",
            "inference",
            "text",
            "bundle",
            "system",
            "reporting",
            "git_lfs",
            "files",
            "progress",
            "errors",
            "_openvino",
        ),
        *("lazy_names",),
    ),
    "converters": (
        *("cli", "exporting", "conversion", "torch_export", "importing", "inspection", "native", "token_budgets"),
        *(
            "bundle_writer",
            "checkpoint_writer",
            "verification",
            "families",
            "pruned_checkpoints",
            "checkpoints",
            "tokenization",
            "ir",
        ),
        *("model",),
    ),
    "calibration": (
        *(
            "cli",
            "demo",
            "training",
            "shrinking",
            "sparsity",
            "token_budgets",
            "quantization",
            "confidence",
            "torch_model",
            "data",
        ),
        *("statistics",),
    ),
}
MOST_MODULES = 14  # of one folder, beside __init__.py


def imports(path: Path) -> set[str]:
    """Top-level names of everything a module imports, at its top or inside a function."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add((node.module or "").split(".")[0])
    return names - set(sys.stdlib_module_names)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_keep_to_the_table(path):
    relative = path.relative_to(ROOT).as_posix()
    allowed = ALLOWED[relative.split("/")[0]] | {name for name, owners in OWNERS.items() if relative in owners}
    allowed |= {name for folder, names in WHOLE_FOLDERS.items() if relative.startswith(folder) for name in names}
    assert imports(path) <= allowed


def named(path: Path) -> str:
    """The name that a module is imported by."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


NAMES = {named(path) for path in MODULES}


def is_for_types_alone(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def nodes_that_run(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node, but for what stands under `if TYPE_CHECKING:`."""
    yield tree
    for child in ast.iter_child_nodes(tree):
        if not is_for_types_alone(child):
            yield from nodes_that_run(child)


def modules_imported(path: Path) -> set[str]:
    """Modules of the three packages that a module imports, at its top or inside a function."""
    found = set()
    for node in nodes_that_run(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            inside = {f"{node.module}.{alias.name}" for alias in node.names} & NAMES
            found |= inside or {str(node.module)}
    return found & NAMES


IMPORTS = {named(path): modules_imported(path) for path in MODULES}


def test_no_two_modules_import_each_other_in_a_circle():
    sorter = graphlib.TopologicalSorter(IMPORTS)
    try:
        sorter.prepare()
    except graphlib.CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize("package", ORDERS)
def test_imports_go_down_in_the_order_of_the_folders(package):
    order = ORDERS[package]
    upwards = []
    for name, imported in IMPORTS.items():
        for other in imported:
            places = [module.split(".") for module in (name, other)]
            if any(len(parts) < 2 or parts[0] != package for parts in places):
                continue  # another package, or the package itself, which holds public names only
            upper, lower = (parts[1] for parts in places)
            if upper != lower and order.index(upper) > order.index(lower):
                upwards.append(f"{name} imports {other}")
    assert upwards == []


def test_no_folder_holds_more_modules_than_one_can_look_over():
    folders = Counter(path.parent for path in MODULES if path.name != "__init__.py")
    assert {str(folder): count for folder, count in folders.items() if count > MOST_MODULES} == {}


def test_the_owners_exist():
    assert all((ROOT / path).is_file() for owners in OWNERS.values() for path in owners)


def run(code: str, **environment: str) -> str:
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return result.stdout


def test_import_edge_qa_loads_nothing_heavy():
    loaded = run("import sys, edge_qa; print(*{name.split('.')[0] for name in sys.modules})").split()
    assert not {"numpy", "openvino", "tokenizers", "click"} & set(loaded)


def test_help_loads_nothing_heavy():
    code = (
        "import sys; sys.argv = ['edge-qa', '--help']\n"
        "from edge_qa.cli import main\n"
        "try: main()\n"
        "except SystemExit: print(*{name.split('.')[0] for name in sys.modules})"
    )
    loaded = run(code).splitlines()[-1].split()
    assert "click" in loaded
    assert not {"numpy", "openvino", "tokenizers", "converters", "calibration"} & set(loaded)


def test_a_question_is_answered_with_every_extra_blocked(int8_bundle):
    code = (
        "import sys\n"
        "for name in ('torch', 'transformers', 'nncf', 'safetensors', 'huggingface_hub', 'converters', 'calibration',\n"
        "             'openvino_telemetry'):\n"
        "    sys.modules[name] = None\n"
        f"sys.argv = ['edge-qa', 'ask', {str(int8_bundle)!r}, 'Who wrote it?', '--text', 'Ada Lovelace wrote it.']\n"
        "from edge_qa.cli import main; main()"
    )
    assert run(code).startswith("Ada Lovelace")


def test_every_help_is_shown_with_every_extra_blocked():
    blocked = sorted(set(OWNERS) - {"openvino"} | set().union(*WHOLE_FOLDERS.values()))
    code = (
        "import sys\n"
        f"for name in {blocked!r}: sys.modules[name] = None\n"
        "import click\n"
        "from edge_qa.cli.app import COMMANDS, cli\n"
        "for name in COMMANDS:\n"
        "    command = cli.get_command(None, name)\n"
        "    print(command.get_help(click.Context(command, info_name=name)))\n"
    )
    assert run(code).count("Usage: ") == len(COMMANDS)


def test_a_first_answer_imports_nothing_that_it_does_not_need(int8_bundle):
    code = (
        "import sys\n"
        f"sys.argv = ['edge-qa', 'ask', {str(int8_bundle)!r}, 'Who wrote it?', '--engine', 'openvino',\n"
        "            '--text', 'Notes. Ada Lovelace wrote it.\\n\\n* One. \u2022 Two. 3. Three']\n"
        "from edge_qa.cli import main\n"
        "try: main()\n"
        "finally: print(*sys.modules)"
    )
    loaded = set(run(code).splitlines()[-1].split())
    assert "edge_qa.inference.engine" in loaded
    # Each costs between 1 and 10 ms; numpy.ma comes with np.unique and what is built on it.
    assert not {"numpy.ma", "subprocess", "tempfile", "difflib", "edge_qa.evaluation.segmentation"} & loaded


def test_openvino_stays_complete_and_sends_nothing():
    code = (
        "import sys\n"
        "from edge_qa._openvino import ov\n"
        "assert 'openvino_telemetry' not in sys.modules, 'telemetry was loaded'\n"
        "assert sys.modules.get('openvino.tools.ovc', 0) == 0, 'the converter stays blocked'\n"
        "print(ov.Core().available_devices)"
    )
    assert "CPU" in run(code)
