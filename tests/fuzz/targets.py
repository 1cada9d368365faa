"""What is damaged, and who must stand it: each target reads one damaged thing as a command would."""

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

from converters.checkpoints.checkpoint import read_checkpoint
from converters.conversion import convert
from converters.families import read_encoder
from edge_qa.answerer import QuestionAnswerer
from edge_qa.bundle.bundle import Bundle
from edge_qa.bundle.manifest import FileRecord, Manifest, read_manifest
from edge_qa.evaluation.dataset import read_dataset
from edge_qa.text.tokenizer import bundle_tokenizer
from tests.fuzz.mutations import damage_bytes, damage_json, damage_xml
from tests.support.tiny import tiny_bundle

QUESTION, TEXT = "who flew ?", "ada flew a pilot twice at noon . 1843 é \u202e"
_SQUAD = {
    "version": "1.1",
    "data": [
        {
            "title": "t",
            "paragraphs": [
                {
                    "context": TEXT,
                    "qas": [
                        {"id": "1", "question": QUESTION, "answers": [{"text": "ada", "answer_start": 0}]},
                        {"id": "2", "question": "when ?", "answers": [], "is_impossible": True},
                    ],
                }
            ],
        }
    ],
}
_LINE = {"id": 3, "question": QUESTION, "context": TEXT, "answers": ["ada"]}
# How many of 100 mutations: those of a model take the longest.
SHARES = {"manifest": 25, "xml": 20, "tokenizer": 20, "checkpoint": 15, "data": 20}


class Targets:
    """The things that are damaged, in a folder of their own."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="edge-qa-fuzz-"))
        (source := self.folder / "source").mkdir()
        self.bundle = Bundle.load(tiny_bundle(source, positions=64))
        self.place = Path(shutil.copytree(self.bundle.path, self.folder / "bundle"))
        self.checkpoint = next(source.glob("checkpoint-*"))
        self.damaged = Path(shutil.copytree(self.checkpoint, self.folder / "checkpoint"))

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, seed: int, number: int) -> str:
        """Do mutation `number`; returns the target's name. Raises what the target raises."""
        random = Random(f"{seed}/{number}")
        name = random.choices(list(SHARES), list(SHARES.values()))[0]
        target: Callable[[Random], None] = getattr(self, f"_{name}")
        target(random)
        return name

    @staticmethod
    def name(seed: int, number: int) -> str:
        return Random(f"{seed}/{number}").choices(list(SHARES), list(SHARES.values()))[0]

    def _manifest(self, random: Random) -> None:
        content = (self.bundle.path / "bundle.json").read_bytes()
        damaged = random.choice((damage_bytes, damage_json, damage_json))(content, random)
        if random.random() < 0.7:
            damaged = _sealed_again(damaged)
        (self.place / "bundle.json").write_bytes(damaged)
        try:
            loaded = Bundle.load(self.place)
            if damaged != content:
                QuestionAnswerer(loaded, threads=1).answer(QUESTION, TEXT)
        finally:
            (self.place / "bundle.json").write_bytes(content)

    def _xml(self, random: Random) -> None:
        xml = random.choice((damage_bytes, damage_xml, damage_xml, damage_xml))(self.bundle.model_xml, random)
        self._ask_with("model.xml", xml)

    def _tokenizer(self, random: Random) -> None:
        content = self.bundle.tokenizer_json.encode()
        damaged = random.choice((damage_bytes, damage_json, damage_json))(content, random)
        if random.random() < 0.1:
            self._ask_with("tokenizer.json", damaged)
            return
        self._with("tokenizer.json", damaged)
        tokenizer = bundle_tokenizer(Bundle.load(self.place, model_later=True))
        for text in (QUESTION, TEXT, "a" * 300):
            tokenizer.encode(text, "text")

    def _with(self, name: str, content: bytes) -> None:
        """Put a damaged file into the bundle, whose manifest knows it."""
        import hashlib

        files = self.bundle.manifest.files | {name: FileRecord(len(content), hashlib.sha256(content).hexdigest())}
        manifest = replace(self.bundle.manifest, files=files)
        for path in self.bundle.path.iterdir():
            shutil.copyfile(path, self.place / path.name)
        (self.place / name).write_bytes(content)
        (self.place / "bundle.json").write_bytes(replace(manifest, digest=manifest.compute_digest()).to_bytes())

    def _ask_with(self, name: str, content: bytes) -> None:
        self._with(name, content)
        QuestionAnswerer.load(self.place, threads=1).answer(QUESTION, TEXT)

    def _checkpoint(self, random: Random) -> None:
        for path in self.checkpoint.iterdir():
            shutil.copyfile(path, self.damaged / path.name)
        path = random.choice(sorted(self.damaged.iterdir()))
        content = path.read_bytes()
        if path.suffix == ".json":
            damaged = random.choice((damage_bytes, damage_json, damage_json))(content, random)
        elif path.suffix == ".safetensors" and random.random() < 0.7:
            head = 8 + int.from_bytes(content[:8], "little")
            header = random.choice((damage_bytes, damage_json))(content[8:head], random)
            damaged = len(header).to_bytes(8, "little") + header + content[head:]
        else:
            damaged = damage_bytes(content, random)
        path.write_bytes(damaged)
        if random.random() < 0.05:
            convert(self.damaged, self.folder / "converted", force=True)
        else:
            read_encoder(read_checkpoint(self.damaged))

    def _data(self, random: Random) -> None:
        kind = random.randrange(3)
        content = json.dumps(_SQUAD if kind == 0 else _LINE).encode()
        if kind == 2:
            content = f"# {TEXT}\n\nQ: {QUESTION}\nA: ada\n".encode()
            damaged = damage_bytes(content, random)
        else:
            damaged = random.choice((damage_bytes, damage_json, damage_json))(content, random)
        path = self.folder / f"data{random.choice(('.json', '.jsonl', '.txt', '.json.gz'))}"
        path.write_bytes(b"\n".join([damaged] * random.choice((1, 2))))
        try:
            read_dataset(path)
        finally:
            path.unlink()


def _sealed_again(content: bytes) -> bytes:
    """Give a manifest the digest that belongs to it, where it can be read apart from that."""
    try:
        raw = json.loads(content)
        read_manifest(json.dumps(raw).encode(), "")
    except Exception:
        pass
    try:
        from edge_qa.bundle.json_dataclass import decode

        problems: list[str] = []
        manifest = decode(Manifest, raw, "manifest", problems)
        if manifest is None:
            return content
        return replace(manifest, digest=manifest.compute_digest()).to_bytes()
    except Exception:
        return content
