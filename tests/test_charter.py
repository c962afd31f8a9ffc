"""A charter says exactly what its author wrote, or is refused with the place."""

from __future__ import annotations

from pathlib import Path

import pytest

from moorings.charter import MAX_CHARTER_BYTES, Charter, Unchanged, load_charter
from moorings.errors import ConfigError, InputError

EXAMPLES = sorted((Path(__file__).parents[1] / "examples" / "charters").glob("*.yaml"))
HEAD = "title: t\npurpose: p\n"


def load(tmp_path: Path, text: str | bytes) -> Charter:
    path = tmp_path / "charter.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return load_charter(path)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_are_valid_and_name_known_features(path):
    from moorings.compare.battery.feature import known_features

    charter = load_charter(path)
    assert len(list(charter.entries())) >= 4
    charter.check_features(feature.feature.name for feature in known_features())
    assert Charter.model_validate_json(charter.model_dump_json(), strict=False) == charter


def test_there_are_five_examples():
    assert [path.stem for path in EXAMPLES] == ["concise", "demo", "nothing", "persona", "safety"]


def test_defaults_depend_on_the_list(tmp_path):
    charter = load(
        tmp_path,
        HEAD
        + "intended: [{name: a, feature: words, direction: less}]\n"
        + "unchanged: [{name: b, outcome: refused}]\nforbidden:\n - {name: c, phrases: [x, y], min_hits: 2}\n",
    )
    assert [(e.section, e.name, e.direction) for e in charter.entries()] == [
        ("intended", "a", "less"),
        ("unchanged", "b", "any"),
        ("forbidden", "c", "more"),
    ]
    assert charter.forbidden[0].predicate == {"kind": "phrases", "phrases": ["x", "y"], "min_hits": 2}
    assert (charter.tolerance.share, charter.tolerance.sd) == (0.02, 0.1)
    assert (charter.q, charter.alpha, charter.power, charter.defaults.unlisted) == (0.1, 0.05, 0.8, "side effect")


def test_fingerprint_changes_with_meaning_and_not_with_form(tmp_path):
    one = load(tmp_path, HEAD + "unchanged:\n - name: r\n   outcome: refused\n").fingerprint()
    assert (
        one == load(tmp_path, "purpose: 'p'\nunchanged: [{outcome: refused, name: r}]\ntitle: t\nq: 0.1").fingerprint()
    )
    assert one != load(tmp_path, HEAD + "unchanged: [{outcome: refused, name: r, tolerance: 0.01}]").fingerprint()
    assert len(one) == 64


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("intended:\n - name: x\n   feature: words\n   direcion: less\n", "line 6: intended[0].direcion is unknown; did you mean 'direction'?"),
        ("unchangd: []\n", "line 3: unchangd is unknown; did you mean 'unchanged'?"),
        ("tolerance: {shares: 0.1}\n", "line 3: tolerance.shares is unknown; did you mean 'share'?"),
        ("unchanged:\n - {name: x, outcome: refused, scope: {grops: [a]}}\n", "unchanged[0].scope.grops is unknown; did you mean 'groups'"),
        ("unchanged:\n - {name: x, outcome: refused, size: {min: 1}}\n", "unchanged[0].size is unknown"),
        ("intended:\n - name: x\n   feature: words\n", "line 4: intended[0].direction is missing; add it"),
        ("unchanged:\n - name: x\n", "line 4: unchanged[0] says no behaviour; give exactly one of feature, phrases"),
        ("unchanged:\n - {name: x, feature: a, outcome: refused}\n", "unchanged[0] has feature and outcome; give exactly one"),
        ("unchanged:\n - {name: x, outcome: refusd}\n", "is 'refusd'; it should be 'refused', 'empty'"),
        ("unchanged:\n - {name: x, phrases: [yes]}\n", "phrases[0] is True; it should be a text; put it in quotes"),
        ("unchanged:\n - {name: x, phrases: []}\n", "unchanged[0].phrases"),
        ("unchanged:\n - {name: x, feature: a, min_hits: 2}\n", "has min_hits without phrases"),
        ("unchanged:\n - {name: x, phrases: [a], min_hits: 2}\n", "has min_hits 2 but 1 phrases"),
        ("intended:\n - {name: x, feature: a, direction: less, size: {}}\n", "size needs min, max or both"),
        ("intended:\n - {name: x, feature: a, direction: less, size: {min: 2, max: 1}}\n", "has min 2 above max 1"),
        ("unchanged:\n - {name: x, feature: a, tolerance: 0}\n", "unchanged[0].tolerance is 0; it should be greater than 0"),
        ("q: .nan\n", "line 3: q is nan; it should be a finite number"),
        ("alpha: 1.5\n", "line 3: alpha is 1.5; it should be less than 1"),
        ("intended: words\n", "line 3: intended is 'words'; it should be a list"),
        ("q: 0.1\nq: 0.2\n", "line 4: key 'q' is given twice"),
        ("unchanged:\n - name: x\n   feature: a\n   name: y\n", "line 6: key 'name' is given twice"),
        ("unchanged: [{name: x, feature: a}, {name: x, feature: b}]\n", "unchanged[0] and unchanged[1] are both named 'x'"),
        ("unchanged: &a [{name: x, feature: a}]\nforbidden: *a\n", "aliases (*name) are not allowed"),
        ("x: !!python/object/apply:os.system ['true']\n", "is not readable YAML"),
        ("---\ntitle: again\n", "is not readable YAML"),
        ("q: [" + "[" * 60_000, "line 3: nested deeper than 12 levels"),
    ],
)  # fmt: skip
def test_faults_are_named_in_one_line_with_their_place(tmp_path, body, message):
    with pytest.raises(InputError) as caught:
        load(tmp_path, HEAD + body)
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "charter.yaml"))
    assert "\n" not in str(caught.value)


def test_a_wish_and_a_limit_that_rule_each_other_out_are_refused(tmp_path):
    wish = "intended: [{name: a, feature: words, direction: less}]\n"
    with pytest.raises(InputError, match=r"intended\[0\] wants what unchanged\[0\] rules out"):
        load(tmp_path, HEAD + wish + "unchanged: [{name: b, feature: words}]")
    load(tmp_path, HEAD + wish + "unchanged: [{name: b, feature: words, direction: more}]")
    load(tmp_path, HEAD + wish + "unchanged: [{name: b, feature: words, scope: {groups: [g]}}]")


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "holds no charter"),
        (b"- a\n", "holds no charter"),
        (b"\xff\xfe", "is not UTF-8 at byte 1"),
        (b"#" * (MAX_CHARTER_BYTES + 1), "is larger than"),
    ],
)
def test_what_is_no_charter_is_refused(tmp_path, raw, message):
    with pytest.raises(InputError, match=message):
        load(tmp_path, raw)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"cannot read .*none\.yaml"):
        load_charter(tmp_path / "none.yaml")


def test_alias_bombs_are_refused_before_they_grow(tmp_path):
    lines = ["a0: &a0 [x, x]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)]
    with pytest.raises(InputError, match="aliases"):
        load(tmp_path, "\n".join(lines))


def test_an_unknown_feature_is_refused_with_the_nearest():
    charter = Charter(title="t", purpose="p", unchanged=(Unchanged(name="l", feature="wrds"),))
    with pytest.raises(ConfigError, match="unknown feature 'wrds'; did you mean 'words'"):
        charter.check_features(["words", "lists"])


def test_empty_lists_may_be_left_blank(tmp_path):
    assert list(load(tmp_path, HEAD + "intended:\nunchanged:\n").entries()) == []
