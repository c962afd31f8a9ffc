"""What the engines for local weights share: a model on disk, its prompts as tokens, and its facts."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

from moorings.errors import InputError, ModelFileError
from moorings.records import Decoding, Generation, Message, Request
from moorings.subjects.chat_template import PLAIN_TEMPLATE, ChatTemplate, template_sha256
from moorings.subjects.safe_files import (
    check_adapter_folder,
    check_model_folder,
    content_sha256_of_weights,
    read_chat_template,
    read_config,
)

__all__ = ["LocalModel", "ReadyPrompt", "Scored", "package_version"]


class ReadyPrompt(NamedTuple):
    """A request whose prompt fits the context."""

    request: Request
    ids: tuple[int, ...]
    max_new_tokens: int
    """The decoding's limit, or less where the context ends earlier."""


class Scored(NamedTuple):
    """A prompt and a continuation as token ids."""

    prompt_ids: tuple[int, ...]
    output_ids: tuple[int, ...]


@dataclass(frozen=True)
class LocalModel:
    """A checked model folder, perhaps with a PEFT adapter.

    Args:
        name: For people.
        uri: How it was named.
        folder: Transformers folder in safetensors.
        adapter: PEFT folder in safetensors, or None.
        template: A Jinja file to use instead of the model's chat template, "plain" for none at all, or None.
        max_context: Use at most so many tokens of the model's context.

    Raises:
        ModelFileError: A folder is missing, incomplete or unsafe, or there is no chat template.
    """

    name: str
    uri: str
    folder: Path
    adapter: Path | None = None
    template: str | None = None
    max_context: int | None = None

    def __post_init__(self) -> None:
        check_model_folder(self.folder)
        if self.adapter is not None:
            check_adapter_folder(self.adapter)

    @cached_property
    def config(self) -> dict[str, Any]:
        """The model's `config.json`."""
        return read_config(self.folder)

    @cached_property
    def weights_sha256(self) -> str:
        """Content hash of weights, configuration and tokenizer."""
        return content_sha256_of_weights(self.folder)

    @cached_property
    def adapter_sha256(self) -> str | None:
        """Content hash of the adapter; None without one."""
        return content_sha256_of_weights(self.adapter) if self.adapter else None

    @cached_property
    def template_source(self) -> str:
        """The chat template in use."""
        if self.template == "plain":
            return PLAIN_TEMPLATE
        if self.template is not None:
            path = Path(self.template)
            if not path.is_file():
                raise ModelFileError(f"no chat template at {path}; option template takes a Jinja file or 'plain'")
            return path.read_text("utf-8")
        source = (read_chat_template(self.adapter) if self.adapter else None) or read_chat_template(self.folder)
        if source is None:
            raise ModelFileError(
                f"{self.folder} has no chat template; give one with option template=FILE, "
                "or template=plain to join the messages' contents by blank lines"
            )
        return source

    @property
    def template_sha256(self) -> str:
        """Content hash of the chat template in use."""
        return template_sha256(self.template_source)

    @cached_property
    def context_length(self) -> int | None:
        """Most tokens of prompt and answer together; None where the model names no limit."""
        text_config = self.config.get("text_config") or self.config
        named = [text_config.get(key) for key in ("max_position_embeddings", "n_positions", "n_ctx")]
        known = [value for value in (*named, self.max_context) if isinstance(value, int)]
        return min(known) if known else None

    @cached_property
    def tokenizer(self) -> Any:
        """The model's tokenizer, loaded once."""
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(self.folder, local_files_only=True, trust_remote_code=False)

    @cached_property
    def chat_template(self) -> ChatTemplate:
        """The renderer of this model's chats."""
        return ChatTemplate(self.template_source, self.tokenizer.special_tokens_map)

    @cached_property
    def end_ids(self) -> tuple[int, ...]:
        """Token ids that end an answer."""
        generation_config = read_config(self.folder, "generation_config.json")
        found: set[int] = set()
        for value in (
            generation_config.get("eos_token_id"),
            self.config.get("eos_token_id"),
            self.tokenizer.eos_token_id,
        ):
            found.update(value if isinstance(value, list) else [] if value is None else [value])
        return tuple(sorted(found))

    def prepare(self, requests: Sequence[Request], decoding: Decoding) -> tuple[list[ReadyPrompt], list[Generation]]:
        """Turn requests into token ids.

        Returns:
            The prompts that fit, in order, and the answers of the requests that cannot be asked.
        """
        ready, refused = [], []
        for request, ids in zip(requests, self.encode([request.messages for request in requests]), strict=True):
            if isinstance(ids, str):
                refused.append(Generation(request_id=request.request_id, text="", finish_reason="error", error=ids))
                continue
            room = decoding.max_new_tokens if self.context_length is None else self.context_length - len(ids)
            if room <= 0:
                refused.append(
                    Generation(
                        request_id=request.request_id, text="", finish_reason="too_long", n_prompt_tokens=len(ids)
                    )
                )
            else:
                ready.append(ReadyPrompt(request, ids, min(room, decoding.max_new_tokens)))
        return ready, refused

    def encode(self, chats: Sequence[Sequence[Message]]) -> list[tuple[int, ...] | str]:
        """Prompt token ids of each chat, or the line that says why it has none."""
        distinct = dict.fromkeys(tuple(chat) for chat in chats)
        rendered = self.chat_template.render(list(distinct))
        encoded: dict[tuple[Message, ...], tuple[int, ...] | str] = {}
        for chat, (text, error) in zip(distinct, rendered, strict=True):
            encoded[chat] = f"the chat template refused the chat: {error}" if text is None else self._tokenise(text)
        return [encoded[tuple(chat)] for chat in chats]

    def scored(self, items: Sequence[tuple[Sequence[Message], str]]) -> list[Scored]:
        """Token ids of chats and given continuations.

        Raises:
            InputError: A chat or continuation cannot be turned into tokens, or is longer than the context.
        """
        found = []
        for prompt, (_, continuation) in zip(self.encode([chat for chat, _ in items]), items, strict=True):
            output = self._tokenise(continuation)
            if isinstance(prompt, str):
                raise InputError(f"cannot score: {prompt}")
            if isinstance(output, str):
                raise InputError(f"cannot score: {output}")
            size = len(prompt) + len(output)
            if self.context_length is not None and size > self.context_length:
                raise InputError(
                    f"cannot score {size} tokens: the context of {self.name} has {self.context_length}; shorten the chat"
                )
            found.append(Scored(prompt, output))
        return found

    def generation(
        self,
        prompt: ReadyPrompt,
        output_ids: Sequence[int],
        *,
        ended: bool,
        logprobs_nats: tuple[float, ...] | None = None,
    ) -> Generation:
        """The record of an answer; `output_ids` come without the end token."""
        return Generation(
            request_id=prompt.request.request_id,
            text=self.tokenizer.decode(list(output_ids), skip_special_tokens=True),
            finish_reason="stop" if ended else "length",
            n_prompt_tokens=len(prompt.ids),
            n_output_tokens=len(output_ids),
            logprobs_nats=logprobs_nats,
        )

    def facts(self) -> Mapping[str, Any]:
        """The part of `SubjectInfo` that depends on the files alone."""
        return {
            "name": self.name,
            "uri": self.uri,
            "weights": self.weights_sha256,
            "adapter": self.adapter_sha256,
            "template": self.template_sha256,
            "context_length": self.context_length,
        }

    def close(self) -> None:
        """End the template's worker."""
        if "chat_template" in self.__dict__:
            self.chat_template.close()

    def _tokenise(self, text: str) -> tuple[int, ...] | str:
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            return f"the text cannot be written as UTF-8: {error.reason} at character {error.start}"
        return tuple(self.tokenizer(text, add_special_tokens=False)["input_ids"])


def package_version(*packages: str) -> str:
    """Installed versions in one line, such as 'transformers 5.23.0, torch 2.13.0'; imports nothing."""
    found = []
    for package in packages:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"{package} absent")
    return ", ".join(found)
