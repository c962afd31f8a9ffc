"""The result as JUnit XML, for build servers: what the charter asked for, and what nobody asked for."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from moorings.compare.comparison import Comparison, PairResult
from moorings.report.text import shown
from moorings.report.view import CharterLine, Group, charter_lines, groups
from moorings.report.wording import sentence

__all__ = ["render_junit"]

_MAX_TEXT = 1000
_FAILED = ("violated", "not met")
_UNWANTED = ("Concerning", "Side effects")


def render_junit(comparison: Comparison) -> str:
    """Write one test case a charter entry, and one that fails for each concerning finding or side effect.

    An undecided entry is skipped, never passed. A candidate without an unwanted finding has one case that passes.
    """
    root = ET.Element("testsuites", name=_text(comparison.title))
    lines = charter_lines(comparison)
    if lines:
        suite = ET.SubElement(root, "testsuite", name="charter")
        for line in lines:
            _charter_case(suite, line)
    for i, pair in enumerate(comparison.pairs):
        suite = ET.SubElement(root, "testsuite", name=_text(f"{pair.candidate} against {pair.precursor}"))
        _pair_cases(suite, pair, [g for g in groups(pair, i) if g.title in _UNWANTED])
    for suite in (*root, root):
        for attribute, path in (("tests", ".//testcase"), ("failures", ".//failure"), ("skipped", ".//skipped")):
            suite.set(attribute, str(len(suite.findall(path))))
        suite.set("errors", "0")
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _charter_case(suite: ET.Element, line: CharterLine) -> None:
    case = ET.SubElement(suite, "testcase", classname=_text(f"charter.{line.candidate}"), name=_text(line.entry))
    message = _text(f"{line.status}: {sentence(line.finding)}" if line.finding else line.status)
    if line.status in _FAILED:
        ET.SubElement(case, "failure", type=line.status, message=message)
    elif line.status != "met":
        ET.SubElement(case, "skipped", message=message)


def _pair_cases(suite: ET.Element, pair: PairResult, unwanted: list[Group]) -> None:
    classname = _text(f"findings.{pair.candidate}")
    for group in unwanted:
        for card in group.cards:
            finding = card.finding
            case = ET.SubElement(suite, "testcase", classname=classname, name=_text(finding.statement))
            failure = ET.SubElement(case, "failure", type=finding.intent.verdict, message=_text(sentence(finding)))
            failure.text = _text(f"{finding.intent.verdict} by {finding.intent.by}: {finding.intent.rule}")
    if not unwanted:
        ET.SubElement(suite, "testcase", classname=classname, name="nothing concerning and no side effect was found")


def _text(text: str) -> str:
    """Text of which every character is allowed in XML."""
    return shown(text, _MAX_TEXT)
