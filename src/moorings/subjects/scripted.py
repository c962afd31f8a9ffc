"""Subjects that follow a script, for tests and dry runs: no weights, no delay, the same answers everywhere.

`scripted:echo` repeats the last message; `scripted:lorem` draws pseudo-random words from the seed.
With option ``hostile`` a small fixed share of the answers is empty, a refusal, cut at the limit, too
long for the context, failed, or full of awkward characters; which ones depends on the seed alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from moorings.errors import ConfigError, nearest
from moorings.records import Decoding, Generation, Message, Request, SubjectInfo, content_hash
from moorings.subjects.lorem import LOREM_WORDS, chat_random
from moorings.subjects.spec import SubjectSpec, parse_uri, subject_backends

__all__ = ["Script", "ScriptedSubject", "open_scripted"]

Script = Callable[[Sequence[Message], int], str]
"""The answer to a chat under a seed."""

_REFUSAL = "I'm sorry, but I can't help with that."
_AWKWARD = (
    "<script>alert(1)</script>",
    "\x1b[31mred\x1b[0m\x07",
    "[link=file:///x]rich[/link]",
    "line\u2028separator\x00nul",
    "\u202eright to left\u202c",
    "combining e\u0301 and \U0001f469\u200d\U0001f680",
)


class ScriptedSubject:
    """A subject whose answer is a function of the messages and the seed.

    Args:
        script: The function, or a mapping from the last message's content to the answer; a message
            that the mapping lacks makes that request fail.
        name: For people.
        version: Change it when the script's answers change: it is part of the fingerprint.
        hostile: Make a small share of the answers empty, refused, cut, too long, failed or awkward.
        batch_size: Requests a batch.
    """

    def __init__(
        self,
        script: Script | Mapping[str, str],
        *,
        name: str = "scripted",
        version: str = "1",
        hostile: bool = False,
        batch_size: int = 32,
    ) -> None:
        self._script = script
        self._hostile = hostile
        answers = content_hash(dict(script)) if isinstance(script, Mapping) else content_hash([name, version])
        self._info = SubjectInfo(
            name=name,
            uri=f"scripted:{name}",
            engine="scripted",
            engine_version=version,
            precision="exact",
            weights=content_hash([answers, hostile]),
            batch_size=batch_size,
            seeding="sample",
        )

    def describe(self) -> SubjectInfo:
        """Facts that make up the fingerprint."""
        return self._info

    def generate(self, requests: Sequence[Request], decoding: Decoding) -> Iterator[Generation]:
        """Answer each request in order; words count as tokens."""
        for request in requests:
            yield self._answer(request, decoding)

    def close(self) -> None:
        """Nothing to free."""

    def _answer(self, request: Request, decoding: Decoding) -> Generation:
        n_prompt = sum(len(message.content.split()) for message in request.messages)
        trick = _trick(request) if self._hostile else None
        if trick == "too_long":
            return Generation(
                request_id=request.request_id, text="", finish_reason="too_long", n_prompt_tokens=n_prompt
            )
        text = self._text(request)
        if text is None or trick == "error":
            return Generation(
                request_id=request.request_id,
                text="",
                finish_reason="error",
                n_prompt_tokens=n_prompt,
                error="the script has no answer to this message" if text is None else "scripted failure",
            )
        limit = decoding.max_new_tokens
        if trick == "awkward":
            text = f"{text} {_AWKWARD[request.seed % len(_AWKWARD)]}"
        elif trick == "cut":
            limit = min(limit, 3)
            text = f"{text} {' '.join(LOREM_WORDS[:4])}"
        elif trick is not None:
            text = {"empty": " \n", "refusal": _REFUSAL}[trick]
        return _cut(request, text, limit, n_prompt, decoding)

    def _text(self, request: Request) -> str | None:
        if isinstance(self._script, Mapping):
            return self._script.get(request.messages[-1].content)
        return self._script(request.messages, request.seed)


def _cut(request: Request, text: str, limit: int, n_prompt: int, decoding: Decoding) -> Generation:
    words = text.split(" ")
    kept = words[:limit]
    logprobs = tuple(-len(word) / 4 for word in kept) if decoding.logprobs else None
    return Generation(
        request_id=request.request_id,
        text=" ".join(kept),
        finish_reason="stop" if len(kept) == len(words) else "length",
        n_prompt_tokens=n_prompt,
        n_output_tokens=len(kept),
        logprobs_nats=logprobs,
    )


def _trick(request: Request) -> str | None:
    """About one answer in seven misbehaves."""
    tricks = ("empty", "refusal", "cut", "too_long", "error", "awkward")
    at = chat_random(request.messages, request.seed, "trick").randrange(42)
    return tricks[at] if at < len(tricks) else None


def _echo(messages: Sequence[Message], seed: int) -> str:
    return messages[-1].content


def _lorem(messages: Sequence[Message], seed: int) -> str:
    draws = chat_random(messages, seed, "lorem")
    return " ".join(draws.choice(LOREM_WORDS) for _ in range(draws.randint(4, 40)))


_SCRIPTS: dict[str, Script] = {"echo": _echo, "lorem": _lorem}


@subject_backends.register("scripted")
def open_scripted(spec: SubjectSpec) -> ScriptedSubject:
    """Open `scripted:echo` or `scripted:lorem`; options: hostile (bool), version (str).

    Raises:
        ConfigError: Unknown script or option.
    """
    _, name = parse_uri(spec.uri)
    if name not in _SCRIPTS:
        raise ConfigError(f"unknown script '{name}'; {nearest(name, _SCRIPTS)}")
    allowed: dict[str, type] = {"hostile": bool, "version": str}
    for option, value in spec.options.items():
        if option not in allowed:
            raise ConfigError(f"scripted:{name} has no option '{option}'; {nearest(option, allowed)}")
        if not isinstance(value, allowed[option]):
            raise ConfigError(f"option {option}={value!r} of scripted:{name} must be a {allowed[option].__name__}")
    return ScriptedSubject(
        _SCRIPTS[name],
        name=name,
        version=spec.options.get("version", "1"),
        hostile=spec.options.get("hostile", False),
        batch_size=spec.batch_size or 32,
    )
