"""One self-contained HTML file: no network, no inline style, and a script that the page does not need.

Model text is untrusted. Each string that a template prints goes through `shown_html`, which escapes it and makes hidden
characters visible; text stands in text nodes only, never in attributes. The content-security policy names the one style
sheet and the one script by hash, so nothing else can run or load even if a text got through.
"""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from moorings.compare.comparison import Comparison, PairResult
from moorings.records import Example
from moorings.report import forest, wording
from moorings.report.differing import Side, side_by_side
from moorings.report.scatter import draw_map
from moorings.report.text import shown, shown_html
from moorings.report.view import charter_lines, groups, matrix, worst_pair

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["render_html"]

MAX_STRING = 2000
"""Characters of a statement, name or note that are shown."""
MAX_EXAMPLES = 5
"""Paired examples shown for each finding."""
MAX_ROWS = 300
"""Rows of a table of what was not found; the rest is in comparison.json."""
_PROMPT_CHARS = 600
_TEMPLATE_FOLDER = "templates"


def render_html(comparison: Comparison) -> str:
    """Write the report as one HTML file.

    Returns:
        The document; it holds only characters that UTF-8 can encode.
    """
    style, script = _asset("style.css"), _asset("report.js")
    policy = (
        f"default-src 'none'; style-src '{_csp_hash(style)}'; script-src '{_csp_hash(script)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            c=comparison,
            policy=Markup(policy),
            style=Markup(style),
            script=Markup(script),
            worst=worst_pair(comparison),
            sections=[(i, pair, groups(pair, i), _arm(comparison, pair)) for i, pair in enumerate(comparison.pairs)],
            matrix=matrix(comparison) if len(comparison.pairs) > 1 else (),
            charter_lines=charter_lines(comparison),
            map=draw_map(comparison),
        )
    )


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


def _arm(comparison: Comparison, pair: PairResult) -> int:
    """Number of the candidate's arm, for its colour."""
    return next((i for i, arm in enumerate(comparison.arms) if arm.name == pair.candidate), 1)


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
