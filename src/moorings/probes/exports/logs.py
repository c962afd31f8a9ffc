"""Answer sheets as logs of other tools: an Inspect AI log, and sample files of the lm-evaluation-harness.

One sample an answer, with the words that were sent, what was said or how likely each symbol was, and the score. An
answer that could not be had has no score in Inspect's log and is left out of the harness's file, so that a failure is
never a score; an answer that names no option counts as wrong in both, and the harness's file tells it apart by an
empty answer.
Left out: token counts and times, which sheets do not keep; whether a symbol was the likeliest token of all
(`is_greedy`), which is written as False.
It must show: Inspect reads the log back with the same choices and accuracy.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from moorings.errors import InputError, MissingExtraError
from moorings.probes.answers import Answer, AnswerSheet
from moorings.probes.exports.lm_eval_task import doc_of, query_of
from moorings.probes.exports.rows import ShownItem, file_name, row_id, write_file
from moorings.probes.framing import PLAIN, Framing
from moorings.probes.show import show
from moorings.records import SampleStatus

__all__ = ["write_inspect_log", "write_lm_eval_samples"]

_FAILED = frozenset({SampleStatus.FAILED, SampleStatus.TOO_LONG})
_EPOCH = "1970-01-01T00:00:00+00:00"


class _Asked(NamedTuple):
    answer: Answer
    shown: ShownItem
    sample_id: str
    at: int | None
    """Place that was chosen."""

    @property
    def failed(self) -> bool:
        return SampleStatus(self.answer.status) in _FAILED

    @property
    def right(self) -> bool:
        return self.at == self.shown.key_at

    @property
    def nats(self) -> list[float]:
        """Log-probability of the symbol at each place."""
        return [self.answer.logprobs[option] for option in self.answer.order]

    @property
    def said(self) -> str:
        if self.answer.mode == "text":
            return self.answer.text
        return "" if self.at is None else self.shown.symbols[self.at]


def _asked(sheet: AnswerSheet) -> Iterator[_Asked]:
    """Answers with what was sent.

    Raises:
        InputError: An answer to no item of the sheet, under an unknown framing, or to an item without one key.
    """
    items = {item.item_id: item for item in sheet.items}
    framings = {"plain": PLAIN}
    for one in sheet.about.get("asked", {}).get("framings", []):
        framings[one["name"]] = Framing.model_validate(one)
    for answer in sheet.answers:
        item, framing = items.get(answer.item_id), framings.get(answer.framing)
        if item is None or framing is None:
            raise InputError(f"answer to {answer.item_id!a:.60} under {answer.framing!a:.40} is of another sheet")
        try:
            key_at = answer.order.index(item.key_at)
        except ValueError as error:
            raise InputError(f"the sheet cannot be written as a log: {error}; leave the item out") from None
        messages, symbols = show(item, answer.order, framing)
        name = row_id(item, answer.order)
        shown = ShownItem(name, item, answer.order, messages, symbols, key_at)
        at = None if answer.chosen is None else answer.order.index(answer.chosen)
        yield _Asked(answer, shown, name if framing == PLAIN else f"{name} {framing.name}", at)


def write_inspect_log(sheet: AnswerSheet, path: Path | str, *, created: str = _EPOCH) -> Path:
    """Write a log that Inspect's viewer and analysis read.

    Args:
        sheet: The answers.
        path: Ends in `.eval` or `.json`.
        created: Time that the log names, in ISO 8601; fixed by default, so that equal sheets give equal logs.

    Raises:
        InputError: Another ending, or a sheet that does not fit together.
        MissingExtraError: `inspect_ai` is not installed.
    """
    path = Path(path)
    if path.suffix not in (".eval", ".json"):
        raise InputError(f"{path} ends in {path.suffix!a}; allowed for Inspect's logs: .eval, .json")
    try:
        from inspect_ai import log as inspect_log
    except ImportError:
        raise MissingExtraError(f"writing the Inspect log {path}", "inspect") from None
    path.parent.mkdir(parents=True, exist_ok=True)
    inspect_log.write_eval_log(_log(sheet, created), str(path))
    return path


def _log(sheet: AnswerSheet, created: str) -> Any:
    """The sheet as Inspect's log."""
    from inspect_ai.log import EvalConfig, EvalDataset, EvalLog, EvalMetric, EvalResults, EvalScore, EvalSpec

    asked = list(_asked(sheet))
    name = _name(sheet)
    scored = [one for one in asked if not one.failed]
    accuracy = sum(one.right for one in scored) / max(1, len(scored))
    score = EvalScore(
        name="named_option",
        scorer="named_option",
        scored_samples=len(scored),
        unscored_samples=len(asked) - len(scored),
        metrics={"accuracy": EvalMetric(name="accuracy", value=accuracy)} if scored else {},
    )
    digest = _sha256(f"{sheet.fingerprint} {name}")[:22]
    return EvalLog(
        status="success",
        eval=EvalSpec(
            created=created,
            task=name,
            task_id=digest,
            eval_id=digest,
            run_id=digest,
            dataset=EvalDataset(name=name, samples=len(asked)),
            model=sheet.subject,
            config=EvalConfig(),
            metadata={"fingerprint": sheet.fingerprint},
        ),
        results=EvalResults(total_samples=len(asked), completed_samples=len(scored), scores=[score]),
        samples=[_sample(one, sheet.subject) for one in asked],
    )


def _name(sheet: AnswerSheet) -> str:
    return file_name(str(sheet.about.get("name", "probe")))


def _sample(one: _Asked, model: str) -> Any:
    """An answer as Inspect's sample."""
    from inspect_ai.log import EvalError, EvalSample
    from inspect_ai.model import ChatMessageAssistant, ModelOutput
    from inspect_ai.scorer import CORRECT, INCORRECT, NOANSWER, Score

    chat = [_message(message.role, message.content) for message in one.shown.messages]
    output = ModelOutput.from_content(model, one.said)
    if one.answer.mode == "logprobs":
        output.choices[0].logprobs = _logprobs(one)
    value = NOANSWER if one.at is None else CORRECT if one.right else INCORRECT
    symbol = "" if one.at is None else one.shown.symbols[one.at]
    failed = EvalError(message=one.answer.text or one.answer.status, traceback="", traceback_ansi="")
    return EvalSample(
        id=one.sample_id,
        epoch=1,
        input=chat,
        choices=one.shown.texts,
        target=one.shown.symbols[one.shown.key_at],
        messages=[*chat, ChatMessageAssistant(content=one.said, model=model)],
        output=output,
        scores=None if one.failed else {"named_option": Score(value=value, answer=symbol, explanation=one.said)},
        metadata=one.shown.metadata | {"framing": one.answer.framing, "mode": one.answer.mode},
        error=failed if one.failed else None,
    )


def _message(role: str, content: str) -> Any:
    from inspect_ai.model import ChatMessageSystem, ChatMessageUser

    return ChatMessageSystem(content=content) if role == "system" else ChatMessageUser(content=content)


def _logprobs(one: _Asked) -> Any:
    from inspect_ai.model import Logprob, Logprobs, TopLogprob

    known = [
        TopLogprob(token=symbol, logprob=nats)
        for symbol, nats in zip(one.shown.symbols, one.nats, strict=True)
        if math.isfinite(nats)
    ]
    best = max(known, key=lambda top: top.logprob, default=None)
    if best is None:
        return None
    return Logprobs(content=[Logprob(token=best.token, logprob=best.logprob, top_logprobs=known)])


def write_lm_eval_samples(sheet: AnswerSheet, folder: Path | str, *, date: str = "1970-01-01T00-00-00") -> Path:
    """Write `samples_NAME_DATE.jsonl` as `lm_eval --log_samples` does.

    Args:
        sheet: The answers.
        folder: Where the file goes.
        date: Time that the file's name carries.

    Raises:
        InputError: A sheet that does not fit together.
    """
    rows = [_row(number, one) for number, one in enumerate(_asked(sheet)) if not one.failed]
    text = "".join(json.dumps(row, ensure_ascii=True) + "\n" for row in rows)
    return write_file(Path(folder) / f"samples_{_name(sheet)}_{date}.jsonl", text)


def _row(number: int, one: _Asked) -> dict[str, Any]:
    doc, query = doc_of(one.shown), query_of(one.shown.messages)
    compared = one.answer.mode == "logprobs"
    target = str(one.shown.key_at) if compared else one.shown.symbols[one.shown.key_at]
    metric = "acc" if compared else "exact_match"
    found: dict[str, Any] = {
        "doc_id": number,
        "doc": doc | {"framing": one.answer.framing},
        "target": target,
        "filter": "none",
        "metrics": [metric],
        "doc_hash": _sha256(json.dumps(doc, indent=2, ensure_ascii=False)),
        "prompt_hash": _sha256(query),
        "target_hash": _sha256(target),
        metric: float(one.right),
    }
    if compared:
        pairs = [[str(nats), "False"] for nats in one.nats]
        arguments = {f"gen_args_{i}": {"arg_0": query, "arg_1": f" {s}"} for i, s in enumerate(one.shown.symbols)}
        return found | {"arguments": arguments, "resps": [[pair] for pair in pairs], "filtered_resps": pairs}
    symbol = "" if one.at is None else one.shown.symbols[one.at]
    generated = {"gen_args_0": {"arg_0": query, "arg_1": {"until": [], "do_sample": False}}}
    return found | {"arguments": generated, "resps": [[one.said]], "filtered_resps": [symbol]}


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
