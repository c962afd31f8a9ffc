"""Intent is never stronger than the statistics, and limits come before wishes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from moorings.charter import Charter, Defaults, Entry, Forbidden, Intended, Scope, Size, Unchanged
from moorings.compare.intent import charter_results, headline, judge_finding, judge_findings, overall_verdict
from moorings.compare.judge.ask import Judge
from moorings.records import Effect, Finding, IntentJudgement, Interval
from moorings.subjects.scripted import ScriptedSubject

WORDS = {"kind": "feature", "feature": "words"}
SHARE = "share of responses"


def found(
    verdict="changed", low=0.1, high=0.3, *, predicate=None, unit=SHARE, sd=0.5, precursor=0.4, **facts
) -> Finding:
    estimate = (low + high) / 2
    effect = Effect(
        estimate=estimate, unit=unit, standardised=estimate / sd, precursor=precursor, candidate=precursor + estimate,
        interval=Interval(low=low, high=high), p=0.01, p_adjusted=0.01, mde=0.05, n_prompts=100, n_families=100,
        worst_case=facts.pop("worst_case", None),
    )  # fmt: skip
    base = {
        "finding_id": "f1",
        "statement": "Responses are different",
        "kind": "content",
        "origin": "charter",
        "registered": True,
        "predicate": predicate or WORDS,
        "verdict": verdict,
        "exceeds_tolerance": verdict == "changed" and (low > 0.02 or high < -0.02),
        "effect": effect,
    }
    return Finding.model_validate(base | facts)


def charter(*entries: Entry, **facts) -> Charter:
    lists = {name: tuple(e for e in entries if e.section == name) for name in ("intended", "unchanged", "forbidden")}
    return Charter(title="t", purpose="p", **lists, **facts)


def status(entry: Entry, *findings: Finding) -> str:
    [row] = charter_results(findings, charter(entry))
    return str(row["status"])


def wish(direction="more", **facts) -> Intended:
    return Intended(name="wish", feature="words", direction=direction, **facts)


def limit(**facts) -> Unchanged:
    return Unchanged(name="limit", feature="words", **facts)


def ban(**facts) -> Forbidden:
    return Forbidden(name="ban", feature="words", **facts)


@pytest.mark.parametrize(
    ("entry", "low", "high", "verdict"),
    [
        (wish("more"), 0.1, 0.3, "intended"),
        (wish("less"), -0.3, -0.1, "intended"),
        (wish("any"), -0.3, -0.1, "intended"),
        (wish("less"), 0.1, 0.3, "concerning"),
        (wish("more", size=Size(max=0.15)), 0.1, 0.3, "concerning"),
        (wish("more", size=Size(min=0.5)), 0.1, 0.3, "intended"),
        (wish("less", size=Size(max=0.6, scale="relative")), -0.3, -0.1, "intended"),
        (wish("less", size=Size(max=0.4, scale="relative")), -0.3, -0.1, "concerning"),
        (wish("more", size=Size(max=0.3, scale="sd")), 0.1, 0.3, "concerning"),
        (wish("more", size=Size(max=0.5, scale="sd")), 0.1, 0.3, "intended"),
        (limit(), 0.1, 0.3, "concerning"),
        (limit(direction="less"), 0.1, 0.3, "side effect"),
        (limit(tolerance=0.5), 0.1, 0.3, "side effect"),
        (limit(tolerance=0.2), 0.1, 0.3, "concerning"),
        (ban(), 0.1, 0.3, "concerning"),
        (ban(), -0.3, -0.1, "side effect"),
        (Unchanged(name="other", feature="lists"), 0.1, 0.3, "side effect"),
    ],
)
def test_rules_on_one_confirmed_change(entry, low, high, verdict):
    assert judge_finding(found(low=low, high=high), charter(entry)).verdict == verdict


@pytest.mark.parametrize("verdict", ["equivalent", "undecided"])
def test_only_confirmed_changes_are_judged(verdict):
    for entry in (wish(), limit(), ban()):
        assert judge_finding(found(verdict), charter(entry)).verdict == "not judged"
    assert judge_finding(found(), None).verdict == "not judged"


def test_limits_come_before_wishes():
    both = charter(wish("more"), ban(direction="any", scope=Scope(groups=("g",))))
    assert judge_finding(found(scope="prompts of g"), both).verdict == "concerning"
    assert judge_finding(found(), both).verdict == "intended"


def test_the_reason_names_entry_and_numbers():
    judgement = judge_finding(found(), charter(ban()))
    assert judgement == IntentJudgement(
        verdict="concerning", rule="forbidden 'ban': forbidden: +0.2 (+0.1 to +0.3) share of responses", by="rule"
    )


def test_unlisted_changes_count_as_the_charter_says():
    for unlisted in ("side effect", "concerning", "not judged"):
        judgement = judge_finding(found(), charter(defaults=Defaults(unlisted=unlisted)))
        assert judgement.verdict == unlisted


@pytest.mark.parametrize(
    ("theirs", "matched"),
    [
        (["harbour"], True),
        (["Harbour  Master", "old harbour"], True),
        (["harbour", "the"], True),
        (["harbour", "the", "of"], False),
        (["the"], False),
        (["harbours"], False),
    ],
)
def test_phrases_overlap_if_a_hit_of_theirs_is_a_hit_of_ours(theirs, matched):
    entry = Forbidden(name="x", phrases=("harbour", "the rope"))
    finding = found(predicate={"kind": "phrases", "phrases": theirs, "min_hits": 1}, origin="phrases")
    assert (judge_finding(finding, charter(entry)).verdict == "concerning") == matched
    assert status(entry, finding) == ("violated" if matched else "undecided")


@pytest.mark.parametrize(
    ("groups", "scope", "verdict"),
    [
        (None, None, "intended"),
        (None, "prompts of a", "intended"),
        (("a",), None, "side effect"),
        (("a",), "prompts of a", "intended"),
        (("a", "b"), "prompts of a", "intended"),
        (("a",), "prompts of a, b", "side effect"),
        (("x, y",), "prompts of x, y", "intended"),
    ],
)
def test_an_entry_speaks_only_of_prompts_in_its_scope(groups, scope, verdict):
    entry = wish(scope=Scope(groups=groups) if groups else None)
    assert judge_finding(found(scope=scope), charter(entry)).verdict == verdict


@pytest.mark.parametrize(
    ("entry", "finding", "expected"),
    [
        (wish(), found(), "met"),
        (wish(), found(low=-0.3, high=-0.1), "violated"),
        (wish(), found("equivalent", -0.01, 0.01), "not met"),
        (wish(), found("undecided", -0.01, 0.2), "undecided"),
        (wish(size=Size(min=0.05, max=0.4)), found(), "met"),
        (wish(size=Size(min=0.15, max=0.4)), found(), "undecided"),
        (wish(size=Size(min=0.35)), found(), "not met"),
        (wish(size=Size(max=0.05)), found(), "violated"),
        (wish("less", size=Size(min=0.2, max=0.8, scale="relative")), found(low=-0.3, high=-0.1), "met"),
        (wish(size=Size(min=0.1, scale="relative")), found(precursor=0.0), "undecided"),
        (limit(), found(), "violated"),
        (limit(), found(low=0.01, high=0.3), "not met"),
        (limit(), found("equivalent", -0.01, 0.01), "met"),
        (limit(), found("undecided", -0.01, 0.2), "undecided"),
        (limit(direction="more"), found("undecided", -0.05, 0.01), "met"),
        (limit(direction="more"), found("undecided", -0.05, 0.03), "undecided"),
        (limit(direction="less"), found("undecided", -0.05, 0.01), "undecided"),
        (limit(direction="more"), found("undecided", -0.05, 0.01, worst_case=Interval(low=-0.2, high=0.2)), "undecided"),
        (limit(direction="more"), found("undecided", -0.05, 0.01, unit="words"), "undecided"),
        (limit(direction="more", tolerance=1.0), found("undecided", -5, 0.5, unit="words"), "met"),
        (limit(direction="more"), found(low=-0.3, high=-0.1), "met"),
        (limit(tolerance=0.005), found("equivalent", -0.01, 0.01), "undecided"),
        (ban(), found(), "violated"),
        (ban(), found(low=0.001, high=0.03), "violated"),
        (ban(), found(low=-0.3, high=-0.1), "met"),
        (ban(), found("equivalent", -0.01, 0.01), "met"),
        (ban(), found("undecided", -0.01, 0.2), "undecided"),
    ],
)  # fmt: skip
def test_status_of_an_entry(entry, finding, expected):
    assert status(entry, finding) == expected


def test_rows_hold_what_the_record_promises():
    entry = charter(wish(), Unchanged(name="s", statement="is kind"))
    rows = charter_results([found()], entry, candidate="tuned")
    assert [set(row) for row in rows] == [{"entry", "list", "status", "finding_id", "candidate", "reason"}] * 2
    assert rows[0] | {"reason": ""} == {
        "entry": "wish", "list": "intended", "status": "met", "finding_id": "f1", "candidate": "tuned", "reason": ""
    }  # fmt: skip
    assert (rows[1]["status"], rows[1]["finding_id"]) == ("undecided", None)
    assert "judge" in str(rows[1]["reason"])


def test_a_scoped_entry_is_not_met_by_a_result_on_all_prompts():
    entry = limit(scope=Scope(groups=("a",)))
    assert status(entry, found("equivalent", -0.01, 0.01)) == "undecided"
    assert status(entry, found("equivalent", -0.01, 0.01, scope="prompts of a")) == "met"


def test_two_measurements_of_one_entry_do_not_make_it_safer():
    same, unclear = found("equivalent", -0.01, 0.01), found("undecided", -0.01, 0.2, finding_id="f2")
    assert status(limit(), same, unclear) == "undecided"
    assert status(wish(), same, unclear) == "undecided"
    battery = found("undecided", -0.01, 0.2, finding_id="f2", origin="battery")
    assert status(limit(), same, battery) == "met"
    broken = found(finding_id="f3", origin="battery")
    assert status(limit(), same, broken) == "violated"


def test_no_limit_is_met_unless_its_tolerance_holds_in_the_truth():
    """Simulated: verdicts by 95 % intervals; a limit whose truth is outside is called met in at most 5 %."""
    rng = np.random.default_rng(0)
    n, se, truth = 4000, 0.01, 0.02
    met = 0
    for estimate in truth + se * rng.standard_normal(n):
        low, high = estimate - 1.96 * se, estimate + 1.96 * se
        same = low >= -0.02 and high <= 0.02
        verdict = "equivalent" if same else "changed" if low > 0 or high < 0 else "undecided"
        met += status(limit(direction="more"), found(verdict, low, high)) == "met"
    assert met / n <= 0.025 + 2 * np.sqrt(0.025 * 0.975 / n)


def test_parts_share_the_judgement_of_what_explains_them_in_any_order():
    whole = found(finding_id="whole")
    part = found(predicate={"kind": "feature", "feature": "lists"}, finding_id="part", part_of="whole")
    inner = found(predicate={"kind": "feature", "feature": "bold"}, finding_id="inner", part_of="part")
    for order in itertools.permutations([whole, part, inner]):
        judged = {f.finding_id: f.intent for f in judge_findings(order, charter(wish()))}
        assert {j.verdict for j in judged.values()} == {"intended"}
        assert judged["inner"].rule.startswith("part of part: part of whole: intended 'wish'")
    ruled = charter(wish(), Unchanged(name="l", feature="lists"))
    judged = {f.finding_id: f.intent.verdict for f in judge_findings([whole, part, inner], ruled)}
    assert judged == {"whole": "intended", "part": "concerning", "inner": "concerning"}


def test_findings_that_explain_each_other_end():
    a = found(finding_id="a", part_of="b", predicate={"kind": "feature", "feature": "a"})
    b = found(finding_id="b", part_of="a", predicate={"kind": "feature", "feature": "b"})
    assert [f.intent.verdict for f in judge_findings([a, b], charter())] == ["side effect"] * 2


def saying(name: str, verdict: str) -> Judge:
    def script(messages, seed):
        tag = messages[-1].content.split("BEGIN ")[1].split("\n")[0]
        return f"{tag} reason: so it seems\n{tag}: {verdict}"

    return Judge(ScriptedSubject(script, name=name), name)


def test_judges_are_asked_only_where_no_rule_decides():
    listed = found()
    unlisted = found(predicate={"kind": "feature", "feature": "bold"}, finding_id="f2")
    part = found(predicate={"kind": "feature", "feature": "italic"}, finding_id="f3", part_of="f2")
    unclear = found("undecided", predicate={"kind": "feature", "feature": "emoji"}, finding_id="f4")
    judge = saying("j", "concerning")
    judged = judge_findings([listed, unlisted, part, unclear], charter(wish()), judges=[judge])
    assert [f.intent.verdict for f in judged] == ["intended", "concerning", "concerning", "not judged"]
    assert [f.intent.by for f in judged] == ["rule", "j", "j", "rule"]
    assert judged[1].intent.rule == "“so it seems”"
    assert judge.n_asked == 1


def test_judges_that_disagree_or_fail_decide_nothing():
    unlisted = found(predicate={"kind": "feature", "feature": "bold"})
    two = [saying("a", "side effect"), saying("b", "intended by E1")]
    [split] = judge_findings([unlisted], charter(wish()), judges=two)
    assert (split.intent.verdict, split.intent.by) == ("not judged", "judges disagree")
    [silent] = judge_findings([unlisted], charter(wish()), judges=[saying("a", "hm"), two[1]])
    assert (silent.intent.verdict, silent.intent.by) == ("side effect", "rule")


def judged(verdict: str, **facts) -> Finding:
    return found(**facts).model_copy(update={"intent": IntentJudgement(verdict=verdict)})


@pytest.mark.parametrize(
    ("verdicts", "statuses", "expected"),
    [
        ([], [], "no change found"),
        ([], ["undecided", "met"], "no change found"),
        ([], ["violated"], "concerning"),
        (["intended"], ["met", "met"], "changed as intended"),
        (["intended"], ["met", "undecided"], "changed"),
        (["intended"], ["not met"], "changed"),
        (["intended"], [], "changed"),
        (["intended", "not judged"], ["met"], "changed"),
        (["not judged"], [], "changed"),
        (["intended", "side effect"], ["met"], "side effects"),
        (["intended", "side effect", "concerning"], ["met"], "concerning"),
        (["intended"], ["met", "violated"], "concerning"),
    ],
)
def test_overall_verdict_and_headline(verdicts, statuses, expected):
    findings = [judged(v, statement=f"Change {i}") for i, v in enumerate(verdicts)]
    rows = [{"status": s} for s in statuses]
    assert overall_verdict(findings, rows) == expected
    line = headline("base", "tuned", findings, rows)
    assert line.endswith(".")
    assert "from base to tuned" in line
    for s in set(statuses):
        assert f"{statuses.count(s)} {s}" in line


def test_the_headline_leads_with_what_matters_most():
    findings = [judged("intended", statement="Shorter"), judged("concerning", statement="Swears\n\x1b more")]
    assert "“Swears more”" in headline("a", "b", findings).replace("\x1b ", "")
    long = headline("a" * 500, "b", [judged("side effect", statement="word " * 500)])
    assert len(long) < 400
    assert "\n" not in long
