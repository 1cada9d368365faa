"""The files of deploy/: they parse, are hardened, and call `edge-qa serve` with options that it has."""

import json
import re
import shlex
import subprocess
from configparser import ConfigParser
from pathlib import Path
from shutil import which

import click
import pytest

from edge_qa.cli.app import COMMANDS, cli
from tests.conftest import ROOT

DEPLOY = ROOT / "deploy"
UNIT = DEPLOY / "edge-qa.service"
# Of 10, by systemd's own count; what is left is the network, and code that OpenVINO writes as it compiles.
MOST_EXPOSED = 1.5


def instructions(path: Path) -> list[tuple[str, str]]:
    """The instructions of a Containerfile, their lines joined."""
    text = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", path.read_text(), flags=re.MULTILINE))
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in text.splitlines() if line.strip()]


def unit() -> ConfigParser:
    parser = ConfigParser(strict=False, interpolation=None, delimiters="=", comment_prefixes="#")
    parser.optionxform = str
    parser.read_string(UNIT.read_text())
    return parser


def documents(name: str) -> dict:
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    return yaml.safe_load((DEPLOY / "kserve" / name).read_text())


def calls() -> dict[str, list[str]]:
    """The arguments of `edge-qa serve` in each file."""
    parts = dict(instructions(DEPLOY / "Containerfile"))
    found = {"Containerfile": json.loads(parts["ENTRYPOINT"]) + json.loads(parts["CMD"])}
    found["edge-qa.service"] = shlex.split(unit()["Service"]["ExecStart"])
    (container,) = documents("serving-runtime.yaml")["spec"]["containers"]
    found["serving-runtime.yaml"] = container["command"] + container["args"]
    return found


@pytest.mark.skipif("serve" not in COMMANDS, reason="edge-qa serve is not there")
def test_the_options_exist():
    with click.Context(cli) as context:
        command = cli.get_command(context, "serve")
        for name, (program, verb, *arguments) in calls().items():
            assert (Path(program).name, verb) == ("edge-qa", "serve"), name
            given = command.make_context("serve", list(arguments), parent=context).params
            assert {"bundle", "host", "port", "token_file"} <= given.keys()
            assert given["token_file"] is not None, name


def test_every_call_has_a_token():
    for name, arguments in calls().items():
        assert any(argument.startswith("--token-file") for argument in arguments), name


def test_the_container_is_not_root_and_is_checked():
    parts = instructions(DEPLOY / "Containerfile")
    assert [value for kind, value in parts if kind == "USER"] == ["65532:65532"]
    assert parts.index(("USER", "65532:65532")) > max(
        number for number, (kind, _) in enumerate(parts) if kind in ("RUN", "COPY")
    )
    (check,) = (value for kind, value in parts if kind == "HEALTHCHECK")
    assert "http://127.0.0.1:8000/health" in check
    code = json.loads(check.split("CMD ")[1])
    assert code[:2] == ["python", "-c"]
    compile(code[2], "health check", "exec")
    for kind, value in parts:
        if kind == "COPY" and not value.startswith("--from"):
            assert all((ROOT / name).exists() for name in value.split()[:-1]), value


def test_the_unit_reloads_and_drains():
    service = unit()["Service"]
    assert service["ExecReload"] == "/bin/kill -HUP $MAINPID"
    assert int(service["TimeoutStopSec"]) > 30  # what `edge-qa serve` takes to drain, at most
    assert service["DynamicUser"] == "yes"
    # OpenVINO compiles code as it loads a model.
    assert "MemoryDenyWriteExecute" not in service


@pytest.mark.skipif(which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_counts_the_unit_as_hardened():
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", str(UNIT)], capture_output=True, text=True, check=False
    )
    found = re.search(r"exposure level for edge-qa\.service: ([\d.]+)", done.stdout)
    if found is None:
        pytest.skip(f"systemd-analyze does not run here: {done.stderr.strip()[:80]}")
    assert float(found[1]) <= MOST_EXPOSED, done.stdout
    checked = subprocess.run(["systemd-analyze", "verify", str(UNIT)], capture_output=True, text=True, check=False)
    said = [line for line in checked.stderr.splitlines() if "edge-qa.service" in line]
    assert [line for line in said if "is not executable" not in line] == []


def test_kserve_s_files_fit_together():
    runtime, service = documents("serving-runtime.yaml"), documents("inference-service.yaml")
    assert (runtime["apiVersion"], runtime["kind"]) == ("serving.kserve.io/v1alpha1", "ServingRuntime")
    assert (service["apiVersion"], service["kind"]) == ("serving.kserve.io/v1beta1", "InferenceService")
    model = service["spec"]["predictor"]["model"]
    assert model["runtime"] == runtime["metadata"]["name"]
    assert model["modelFormat"]["name"] in [one["name"] for one in runtime["spec"]["supportedModelFormats"]]
    assert model["protocolVersion"] in runtime["spec"]["protocolVersions"]
    assert model["storageUri"].startswith("oci://")
    (container,) = runtime["spec"]["containers"]
    assert container["name"] == "kserve-container"  # KServe looks for this one
    assert container["args"][0] == "/mnt/models"  # where KServe mounts what storageUri names
    security = container["securityContext"]
    assert (security["runAsNonRoot"], security["readOnlyRootFilesystem"], security["allowPrivilegeEscalation"]) == (
        True,
        True,
        False,
    )
    assert security["capabilities"] == {"drop": ["ALL"]}
    volumes = {volume["name"] for volume in runtime["spec"]["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes
    port = container["ports"][0]["containerPort"]
    assert f"--port={port}" in container["args"]
    for probe in ("readinessProbe", "livenessProbe"):
        get = container[probe]["httpGet"]
        assert get["port"] == port
        assert get["path"].startswith("/v2/health/")
        assert get["httpHeaders"] == [{"name": "Host", "value": "localhost"}]


def test_the_modelcar_holds_the_bundle_where_kserve_looks():
    parts = instructions(DEPLOY / "kserve" / "modelcar.Containerfile")
    (copy,) = (value for kind, value in parts if kind == "COPY")
    assert copy.split()[-2:] == ["${BUNDLE}/", "/models/"]
    assert ("USER", "65532:65532") in parts
