"""A model repository of MLServer: one model, which takes text and gives answers."""

from converters.exporting.repository import Repository, text_outputs
from edge_qa.bundle.bundle import Bundle


def write(bundle: Bundle, repository: Repository) -> list[str]:
    """Write the repository; returns how it is started."""
    name = repository.name
    repository.copy_bundle(bundle, f"{name}/bundle")
    repository.write_json(
        f"{name}/model-settings.json",
        {
            "name": name,
            "implementation": "edge_qa.integrations.servers.mlserver.AnswerModel",
            "platform": "edge-qa",
            "inputs": [
                {"name": tensor, "datatype": "BYTES", "shape": [-1], "parameters": {"content_type": "str"}}
                for tensor in ("question", "context")
            ],
            "outputs": [
                {"name": tensor, "datatype": kind, "shape": [-1]} for tensor, kind in text_outputs(bundle).items()
            ],
            "parameters": {"uri": "./bundle"},
        },
    )
    # One process for each model by default: the answerer uses all cores by itself.
    repository.write_json("settings.json", {"parallel_workers": 0, "host": "127.0.0.1"})
    return ["pip install 'edge-qa[mlserver]'", f"mlserver start {repository.final}"]
