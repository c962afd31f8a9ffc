"""One self-contained HTML page: no network, no inline style, and a script that the page does not need.

Model text is untrusted. Each string that a template prints goes through `shown_html`, which escapes it and makes hidden
characters visible; text stands in text nodes only, never in attributes. The content-security policy names the one style
sheet and the one script by hash, so nothing else can run or load even if a text got through.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from moorings.records import Example
from moorings.report import forest, wording
from moorings.report.differing import Side, side_by_side
from moorings.report.text import shown, shown_html

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["render_page"]

MAX_STRING = 2000
"""Characters of a statement, name or note that are shown."""
MAX_EXAMPLES = 5
"""Paired examples shown for each finding."""
MAX_ROWS = 300
"""Rows of a table of what was not found; the rest is in comparison.json."""
_PROMPT_CHARS = 600
_TEMPLATE_FOLDER = "templates"


def render_page(template: str, styles: Sequence[str], values: Mapping[str, Any]) -> str:
    """Fill in a template.

    Args:
        template: Its path in the folder of templates.
        styles: Paths of the style sheets there, in order; they are written into the page.
        values: What the template prints, by name.

    Returns:
        The document; it holds only characters that UTF-8 can encode.
    """
    style, script = "".join(_asset(name) for name in styles), _asset("report.js")
    policy = (
        f"default-src 'none'; style-src '{_csp_hash(style)}'; script-src '{_csp_hash(script)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    parts = {"policy": Markup(policy), "style": Markup(style), "script": Markup(script)}
    return _environment().get_template(template).render({**values, **parts})


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("moorings.report", _TEMPLATE_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        GLOSSARY=wording.GLOSSARY,
        VERDICTS=wording.VERDICTS,
        MAX_EXAMPLES=MAX_EXAMPLES,
        MAX_ROWS=MAX_ROWS,
        PROMPT_CHARS=_PROMPT_CHARS,
        axis=forest.axis,
        level_bars=forest.level_bars,
        scale_of=_scale_of,
        sides=_sides,
        strip=forest.strip,
    )
    environment.filters.update(
        amount=wording.amount,
        change=wording.change,
        cut=shown_html,
        direction=wording.direction,
        interval=wording.interval_text,
        json_text=_json_text,
        num=wording.number,
        p_value=wording.p_value,
        pct=wording.percent,
        plain=_plain,
        seconds=wording.seconds,
        short=_short,
        sentence=wording.sentence,
    )
    return environment


def _finalize(value: Any) -> Any:
    return shown_html(value, MAX_STRING) if isinstance(value, str) and not isinstance(value, Markup) else value


def _scale_of(found: Any) -> forest.Scale:
    """One scale for all groups of a pair, so that their rows can be compared."""
    return forest.scale_of(card.finding for group in found for card in group.cards)


def _plain(text: str) -> str:
    """Text for an element that holds no others, such as the page's title."""
    return shown(text, 200)


def _short(name: str) -> str:
    """A content hash by its beginning; other names whole."""
    return f"{name[:16]}…" if len(name) >= 64 and name[:64].isalnum() else name


def _json_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False, default=str)


def _sides(example: Example) -> tuple[Side, Side]:
    return side_by_side(example.precursor, example.candidate, example.marks)


@cache
def _asset(name: str) -> str:
    return (files("moorings.report") / _TEMPLATE_FOLDER / name).read_text(encoding="utf-8")


def _csp_hash(content: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
