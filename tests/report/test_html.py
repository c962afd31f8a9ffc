"""Structure of the page: what may stand where, whatever the texts hold."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from html.parser import HTMLParser
from typing import Any

import make
import pytest

from moorings.compare.comparison import Comparison
from moorings.report.html import render_html

VOID = {"meta", "link", "input", "br"}
# fmt: off
TAGS = frozenset({
    "html", "head", "meta", "link", "title", "style", "body", "script", "noscript", "header", "footer", "main",
    "nav", "section", "article", "div", "p", "h1", "h2", "h3", "h4", "a", "b", "small", "span", "abbr", "q",
    "code", "pre", "ul", "ol", "li", "dl", "dt", "dd", "table", "thead", "tbody", "tr", "th", "td", "details",
    "summary", "fieldset", "legend", "label", "input", "button", "mark", "ins", "del", "svg", "path", "line",
    "circle", "rect", "text",
})
# fmt: on
LITERALS = {"verdict", "kind", "format", "seeding"}
CANARY = " Zq'X\"canary<"


class Page(HTMLParser):
    """Elements, attributes and text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.raw: dict[str, list[str]] = {"script": [], "style": []}
        self.open: list[str] = []
        self.unbalanced: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"an attribute is given twice in <{tag}>"
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.unbalanced.append(tag)

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in self.raw:
            self.raw[self.open[-1]].append(data)
        else:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return "".join(self.texts)


def canaries(value: Any, key: str = "") -> Any:
    """The same record with the canary at the end of every free text."""
    if isinstance(value, str):
        return value if key in LITERALS else value + CANARY
    if isinstance(value, dict):
        return {k: canaries(v, k) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return tuple(canaries(v, key) for v in value)
    return value


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


def test_only_known_elements_in_balance(page: Page) -> None:
    assert {tag for tag, _ in page.elements} <= TAGS
    assert page.unbalanced == []
    assert page.open == []
    scripts = [attrs for tag, attrs in page.elements if tag == "script"]
    assert [a.get("type") for a in scripts] in ([None], ["application/json", None])


def test_attributes_hold_no_code_no_style_and_no_address(page: Page) -> None:
    for tag, attrs in page.elements:
        assert not [name for name in attrs if name.startswith("on") or name in ("style", "src", "srcdoc", "action")], (
            tag
        )
        if "href" in attrs:
            assert re.fullmatch(r"#[\w-]+|data:,", attrs["href"] or ""), attrs
    for _, attrs in page.elements:
        if "http-equiv" in attrs:
            assert attrs["http-equiv"] == "Content-Security-Policy"


def test_ids_are_unique_and_every_link_and_reference_leads_somewhere(page: Page) -> None:
    ids = Counter(a["id"] for _, a in page.elements if "id" in a)
    assert [i for i, n in ids.items() if n > 1] == []
    for _, attrs in page.elements:
        for name, prefix in (("href", "#"), ("aria-labelledby", "")):
            goal = attrs.get(name)
            if goal and goal.startswith(prefix) and goal != "data:,":
                assert goal.removeprefix("#") in ids, goal


def test_drawings_are_named_or_hidden_from_readers(page: Page) -> None:
    drawings = [a for tag, a in page.elements if tag == "svg"]
    assert drawings
    for attrs in drawings:
        assert attrs.get("aria-hidden") == "true" or (attrs.get("role") == "img" and attrs.get("aria-label"))


def test_policy_names_exactly_the_style_and_script_that_are_there(page: Page) -> None:
    policy = next(a["content"] for _, a in page.elements if "http-equiv" in a)
    assert policy is not None
    parts = dict(p.strip().split(" ", 1) for p in policy.split(";"))
    assert parts["default-src"] == "'none'"
    for kind in ("style", "script"):
        digest = base64.b64encode(hashlib.sha256(page.raw[kind][-1].encode()).digest()).decode()
        assert parts[f"{kind}-src"] == f"'sha256-{digest}'"
    assert (parts["img-src"], parts["base-uri"], parts["form-action"]) == ("data:", "'none'", "'none'")


@pytest.mark.parametrize("name", ["realistic", "lineage"])
def test_no_attribute_holds_untrusted_text_and_the_page_shows_it(name: str) -> None:
    marked = Comparison.model_validate(canaries(COMPARISONS[name]().model_dump()))
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
