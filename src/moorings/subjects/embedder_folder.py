"""What a sentence-transformers folder says about itself, read from its JSON files without importing anything."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moorings.errors import ModelFileError
from moorings.subjects.safe_files import check_model_folder, read_config

__all__ = ["SentenceFolder", "read_sentence_folder"]

_POOLING_KEY = "pooling_mode_"
_NO_PROMPT = (None, "")


@dataclass(frozen=True)
class SentenceFolder:
    """A checked folder of a sentence-transformers model."""

    path: Path
    config: dict[str, Any]
    """The transformer's config.json."""
    pooling: str
    """How token vectors become one: 'mean', 'cls' or another mode of sentence-transformers."""
    d: int
    """Length of a vector."""
    max_tokens: int
    """Longer texts are cut to this many tokens, the special ones included."""
    changes_texts: bool
    """Texts are lower-cased or given a prompt before they are split into tokens."""


def read_sentence_folder(path: Path) -> SentenceFolder:
    """Check a folder and read what decides its vectors.

    Raises:
        ModelFileError: It is missing, or not a transformer followed by pooling and normalisation.
        UnsafeFileError: It holds only pickled weights, or a setting that loads code.
    """
    check_model_folder(path)
    folders = _module_folders(path)
    config = read_config(path)
    pooling = read_config(path / folders["Pooling"])
    sentence = read_config(path, "sentence_bert_config.json")
    whole = read_config(path, "config_sentence_transformers.json")
    limits = [
        sentence.get("max_seq_length")
        or read_config(path, "tokenizer_config.json").get("model_max_length")
        or config.get("max_position_embeddings"),
        config.get("max_position_embeddings"),
    ]
    prompts = whole.get("prompts") or {}
    return SentenceFolder(
        path=path,
        config=config,
        pooling=_pooling_mode(path, pooling),
        d=int(pooling.get("embedding_dimension") or pooling.get("word_embedding_dimension") or config["hidden_size"]),
        max_tokens=int(min(limit for limit in limits if limit)),
        changes_texts=bool(sentence.get("do_lower_case"))
        or prompts.get(whole.get("default_prompt_name")) not in _NO_PROMPT,
    )


def _module_folders(path: Path) -> dict[str, str]:
    """Module class to its folder; what is not implemented is refused rather than left out."""
    listing = path / "modules.json"
    if not listing.is_file():
        raise ModelFileError(
            f"{path} has no modules.json, so how its token vectors become one is unknown; "
            "give a folder saved by sentence-transformers"
        )
    modules = json.loads(listing.read_text("utf-8"))
    kinds = [str(module["type"]).rpartition(".")[2] for module in modules]
    if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]) or modules[0]["path"]:
        raise ModelFileError(
            f"{listing} lists the steps {', '.join(kinds)}; allowed: Transformer (in the folder itself), Pooling and "
            "optionally Normalize"
        )
    return {kind: str(module["path"]) for kind, module in zip(kinds, modules, strict=True)}


def _pooling_mode(path: Path, pooling: dict[str, Any]) -> str:
    if not pooling:
        raise ModelFileError(f"{path} has no readable config of its Pooling step; give a folder saved whole")
    modes = pooling.get("pooling_mode") or [
        key for key, on in pooling.items() if key.startswith(_POOLING_KEY) and on is True
    ]
    names = [modes] if isinstance(modes, str) else [str(mode).removeprefix(_POOLING_KEY) for mode in modes]
    short = [name.removesuffix("_token").removesuffix("_tokens") for name in names]
    if short not in (["mean"], ["cls"], ["max"]):
        raise ModelFileError(
            f"{path} pools by {' + '.join(short) or 'nothing'}; allowed: mean, cls or max; use another embedding model"
        )
    return short[0]
