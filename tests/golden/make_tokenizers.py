r"""Write tokenizers/: tiny tokenizers of every kind, and what transformers makes of hard texts with them.

Run in an environment with the torch extra, sentencepiece and protobuf, from the root of the repository:

    python tests/golden/make_tokenizers.py

Made with transformers 4.57.6, tokenizers 0.22.2 and sentencepiece 0.2.3. Each folder holds a
vocabulary in the file format of its checkpoints, with the settings beside it, and golden.json:

* texts: ids and offsets without special tokens, special tokens in the text taken as such;
* typed: ids of the same texts, special tokens in the text taken as text;
* windows: ids and type ids of (question, context) pairs, cut to LONGEST tokens that share STRIDE.

The reference is the fast tokenizer of transformers, with two exceptions that it gets wrong, where
it is sentencepiece itself: a typed "</s>" becomes the real one; and of ALBERT's user-defined pieces,
such as "(", the fast tokenizer converted by 4.57 starts a new word after each.
"""

import contextlib
import io
import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sentencepiece
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import (
    AlbertTokenizer,
    AlbertTokenizerFast,
    BertTokenizerFast,
    CamembertTokenizerFast,
    RobertaTokenizerFast,
    XLMRobertaTokenizerFast,
)

HERE = Path(__file__).resolve().parent
OUT = HERE / "tokenizers"
QUESTIONS = HERE.parents[1] / "examples" / "data" / "questions.json"
LONGEST, STRIDE = 48, 12

TEXTS = [
    "",
    "The tide (neap) rises, isn't it?",
    "Café ÉCOLE naïve Ångström",
    "Cafe\u0301 E\u0301COLE nai\u0308ve",
    "İstanbul straße ﬁne Ａ①",
    "東京タワー is in 日本.",
    "한국어 и русский، العربية हिन्दी",
    "bell\u0007 null\u0000 tab\tzero\u200bwidth soft\u00adhyphen replaced\ufffd",
    "line\nbreak\r\nand\u2028separator\u0085next",
    " leading, two  spaces, no-break\u00a0space, wide\u3000space ",
    "[CLS] a [SEP] b [MASK]c [UNK] [PAD]",
    "<s>a</s> b <mask> c <unk> <pad></s></s> <s>NOTUSED",
    "an emoji 👍🏽, an astronaut 👩\u200d🚀, a flag 🇫🇷, a heart ❤️.",
    "``quoted'' \"words\" -- in 1990, for £2,000.50, 40, 80,",
    "a" * 101 + " " + "b" * 100,
    "newword Newword ent1 ENT1 xent1x <ctx> spe",
]
ACCENTED = "Die Café-Gäste in Île-de-France, naïve Señoras und 東京 日本; é è ê ü ö ä ß œ. "
NUMBERS = "In 1990, 2000, 1970, 1900, and 1810, it was 20,000, not 30,000. "
MULTILINGUAL = "한국어 русский العربية हिन्दी £ € – “ ” 👍 0123456789 ()[]<>/\"'`-_+*"


def corpus() -> list[str]:
    """The texts that the vocabularies are trained on."""
    data = json.loads(QUESTIONS.read_text(encoding="utf-8"))["data"]
    paragraphs = [paragraph for article in data for paragraph in article["paragraphs"]]
    questions = [qa["question"] for paragraph in paragraphs for qa in paragraph["qas"]]
    return [
        *(paragraph["context"] for paragraph in paragraphs),
        *questions,
        *[ACCENTED] * 5,
        *[NUMBERS] * 20,
        MULTILINGUAL,
    ]


# Vocabularies


def make_vocab_txt(folder: Path, *, lower: bool) -> None:
    """Every character, frequent words and frequent ends of words. (The library's trainer breaks ties at random.)"""
    normalizer = normalizers.BertNormalizer(lowercase=lower)
    splitter = pre_tokenizers.BertPreTokenizer()
    words: Counter[str] = Counter()
    for text in corpus():
        words.update(word for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text)))
    ends: Counter[str] = Counter()
    for word, count in words.items():
        ends.update({word[-size:]: count for size in (2, 3) if size < len(word)})
    characters = sorted(set("".join(words)))
    whole = sorted((word for word in words if len(word) > 1), key=lambda word: (-words[word], word))[:160]
    tails = sorted(ends, key=lambda end: (-ends[end], end))[:60]
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    continued = [f"##{piece}" for piece in (*characters, *tails)]
    # U+2028 separates lines, and is a token of its own in the multilingual vocabularies.
    lines = [*special, "\u2028", *characters, *whole, *continued]
    (folder / "vocab.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def train_byte_level(folder: Path) -> None:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    tokenizer.model.save(str(folder))


def train_sentencepiece(path: Path, **more: Any) -> None:
    # A few rules of NFKC and white space; the whole map would take 240 KB.
    changes = ("FB01\t66 69", "FF21\t41", "2460\t31", *(f"{space}\t20" for space in ("A0", "3000", "9", "A", "D")))
    model = io.BytesIO()
    # The model keeps the names of its files: the same bytes everywhere need names without folders.
    with contextlib.chdir(path.parent):
        Path("rules.tsv").write_text("\n".join((*changes, "200B\t20", "2028\t20")) + "\n", encoding="utf-8")
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(corpus()),
            model_writer=model,
            model_type="unigram",
            vocab_size=400,
            hard_vocab_limit=False,
            character_coverage=1.0,
            normalization_rule_tsv="rules.tsv",
            num_threads=1,
            minloglevel=2,
            **more,
        )
        Path("rules.tsv").unlink()
    path.write_bytes(model.getvalue())


# Goldens


def write_golden(
    folder: Path, model_type: str, tokenizer: Any, typed: Callable[[str], list[int]] | None = None
) -> None:
    """Write golden.json; `typed` replaces the tokenizer where special tokens in the text are text."""

    def split(text: str) -> list[int]:
        return tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]

    texts = []
    for text in TEXTS:
        encoding = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        texts.append([text, encoding["input_ids"], encoding["offset_mapping"]])
    first = json.loads(QUESTIONS.read_text(encoding="utf-8"))["data"][0]["paragraphs"][0]
    pairs = [(first["qas"][0]["question"], first["context"][:500]), ("Où est 東京?", TEXTS[12]), ("Who?", "Ada.")]
    windows = []
    for question, context in pairs:
        encoding = tokenizer(
            question,
            context,
            truncation="only_second",
            max_length=LONGEST,
            stride=STRIDE,
            return_overflowing_tokens=True,
            return_token_type_ids=True,
        )
        ids, types = encoding["input_ids"], encoding["token_type_ids"]
        # Tokenizers gives later windows a type that models without types are never told.
        if "token_type_ids" not in tokenizer.model_input_names:
            types = [[0] * len(row) for row in ids]
        windows.append([question, context, ids, types])
    golden = {
        "model_type": model_type,
        "texts": texts,
        "typed": [[text, (typed or split)(text)] for text in TEXTS],
        "windows": windows,
    }
    (folder / "golden.json").write_text(json.dumps(golden, ensure_ascii=True) + "\n")


def settings(folder: Path, **values: Any) -> None:
    (folder / "tokenizer_config.json").write_text(json.dumps(values, indent=1) + "\n")


def new(name: str, like: str | None = None) -> Path:
    """An empty folder, or one with the vocabulary of another."""
    folder = OUT / name
    folder.mkdir(parents=True)
    if like:
        for file in (OUT / like).iterdir():
            if file.name not in ("golden.json", "tokenizer_config.json"):
                shutil.copyfile(file, folder / file.name)
    return folder


def make_wordpiece() -> None:
    folder = new("bert-uncased")
    make_vocab_txt(folder, lower=True)
    write_golden(folder, "bert", BertTokenizerFast.from_pretrained(folder))

    folder = new("bert-cased")
    make_vocab_txt(folder, lower=False)
    settings(folder, do_lower_case=False, tokenizer_class="BertTokenizer")
    write_golden(folder, "bert", BertTokenizerFast.from_pretrained(folder))

    folder = new("bert-switches", like="bert-uncased")
    settings(folder, do_lower_case=True, strip_accents=False, tokenize_chinese_chars=False)
    write_golden(folder, "bert", BertTokenizerFast.from_pretrained(folder))

    folder = new("bert-added", like="bert-uncased")
    words = len((folder / "vocab.txt").read_text(encoding="utf-8").split("\n")) - 1
    plain = {"single_word": False, "lstrip": False, "rstrip": False}
    added = {
        "0": {"content": "[PAD]", "special": True, "normalized": False, **plain},
        str(words): {"content": "newword", "special": False, "normalized": True, **plain},
        str(words + 1): {
            "content": "ent1",
            "special": False,
            "normalized": False,
            **plain,
            "single_word": True,
            "rstrip": True,
        },
        str(words + 2): {"content": "<ctx>", "special": True, "normalized": False, **plain, "lstrip": True},
    }
    settings(folder, do_lower_case=True, added_tokens_decoder=added, additional_special_tokens=["<ctx>"])
    write_golden(folder, "bert", BertTokenizerFast.from_pretrained(folder))

    folder = new("bert-legacy", like="bert-uncased")
    settings(folder, do_lower_case=True, sep_token="[PAD]")
    # The map overrules the settings: [SEP] is the separator again.
    special = {"sep_token": "[SEP]", "cls_token": {"content": "[CLS]", **plain, "normalized": False}}
    special["additional_special_tokens"] = ["<ctx>"]
    (folder / "special_tokens_map.json").write_text(json.dumps(special) + "\n")
    (folder / "added_tokens.json").write_text(json.dumps({"<ctx>": words + 1, "newword": words}) + "\n")
    write_golden(folder, "bert", BertTokenizerFast.from_pretrained(folder))

    folder = new("bert-fast-overruled")
    BertTokenizerFast.from_pretrained(OUT / "bert-uncased").backend_tokenizer.save(str(folder / "tokenizer.json"))
    settings(folder, do_lower_case=False, strip_accents=False, tokenizer_class="BertTokenizer")
    write_golden(folder, "bert", BertTokenizerFast.from_pretrained(folder))


def make_byte_level() -> None:
    folder = new("roberta")
    train_byte_level(folder)
    write_golden(folder, "roberta", RobertaTokenizerFast.from_pretrained(folder))

    folder = new("roberta-prefix-space", like="roberta")
    settings(folder, add_prefix_space=True, trim_offsets=False, tokenizer_class="RobertaTokenizer")
    write_golden(folder, "roberta", RobertaTokenizerFast.from_pretrained(folder))

    folder = new("roberta-fast-overruled")
    RobertaTokenizerFast.from_pretrained(OUT / "roberta").backend_tokenizer.save(str(folder / "tokenizer.json"))
    settings(folder, add_prefix_space=True, trim_offsets=False, tokenizer_class="RobertaTokenizer")
    write_golden(folder, "roberta", RobertaTokenizerFast.from_pretrained(folder))


def make_unigram() -> None:
    folder = new("xlm-roberta")
    model = folder / "sentencepiece.bpe.model"
    train_sentencepiece(model)
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(model))

    def xlm_roberta(text: str) -> list[int]:
        return [index + 1 if index else 3 for index in pieces.encode(text)]

    def camembert(text: str) -> list[int]:
        return [index + 4 if index else 3 for index in pieces.encode(text)]

    write_golden(folder, "xlm-roberta", XLMRobertaTokenizerFast.from_pretrained(folder), xlm_roberta)
    folder = new("camembert", like="xlm-roberta")
    write_golden(folder, "camembert", CamembertTokenizerFast.from_pretrained(folder), camembert)

    folder = new("albert")
    train_sentencepiece(
        folder / "spiece.model",
        pad_id=0,
        unk_id=1,
        bos_id=-1,
        eos_id=-1,
        control_symbols=["[CLS]", "[SEP]", "[MASK]"],
        user_defined_symbols=["(", ")", '"', "-", ".", "–", "£", "€"],
    )
    # The tokenizer.json that is published with ALBERT adds special tokens only.
    state = json.loads(AlbertTokenizerFast.from_pretrained(folder).backend_tokenizer.to_str())
    state["added_tokens"] = [token for token in state["added_tokens"] if token["special"]]
    fast = AlbertTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(state)))
    slow = AlbertTokenizer.from_pretrained(folder)
    # The slow one differs in what an accent is (Devanagari) and in white space at the end, around special
    # tokens and at U+0085.
    same = [text for index, text in enumerate(TEXTS) if index not in (6, 8, 9, 10, 11)]
    assert all(fast(text)["input_ids"] == slow(text)["input_ids"] for text in same)

    write_golden(folder, "albert", fast, as_text(fast, slow))

    folder = new("albert-cased")
    train_sentencepiece(
        folder / "spiece.model",
        pad_id=0,
        unk_id=1,
        bos_id=2,
        eos_id=3,
        bos_piece="[CLS]",
        eos_piece="[SEP]",
        control_symbols=["[MASK]"],
    )
    settings(folder, do_lower_case=False, keep_accents=True)
    fast = AlbertTokenizerFast.from_pretrained(folder)
    write_golden(folder, "albert", fast, as_text(fast, AlbertTokenizer.from_pretrained(folder)))


def as_text(fast: AlbertTokenizerFast, slow: AlbertTokenizer) -> Callable[[str], list[int]]:
    """The ids of a text: by sentencepiece where it holds special tokens, which the fast tokenizer takes for real."""

    def ids(text: str) -> list[int]:
        if text in TEXTS[10:12]:
            return slow.convert_tokens_to_ids(slow._tokenize(text))
        return fast(text, add_special_tokens=False)["input_ids"]

    return ids


def main() -> None:
    """Write every folder anew."""
    shutil.rmtree(OUT, ignore_errors=True)
    make_wordpiece()
    make_byte_level()
    make_unigram()


if __name__ == "__main__":
    main()
