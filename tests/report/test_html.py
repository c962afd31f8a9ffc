"""Structure of the page: what may stand where, whatever the texts hold."""

from __future__ import annotations

import re

import make
import pytest
from page_checks import CANARY, Page, PageChecks, canaries

from moorings.compare.comparison import Comparison
from moorings.report.html import render_html

LITERALS = {"verdict", "kind", "format", "seeding"}


COMPARISONS = {
    "realistic": make.comparison,
    "lineage": make.lineage,
    "hostile": make.hostile,
    "bare": lambda: make.comparison((make.pair("same", [], verdict="no change found", topics=(), missing=(), omnibus=(),
                                               undecided=(), equivalent=(), dropped=(), n_hypotheses={}),),
                                    n_points=0, charter=None, charter_results=(), warnings=(), cost_usd=None, tokens=None),
    "no pair": lambda: make.comparison(n_points=0, pairs=(make.pair("x", []),)).model_copy(update={"pairs": ()}),
}  # fmt: skip


@pytest.fixture(params=COMPARISONS, scope="module")
def page(request: pytest.FixtureRequest) -> Page:
    return Page(render_html(COMPARISONS[request.param]()))


class TestPage(PageChecks):
    """The page has its map as JSON beside its script."""

    script_types = ([None], ["application/json", None])

    def test_there_are_drawings_and_one_policy(self, page: Page) -> None:
        assert any(tag == "svg" for tag, _ in page.elements)
        assert [a["http-equiv"] for _, a in page.elements if "http-equiv" in a] == ["Content-Security-Policy"]


@pytest.mark.parametrize("name", ["realistic", "lineage"])
def test_no_attribute_holds_untrusted_text_and_the_page_shows_it(name: str) -> None:
    marked = Comparison.model_validate(canaries(COMPARISONS[name]().model_dump(), LITERALS))
    marked = marked.model_copy(
        update={"duration_s": {"phase" + CANARY: 1.0}, "settings": {"q" + CANARY: {"a": CANARY}}}
    )
    page = Page(render_html(marked))
    for tag, attrs in page.elements:
        for key, value in attrs.items():
            assert "canary" not in f"{key} {value}", (tag, key)
    assert page.text.count(CANARY.strip()) > 200
    assert "<canary" not in {f"<{tag}" for tag, _ in page.elements}


def test_every_payload_is_shown() -> None:
    text = Page(render_html(make.hostile())).text
    for payload in make.PAYLOADS:
        assert payload.visible in text, payload.name


def test_no_hidden_character_is_left() -> None:
    html = render_html(make.hostile([*make.PAYLOADS, make.HUGE]))
    html.encode("utf-8")
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufeff]", html)
    assert len(html) < 3_000_000


def test_the_page_says_what_the_record_says() -> None:
    text = " ".join(Page(render_html(make.comparison())).text.split())
    for wanted in (
        "Concerning",
        "Answers got shorter as asked",
        "The arms ran in different engines",
        "The candidate shows it in 13.0 % of its responses, the precursor in 4.0 %.",
        "+39 points",
        "Explained by this finding (1)",
        "must not refuse more often than before",
        "If 3 missing were worst",
        "geese, goose, wildfowl",
        "Undecided: neither a change nor sameness was shown (6)",
        "Dropped: the sentence failed its checks (1)",
        "0.13 % to 1.1 %",
        "20260801",
        "6 min 42 s",
    ):
        assert wanted in text, wanted


def test_groups_stand_apart_and_members_have_no_card() -> None:
    page = Page(render_html(make.comparison()))
    cards = [a for tag, a in page.elements if tag == "article" and "card" in (a.get("class") or "").split()]
    assert [a["class"] for a in cards] == [
        *["card tone-bad"],
        *["card tone-warn"] * 3,
        *["card tone-info"],
        *["card tone-good"] * 3,
    ]


def test_a_member_of_an_unknown_finding_gets_its_own_card() -> None:
    found = [make.finding(0, part_of="gone"), make.finding(1, part_of="f1"), make.finding(2)]
    page = Page(render_html(make.comparison((make.pair("concise", found),))))
    assert sum("card" in (a.get("class") or "").split() for tag, a in page.elements if tag == "article") == 3


def test_of_several_candidates_the_gravest_leads_and_the_overview_comes_first() -> None:
    page = Page(render_html(make.lineage()))
    ids = [a["id"] for _, a in page.elements if "id" in a]
    assert ids.index("overview") < ids.index("arms") < ids.index("pair-0")
    assert "the most serious of all candidates: dpo" in " ".join(page.text.split())


def test_size_of_a_large_report() -> None:
    assert len(render_html(make.large()).encode()) <= 5_000_000
