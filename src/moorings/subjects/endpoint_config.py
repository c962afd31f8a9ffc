"""What an `openai:` subject can be told, checked before anything is sent."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, Self

import httpx
from pydantic import ConfigDict, Field, ValidationError, model_validator

from moorings.errors import ConfigError, nearest
from moorings.records import Record

__all__ = ["EndpointConfig", "Target", "parse_target", "read_config", "read_key"]

_EXAMPLE = "openai:smollm2@http://127.0.0.1:8000/v1"
_OURS = {"logprobs", "max_completion_tokens", "max_tokens", "messages", "model", "seed", "temperature", "top_p"}
_NOT_OURS_TO_TAKE = {"api_key", "n", "stream", "stream_options"}


class EndpointConfig(Record):
    """Options of an `openai:` subject."""

    model_config = ConfigDict(hide_input_in_errors=True)

    api_key_env: str = Field(default="OPENAI_API_KEY", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """Name of the environment variable that holds the key, never the key itself.

    A variable named here must be set. The default one is optional, and is sent only over https or to this machine.
    """
    concurrency: int = Field(default=16, ge=1, le=1024)
    """Most requests in flight at once; a run hands over `batch_size` requests at a time (64 by default), so more has no use."""
    timeout_s: float = Field(default=120.0, gt=0, allow_inf_nan=False)
    """Most seconds one attempt may take, from connecting to the last byte."""
    max_retries: int = Field(default=6, ge=0, le=100)
    """Further attempts after the first one."""
    backoff_s: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    """Wait before the second attempt; doubles each time up to 60 s, less a random share of up to half."""
    price_input_usd_per_mtok: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """US dollars for a million prompt tokens."""
    price_output_usd_per_mtok: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """US dollars for a million answer tokens."""
    send_seed: bool = True
    """Send each request's seed, reduced to 31 bits because some servers store no more."""
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """What this server calls the limit; OpenAI's reasoning models take only `max_completion_tokens`."""
    top_logprobs: int = Field(default=20, ge=1, le=1000)
    """Likeliest first tokens that are asked for when answer symbols are compared; OpenAI gives at most 20, some servers fewer."""
    extra_body: dict[str, Any] = Field(default_factory=dict, repr=False)
    """Further fields of every request, for settings of one server; part of the fingerprint by hash."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.price_input_usd_per_mtok is None) != (self.price_output_usd_per_mtok is None):
            raise ValueError(
                "give both price_input_usd_per_mtok and price_output_usd_per_mtok, or neither; 0 is allowed"
            )
        taken = sorted(self.extra_body.keys() & (_OURS | _NOT_OURS_TO_TAKE))
        if taken:
            raise ValueError(f"extra_body may not hold {', '.join(taken)}; use the decoding settings or the options")
        return self


class Target(NamedTuple):
    """Which model at which server."""

    model: str
    url: str
    """Base URL without a slash at its end, such as http://127.0.0.1:8000/v1."""

    @property
    def host(self) -> str:
        """Host and port as written in the URL."""
        return httpx.URL(self.url).netloc.decode("ascii")

    @property
    def is_local(self) -> bool:
        """Whether the server is on this machine's loopback interface."""
        host = httpx.URL(self.url).host
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"


def parse_target(rest: str) -> Target:
    """Split `MODEL@URL` at the last '@' before a scheme; the model's name may hold '/', ':' and '@'.

    >>> parse_target("org/m@main@http://127.0.0.1:8000/v1/")
    Target(model='org/m@main', url='http://127.0.0.1:8000/v1')

    Raises:
        ConfigError: Model or URL is missing or not usable.
    """
    match = re.fullmatch(r"(?P<model>.+)@(?P<url>https?://.+)", rest, re.DOTALL)
    if not match:
        raise ConfigError(
            f"'openai:{_hide_secrets(rest)}' names no model and URL; write openai:MODEL@URL, as {_EXAMPLE}"
        )
    shown = _hide_secrets(match["url"])
    try:
        url = httpx.URL(match["url"])
    except (httpx.InvalidURL, ValueError) as error:
        raise ConfigError(f"'{shown}' is not a URL ({type(error).__name__}); write one such as {_EXAMPLE}") from None
    if url.userinfo:
        raise ConfigError(
            f"'{shown}' holds a user or password; put the key in an environment variable and name it in option api_key_env"
        )
    if url.query or url.fragment or not url.host:
        raise ConfigError(f"'{shown}' must be a host with a path, without '?' and '#', such as {_EXAMPLE}")
    base = match["url"].rstrip("/")
    if base.endswith(("/chat/completions", "/completions", "/models")):
        raise ConfigError(f"'{shown}' names one call; give the URL that all calls share, usually ending in /v1")
    return Target(match["model"], base)


def read_config(options: Mapping[str, Any]) -> EndpointConfig:
    """Check a spec's options; no message repeats a value, since it may be a key put in the wrong place.

    Raises:
        ConfigError: An option is unknown or its value is not allowed.
    """
    unknown = sorted(options.keys() - EndpointConfig.model_fields.keys())
    if unknown:
        raise ConfigError(
            f"unknown option '{unknown[0]}' of an openai: subject; {nearest(unknown[0], EndpointConfig.model_fields)}"
        )
    try:
        return EndpointConfig.model_validate(dict(options))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        where = f"option '{first['loc'][0]}'" if first["loc"] else "options"
        raise ConfigError(f"{where} of an openai: subject: {first['msg']}") from None


def read_key(config: EndpointConfig, target: Target) -> str | None:
    """The key to send, from the environment; None where there is none to send.

    Raises:
        ConfigError: The variable was named in the options and is not set, or its value cannot be sent.
    """
    name = config.api_key_env
    key = os.environ.get(name, "").strip()
    named = "api_key_env" in config.model_fields_set
    if not key and named:
        raise ConfigError(
            f"environment variable '{name}' of option api_key_env is not set; set it, or leave the option out"
        )
    if key and not (key.isascii() and key.isprintable()):
        raise ConfigError(f"environment variable '{name}' holds characters that no key has; set it again")
    may_send = named or target.url.startswith("https:") or target.is_local
    return key if key and may_send else None


def _hide_secrets(text: str) -> str:
    """Leave out the parts of a URL where people put keys."""
    return re.sub(r"\?.*", "?***", re.sub(r"//.*@", "//***@", text))
