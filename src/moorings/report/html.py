"""A comparison as one self-contained HTML file; see `moorings.report.page` for what keeps it safe."""

from __future__ import annotations

from moorings.compare.comparison import Comparison, PairResult
from moorings.report.page import render_page
from moorings.report.scatter import draw_map
from moorings.report.view import charter_lines, groups, matrix, worst_pair

__all__ = ["render_html"]


def render_html(comparison: Comparison) -> str:
    """Write the report as one HTML file.

    Returns:
        The document; it holds only characters that UTF-8 can encode.
    """
    values = {
        "c": comparison,
        "worst": worst_pair(comparison),
        "sections": [(i, pair, groups(pair, i), _arm(comparison, pair)) for i, pair in enumerate(comparison.pairs)],
        "matrix": matrix(comparison) if len(comparison.pairs) > 1 else (),
        "charter_lines": charter_lines(comparison),
        "map": draw_map(comparison),
    }
    return render_page("report.html.j2", ("style.css",), values)


def _arm(comparison: Comparison, pair: PairResult) -> int:
    """Number of the candidate's arm, for its colour."""
    return next((i for i, arm in enumerate(comparison.arms) if arm.name == pair.candidate), 1)
