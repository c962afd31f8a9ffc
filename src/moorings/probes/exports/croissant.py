"""Data card of an item set: Croissant 1.1 (MLCommons; arXiv:2403.19546), JSON-LD that `mlcroissant` validates and loads.

The card stands beside the set's file and names it with its hash and size, its columns as a record set, how it was made,
and that it must not be trained on. Left out: the responsible-AI vocabulary beyond use and limits.
It must show: `mlcroissant` validates the card without a warning and loads every item through it.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from moorings.errors import InputError
from moorings.probes.files import CANARY, ItemSet
from moorings.store.disk import Disk, write_atomic

__all__ = ["card", "write_card"]

_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "sc": "https://schema.org/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
} | {
    name: f"cr:{name}"
    for name in (
        "citeAs",
        "column",
        "equivalentProperty",
        "extract",
        "field",
        "fileObject",
        "fileProperty",
        "fileSet",
        "format",
        "includes",
        "isLiveDataset",
        "jsonPath",
        "key",
        "md5",
        "parentField",
        "path",
        "recordSet",
        "references",
        "regex",
        "repeated",
        "replace",
        "samplingRate",
        "separator",
        "source",
        "subField",
        "transform",
    )
}
_FIELDS = {
    "item_id": "Name of the item.",
    "cluster_id": "Items of one cluster are variants of each other; resample them together.",
    "subtask": "Subtask, or the name of another set.",
    "prompt": "The question, without its options.",
}


def card(items: ItemSet, path: Path | str, *, licence: str, version: str, published: str) -> dict[str, Any]:
    """The card of a set that lies in a file.

    Args:
        items: The set.
        path: Its file, as `write_items` wrote it; it is named by its last part, so that both can move together.
        licence: URL or SPDX name of the licence under which it is given.
        version: Version of the set, such as 1.0.0.
        published: Day, as 2025-12-31.

    Raises:
        InputError: No such file.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path} ({error}); write the set with write_items first") from None
    kinds = sorted({item.kind for item in items.items})
    subtasks = sorted({item.subtask for item in items.items})
    about = json.dumps({name: items.about[name] for name in sorted(items.about)}, default=str)
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": items.name,
        "description": (
            f"{len(items.items)} multiple-choice items of {_few(subtasks)} ({' and '.join(kinds)}). "
            f"Made so: {about}. The first record is the file's head and holds no item."
        ),
        "license": licence,
        "url": f"urn:sha256:{items.sha256}",
        "version": version,
        "datePublished": published,
        "citeAs": f"{items.name}, version {version}, sha256 {items.sha256}",
        "keywords": ["evaluation", "language models", *kinds],
        "rai:dataUseCases": "Evaluation of language models. Not for training.",
        "rai:dataLimitations": f"Answers stop to be evidence once the items are in training data. {CANARY}",
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": "items",
                "name": "items",
                "contentUrl": path.name,
                "contentSize": f"{len(data)} B",
                "encodingFormat": "application/jsonlines",
                "sha256": hashlib.sha256(data).hexdigest(),
            }
        ],
        "recordSet": [_record_set()],
    }


def write_card(items: ItemSet, path: Path | str, *, licence: str, version: str = "1.0.0", published: str) -> Path:
    """Write the card of a set's file beside it, as NAME.croissant.json; see `card`."""
    path = Path(path)
    target = path.with_name(f"{path.name.removesuffix('.jsonl')}.croissant.json")
    value = card(items, path, licence=licence, version=version, published=published)
    write_atomic(target, (json.dumps(value, indent=2, ensure_ascii=True) + "\n").encode(), Disk())
    return target


def _record_set() -> dict[str, Any]:
    fields = [_field(name, text, {"column": name}) for name, text in _FIELDS.items()]
    for part, text, kind in (
        ("symbol", "What stands before each option.", "sc:Text"),
        ("text", "Each option.", "sc:Text"),
        ("key", "Whether each option is right, or shows the disposition.", "sc:Boolean"),
    ):
        one = _field(f"option_{part}", text, {"column": "options"}, kind)
        one["repeated"] = True
        one["source"]["transform"] = {"jsonPath": f"$.{part}"}
        fields.append(one)
    return {"@type": "cr:RecordSet", "@id": "records", "name": "records", "field": fields}


def _field(name: str, text: str, extract: dict[str, str], kind: str = "sc:Text") -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": f"records/{name}",
        "name": name,
        "description": text,
        "dataType": kind,
        "source": {"fileObject": {"@id": "items"}, "extract": extract},
    }


def _few(names: list[str]) -> str:
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
