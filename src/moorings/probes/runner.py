"""Asks a subject the items of a set, in several orders and under several framings, and keeps every answer.

An answer is read from the log-probabilities of the symbols that stand before the options, right after the prompt
(Perez et al. 2022, arXiv:2212.09251, compare P(' (A)') with P(' (B)'); here it is the symbol with or without a space before it,
as chats begin their answers with either), or drawn and read. Each subject's liking for symbols is measured on
content-free prompts (contextual calibration, Zhao et al. 2021, arXiv:2102.09690) and kept beside the answers, which are left as
they came. What was asked once is not asked again: scores are kept in chunks, drawn answers by batch, and the whole
as one file.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from moorings.errors import ConfigError, StorageError, nearest
from moorings.probes.answers import Answer, AnswerSheet, Mode
from moorings.probes.files import ItemSet
from moorings.probes.framing import PLAIN, Framing
from moorings.probes.item import Item
from moorings.probes.orders import Orders, plan_orders
from moorings.probes.read_answer import read_answer
from moorings.probes.sheets import ANSWERS, read_sheet, write_sheet
from moorings.probes.show import CONTENT_FREE, Shown, show, show_content_free, variants
from moorings.records import Decoding, Message, Prompt, SampleStatus
from moorings.sampling.bench import CHUNK, Bench
from moorings.store.header import first_difference
from moorings.subjects.protocol import NextTokenLogprobs, NextTokenScorer, Subject
from moorings.subjects.spec import SubjectSpec

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["TEXT", "Asking", "ask", "read_sheet"]

TEXT = Decoding(max_new_tokens=32, temperature=0.0)
"""How answers are drawn where log-probabilities are not to be had."""

Prior = dict[str, dict[str, list[float | None]]]
"""By framing and symbols: log-probability in nats of each symbol where there is nothing to ask; None where unknown."""
Asking = Literal["auto", "logprobs", "text"]
_FAULTS = 10
"""Kinds of errors that are kept with their counts."""
_ASKINGS: tuple[Asking, ...] = ("auto", "logprobs", "text")


class _Given(NamedTuple):
    answer: Answer
    error: str | None


class _Question(NamedTuple):
    item: Item
    order: tuple[int, ...]
    framing: Framing
    shown: Shown


def ask(
    subject: SubjectSpec | Subject,
    items: ItemSet,
    folder: Path,
    *,
    orders: Orders = "balanced",
    framings: Sequence[Framing] = (PLAIN,),
    mode: Asking = "auto",
    seed: int = 0,
    progress: bool = False,
    decoding: Decoding = TEXT,
    chunk: int = CHUNK,
) -> AnswerSheet:
    """Ask each item in each of its orders under each framing; call again with the same settings to resume or to read.

    Args:
        subject: A spec, or an opened subject, which the caller closes.
        items: What is asked.
        folder: Where the answers are kept; one folder for one subject and one way of asking.
        orders: See `plan_orders`.
        framings: What is said before the questions, under unique names.
        mode: `logprobs` compares the symbols, `text` draws an answer and reads it, `auto` compares where the subject can.
        seed: Of the orders and of drawn answers.
        progress: Show a bar with the time left.
        decoding: How answers are drawn in `text`.
        chunk: Questions whose log-probabilities are kept at once; a crash loses at most so many.

    Returns:
        One answer for each item, framing and order, failed ones included.

    Raises:
        ConfigError: No items or framings, names that are not unique, a chunk below 1, or `logprobs` of a subject that
            cannot.
        StorageError: The folder holds answers to something else.
        BackendError: The engine failed on every attempt; what was acknowledged is kept.
    """
    _check(items, framings, mode)
    if chunk < 1:
        raise ConfigError(f"chunk={chunk}; keep at least 1 question at once")
    bench = Bench(subject, folder / "asked", seed=seed, progress=progress)
    try:
        asked = {
            "subject": bench.describe().fingerprint(),
            "set": items.sha256,
            "orders": orders,
            "framings": [framing.model_dump(mode="json") for framing in framings],
            "mode": mode,
            "seed": seed,
            "decoding": decoding.model_dump(mode="json"),
        }
        if (folder / ANSWERS).is_file():
            return _kept(folder, asked)
        questions = [
            _Question(item, order, framing, show(item, order, framing))
            for item, item_orders in zip(items.items, plan_orders(items.items, orders, seed=seed), strict=True)
            for framing in framings
            for order in item_orders
        ]
        used, prior = _mode(bench, questions, mode)
        given = _compared(bench, questions, chunk) if used == "logprobs" else _drawn(bench, questions, decoding)
        info = bench.describe()
        faults = Counter(one.error for one in given if one.error is not None)
        about = {
            "name": items.name,
            "asked": asked,
            "mode": used,
            "symbol_prior": _by_symbol_alone(prior, framings),
            "symbol_priors": prior,
            "faults": dict(faults.most_common(_FAULTS)),
        }
        answers = tuple(one.answer for one in given)
        sheet = AnswerSheet(info.uri, info.fingerprint(), items.items, answers, about)
        write_sheet(sheet, folder)
        return sheet
    finally:
        bench.close()


def _check(items: ItemSet, framings: Sequence[Framing], mode: Asking) -> None:
    if mode not in _ASKINGS:
        raise ConfigError(f"unknown mode '{mode}'; {nearest(mode, _ASKINGS)}")
    ids = [item.item_id for item in items.items]
    names = [framing.name for framing in framings]
    for what, given in (("items", ids), ("framings", names)):
        if not given or len(set(given)) != len(given):
            twice = next((name for name in given if given.count(name) > 1), None)
            fault = f"{twice!a} is there twice" if given else "there are none"
            raise ConfigError(f"{what} of '{items.name}': {fault}; give at least one, each with its own name")
    empty = next((item.item_id for item in items.items if not item.options), None)
    if empty is not None:
        raise ConfigError(f"item {empty!a} has no options; leave it out, `moorings probe audit` lists such items")


def _mode(bench: Bench, questions: Sequence[_Question], mode: Asking) -> tuple[Mode, Prior]:
    """How the subject is asked, and its log-probability of each symbol on content-free prompts, by framing.

    An endpoint may be asked for log-probabilities and give none; that shows here, at three questions a framing.
    """
    if mode == "text" or (mode == "auto" and not isinstance(bench.subject, NextTokenScorer)):
        return "text", {}
    kinds = list(dict.fromkeys((question.framing, question.shown.symbols) for question in questions))
    empty = [show_content_free(symbols, stem, framing) for framing, symbols in kinds for stem in CONTENT_FREE]
    scores = bench.next_token([_continued(shown) for shown in empty], "content_free")
    nats = [_by_symbol(score, shown.symbols) for score, shown in zip(scores, empty, strict=True)]
    if mode == "auto" and not np.isfinite(np.concatenate(nats)).any():
        return "text", {}
    prior: Prior = {}
    for number, (framing, symbols) in enumerate(kinds):
        mine = np.array(nats[number * len(CONTENT_FREE) : (number + 1) * len(CONTENT_FREE)])
        prior.setdefault(framing.name, {})[" ".join(symbols)] = [
            float(value) if math.isfinite(value) else None for value in mine.mean(axis=0)
        ]
    return "logprobs", prior


def _by_symbol_alone(prior: Prior, framings: Sequence[Framing]) -> dict[str, float]:
    """Mean of each symbol's log-probability over the frames of the plain framing, or of the first one."""
    first = PLAIN.name if PLAIN.name in prior else framings[0].name
    found: dict[str, list[float]] = {}
    for symbols, nats in prior.get(first, {}).items():
        for symbol, value in zip(symbols.split(" "), nats, strict=True):
            if value is not None:
                found.setdefault(symbol, []).append(value)
    return {symbol: sum(values) / len(values) for symbol, values in found.items()}


def _continued(shown: Shown) -> tuple[tuple[Message, ...], tuple[str, ...]]:
    return shown.messages, tuple(text for symbol in shown.symbols for text in variants(symbol))


def _by_symbol(found: NextTokenLogprobs, symbols: Sequence[str]) -> Float[np.ndarray, " symbols"]:
    """Log of the summed probability of each symbol's variants; NaN where none of them is known."""
    left = iter(found.logprobs_nats)
    sums = []
    for symbol in symbols:
        nats = np.array([next(left) for _ in variants(symbol)])
        known = nats[~np.isnan(nats)]
        sums.append(np.logaddexp.reduce(known) if known.size else np.nan)
    return np.array(sums)


def _compared(bench: Bench, questions: Sequence[_Question], chunk: int) -> list[_Given]:
    found = bench.next_token([_continued(question.shown) for question in questions], "compared", chunk=chunk)
    answers = []
    for question, score in zip(questions, found, strict=True):
        at_place = _by_symbol(score, question.shown.symbols)
        by_option = [math.nan] * len(question.order)
        for place, option in enumerate(question.order):
            by_option[option] = float(at_place[place])
        # A symbol that is not among the likeliest tokens an endpoint tells of is less likely than those that are.
        chosen = None if np.isnan(at_place).all() else question.order[int(np.nanargmax(at_place))]
        status = score.status
        if chosen is None and status is SampleStatus.COMPLETED:
            status = SampleStatus.EMPTY
        answers.append(
            _Given(_answer(question, "logprobs", chosen, logprobs=tuple(by_option), status=status), score.error)
        )
    return answers


def _drawn(bench: Bench, questions: Sequence[_Question], decoding: Decoding) -> list[_Given]:
    prompts = [
        Prompt(prompt_id=str(number), messages=question.shown.messages) for number, question in enumerate(questions)
    ]
    answers = []
    for question, (drawn,) in zip(questions, bench.ask(prompts, "drawn", decoding=decoding), strict=True):
        texts = [question.item.options[at].text for at in question.order]
        readable = drawn.status in (SampleStatus.COMPLETED, SampleStatus.TRUNCATED)
        place = read_answer(drawn.response, question.shown.symbols, texts) if readable else None
        chosen = None if place is None else question.order[place]
        answer = _answer(question, "text", chosen, text=drawn.response, status=drawn.status)
        answers.append(_Given(answer, drawn.error))
    return answers


def _answer(question: _Question, mode: Mode, chosen: int | None, *, status: SampleStatus, **read: Any) -> Answer:
    return Answer(
        question.item.item_id, question.order, question.framing.name, mode, chosen, status=str(status), **read
    )


def _kept(folder: Path, asked: dict[str, Any]) -> AnswerSheet:
    sheet = read_sheet(folder)
    difference = first_difference(sheet.about.get("asked"), asked)
    if difference:
        raise StorageError(
            f"{folder} holds the answers to another question: {difference}; ask as before, or name a new folder"
        )
    return sheet
