"""How responses are laid out: lists, headings, emphasis, code, tables, links."""

from __future__ import annotations

import json
import re
from math import nan

from moorings.compare.battery.feature import PER_100, SHARE, feature
from moorings.compare.battery.text import Text

__all__: list[str] = []

_BULLET = re.compile(r"^[ \t]*+[-*+\u2022\u2013][ \t]++\S", re.MULTILINE)
_NUMBERED = re.compile(r"^[ \t]*+(?:\*\*)?\d{1,3}[.)][ \t]++\S", re.MULTILINE)
_HEADING = re.compile(r"^ {0,3}#{1,6}[ \t]++\S", re.MULTILINE)
_FIRST_HEADING = re.compile(
    r"#{1,6}[ \t]++\S|\*\*[^*\n]++\*\*:?[ \t]*+(?:\n|\Z)|[^\n]++\n(?:={3,}|-{3,})[ \t]*+(?:\n|\Z)"
)
_BOLD = re.compile(r"\*\*[^\s*][^*\n]*+\*\*")
_STAR_ITALIC = re.compile(r"\*(?<![*\w\\]\*)(?![\s*])[^*\n]++(?<!\s)\*(?![*\w])")
_LINE_ITALIC = re.compile(r"_(?<![_\w\\]_)(?![\s_])[^_\n]++(?<!\s)_(?![_\w])")
_INLINE_CODE = re.compile(r"`(?<!``)[^`\n]++`(?!`)")
_TABLE = re.compile(r"^[ \t]*+\|?[ \t]*+:?-{2,}+:?[ \t]*+\|[ \t]*+(?:[:-]|$)", re.MULTILINE)
_ADDRESS = re.compile(r"https?://\S|\bwww\.\w")
_MARKDOWN_LINK = re.compile(r"\[[^\[\]\n]++\]\([^()\s]++\)")
_QUOTE = re.compile(r"^[ \t]*+>[ \t]*+\S", re.MULTILINE)
_DOUBLE_HYPHEN = re.compile(r"--(?:(?<=\w--)(?=\w)|(?<= --) )")
_LONGEST_JSON = 1_000_000


@feature(
    name="bullet_list",
    more="More responses hold a bullet list",
    less="Fewer responses hold a bullet list",
    unit=SHARE,
    style=True,
)
def _bullet_list(text: Text) -> bool:
    """At least two lines outside code that begin with a bullet (-, *, +, a dot or a dash)."""
    return len(_BULLET.findall(text.without_code)) >= 2


@feature(
    name="numbered_list",
    more="More responses hold a numbered list",
    less="Fewer responses hold a numbered list",
    unit=SHARE,
    style=True,
)
def _numbered_list(text: Text) -> bool:
    """At least two lines outside code that begin with a number and a full stop or bracket."""
    return len(_NUMBERED.findall(text.without_code)) >= 2


@feature(
    name="headings",
    more="More responses use headings",
    less="Fewer responses use headings",
    unit=SHARE,
    style=True,
)
def _headings(text: Text) -> bool:
    """A Markdown heading (# to ######) outside code."""
    return _HEADING.search(text.without_code) is not None


@feature(
    name="starts_with_heading",
    more="More responses start with a heading",
    less="Fewer responses start with a heading",
    unit=SHARE,
    style=True,
)
def _starts_with_heading(text: Text) -> bool:
    """The first line is a Markdown heading, underlined, or wholly bold."""
    return _FIRST_HEADING.match(text.stripped) is not None


@feature(
    name="bold",
    more="More responses use bold type",
    less="Fewer responses use bold type",
    unit=SHARE,
    style=True,
)
def _bold(text: Text) -> bool:
    """Markdown bold (two asterisks) outside code."""
    return _BOLD.search(text.without_code) is not None


@feature(
    name="italic",
    more="More responses use italic type",
    less="Fewer responses use italic type",
    unit=SHARE,
    style=True,
)
def _italic(text: Text) -> bool:
    """Markdown italics (one asterisk or underscore) outside code; stage directions between asterisks count."""
    return any(italic.search(text.without_code) for italic in (_STAR_ITALIC, _LINE_ITALIC))


@feature(
    name="code_block",
    more="More responses hold a block of code",
    less="Fewer responses hold a block of code",
    unit=SHARE,
    style=True,
)
def _code_block(text: Text) -> bool:
    """A block fenced by three backticks or tildes."""
    return text.has_code


@feature(
    name="inline_code",
    more="More responses set words as code",
    less="Fewer responses set words as code",
    unit=SHARE,
    style=True,
)
def _inline_code(text: Text) -> bool:
    """Words between single backticks."""
    return _INLINE_CODE.search(text.without_code) is not None


@feature(name="table", more="More responses hold a table", less="Fewer responses hold a table", unit=SHARE, style=True)
def _table(text: Text) -> bool:
    """The dashed line under the head of a Markdown table."""
    return _TABLE.search(text.without_code) is not None


@feature(name="link", more="More responses hold a link", less="Fewer responses hold a link", unit=SHARE, style=False)
def _link(text: Text) -> bool:
    """A web address or a Markdown link, also in code."""
    lower = text.text.lower()
    addressed = ("http" in lower or "www." in lower) and _ADDRESS.search(lower) is not None
    return addressed or ("](" in lower and _MARKDOWN_LINK.search(lower) is not None)


@feature(
    name="block_quote",
    more="More responses hold a block quotation",
    less="Fewer responses hold a block quotation",
    unit=SHARE,
    style=True,
)
def _block_quote(text: Text) -> bool:
    """A line outside code that begins with >."""
    return _QUOTE.search(text.without_code) is not None


@feature(
    name="line_breaks",
    more="Responses break lines more often",
    less="Responses break lines less often",
    unit=PER_100,
    style=True,
)
def _line_breaks(text: Text) -> float:
    """Lines after the first that are not blank, code included; not measured without a word."""
    return 100 * (len(text.lines) - 1) / len(text.words) if text.words else nan


@feature(
    name="json_reply",
    more="More responses are JSON",
    less="Fewer responses are JSON",
    unit=SHARE,
    style=True,
)
def _json_reply(text: Text) -> bool:
    """The whole response, or all that is in its one fenced block, is a JSON object or array."""
    body = text.stripped
    if body.startswith("```") and body.endswith("```") and "\n" in body:
        body = body.partition("\n")[2].removesuffix("```").strip()
    if body[:1] + body[-1:] not in ("{}", "[]") or len(body) > _LONGEST_JSON:
        return False
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return False
    return True


@feature(
    name="dashes",
    more="Responses use dashes more often",
    less="Responses use dashes less often",
    unit=PER_100,
    style=True,
)
def _dashes(text: Text) -> float:
    """Em dashes and double hyphens between words."""
    return text.per_100(text.prose.count("\u2014") + len(_DOUBLE_HYPHEN.findall(text.prose)))
