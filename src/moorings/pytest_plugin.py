"""A pytest plugin: hold a change of a model to its charter in a test suite.

    from moorings.pytest_plugin import assert_no_concerning

    def test_the_tuned_model_keeps_its_manners(moorings_diff):
        assert_no_concerning(moorings_diff("runs/base", "runs/tuned"))

pytest finds the plugin by itself. It imports nothing heavy until a test asks for `moorings_diff`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from moorings.charter import Charter
    from moorings.compare.comparison import Comparison, PairResult

__all__ = ["MooringsDiff", "assert_no_concerning", "moorings_diff"]


class MooringsDiff(Protocol):
    """What the fixture `moorings_diff` is."""

    def __call__(
        self, precursor: str, *candidates: str, charter: Charter | Path | str | None = None, **settings: Any
    ) -> Comparison:
        """Compare as `moorings.diff` does, which takes the settings; the report is written and its path shown on failure."""
        ...


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the fixture."""
    group = parser.getgroup("moorings", "behaviour of models")
    group.addoption(
        "--moorings-charter",
        metavar="FILE",
        type=Path,
        help="charter (YAML) of comparisons whose test names none",
    )
    group.addoption(
        "--moorings-out",
        metavar="FOLDER",
        type=Path,
        help="keep runs and reports here, a folder a test; a temporary folder by default",
    )


@pytest.fixture
def moorings_diff(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> MooringsDiff:
    """Compare candidates with a precursor; see `MooringsDiff`."""
    folder = _folder(request, tmp_path_factory)
    default: Path | None = request.config.getoption("--moorings-charter")
    made = 0

    def compare(
        precursor: str, *candidates: str, charter: Charter | Path | str | None = None, **settings: Any
    ) -> Comparison:
        nonlocal made
        import moorings

        made += 1
        out = Path(settings.pop("out", folder / str(made)))
        chosen = default if charter is None else Path(charter) if isinstance(charter, str) else charter
        comparison = moorings.diff(precursor, *candidates, out=out, charter=chosen, **settings)
        report = moorings.write_report(comparison, out)["html"]
        request.node.user_properties.append(("moorings_report", str(report)))
        request.node.add_report_section("call", "moorings", f"report: {report}")
        return comparison

    return compare


def assert_no_concerning(comparison: Comparison) -> None:
    """Fail if any candidate changed in a way that the charter rules out or that is judged harmful.

    It passes where nothing concerning was found, which does not show that there is nothing: see what is undecided.

    Raises:
        AssertionError: A pair's verdict is `concerning`; the message names the findings and the charter's entries.
    """
    __tracebackhide__ = True
    concerning = [pair for pair in comparison.pairs if pair.verdict == "concerning"]
    if concerning:
        raise AssertionError("\n".join(line for pair in concerning for line in _explain(comparison, pair)))


def _explain(comparison: Comparison, pair: PairResult) -> Iterator[str]:
    """Lines about a pair. What models wrote is made harmless for a terminal."""
    from moorings.report.text import shown
    from moorings.report.wording import sentence

    yield shown(pair.headline, _MOST_CHARACTERS)
    for finding in pair.findings:
        if finding.intent.verdict == "concerning" and finding.part_of is None:
            yield f"  {shown(finding.statement, _MOST_CHARACTERS)}"
            yield f"    {shown(sentence(finding), _MOST_CHARACTERS)}"
            yield f"    {shown(finding.intent.rule, _MOST_CHARACTERS)}"
    for row in comparison.charter_results:
        if row["status"] == "violated" and row["candidate"] == pair.candidate:
            yield f"  charter entry '{shown(str(row['entry']), _MOST_CHARACTERS)}' is violated"


_MOST_CHARACTERS = 400


def _folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    kept: Path | None = request.config.getoption("--moorings-out")
    name = re.sub(r"[^\w.-]+", "-", request.node.nodeid)[-100:].strip("-.")
    return tmp_path_factory.mktemp("moorings") if kept is None else kept / name
