"""What holds for every page that reports write, whatever the texts hold; a module subclasses it and has a fixture `page`."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Container
from html.parser import HTMLParser
from typing import Any

VOID = {"meta", "link", "input", "br"}
# fmt: off
TAGS = frozenset({
    "html", "head", "meta", "link", "title", "style", "body", "script", "noscript", "header", "footer", "main",
    "nav", "section", "article", "div", "p", "h1", "h2", "h3", "h4", "a", "b", "small", "span", "abbr", "q",
    "code", "pre", "ul", "ol", "li", "dl", "dt", "dd", "table", "thead", "tbody", "tr", "th", "td", "details",
    "summary", "fieldset", "legend", "label", "input", "button", "mark", "ins", "del", "svg", "path", "line",
    "circle", "rect", "text", "g", "desc", "i",
})
# fmt: on
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


def canaries(value: Any, literals: Container[str], key: str = "") -> Any:
    """The same record with the canary at the end of every free text; fields named in `literals` stay."""
    if isinstance(value, str):
        return value if key in literals else value + CANARY
    if isinstance(value, dict):
        return {k: canaries(v, literals, k) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return tuple(canaries(v, literals, key) for v in value)
    return value


class PageChecks:
    """Structure of a page."""

    links = r"#[\w-]+|data:,"
    """Addresses that a page may link to."""
    script_types: tuple[list[str | None], ...] = ([None],)
    """Types of its scripts that are allowed, in order."""

    def test_only_known_elements_in_balance(self, page: Page) -> None:
        assert {tag for tag, _ in page.elements} <= TAGS
        assert page.unbalanced == []
        assert page.open == []
        scripts = [attrs for tag, attrs in page.elements if tag == "script"]
        assert [a.get("type") for a in scripts] in self.script_types
        assert all(set(a) <= {"type", "id"} for a in scripts)

    def test_attributes_hold_no_code_no_style_and_no_address(self, page: Page) -> None:
        for tag, attrs in page.elements:
            bad = [n for n in attrs if n.startswith("on") or n in ("style", "src", "srcdoc", "action")]
            assert not bad, tag
            if "href" in attrs:
                assert re.fullmatch(self.links, attrs["href"] or ""), attrs

    def test_ids_are_unique_and_every_link_and_reference_leads_somewhere(self, page: Page) -> None:
        ids = Counter(a["id"] for _, a in page.elements if "id" in a)
        assert [i for i, n in ids.items() if n > 1] == []
        for _, attrs in page.elements:
            if (attrs.get("href") or "").startswith("#"):
                assert (attrs["href"] or "").removeprefix("#") in ids, attrs
            for name in (attrs.get("aria-labelledby") or "").split():
                assert name in ids, attrs

    def test_drawings_are_named_or_hidden_from_readers(self, page: Page) -> None:
        for tag, attrs in page.elements:
            if tag == "svg" and attrs.get("aria-hidden") != "true":
                assert attrs.get("role") == "img"
                assert attrs.get("aria-label") or attrs.get("aria-labelledby")

    def test_policy_names_exactly_the_style_and_script_that_are_there(self, page: Page) -> None:
        policy = next(a["content"] for _, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
        assert policy is not None
        parts = dict(p.strip().split(" ", 1) for p in policy.split(";"))
        assert parts["default-src"] == "'none'"
        assert (parts["img-src"], parts["base-uri"], parts["form-action"]) == ("data:", "'none'", "'none'")
        for kind in ("style", "script"):
            digest = base64.b64encode(hashlib.sha256(page.raw[kind][-1].encode()).digest()).decode()
            assert parts[f"{kind}-src"] == f"'sha256-{digest}'"
