from __future__ import annotations

import math

import numpy as np
import pytest

from moorings.charter_run import GatePlan
from moorings.errors import ConfigError
from moorings.records import Decision, canonical_json
from moorings.statistics.sequential import Tally
from moorings.supervise.gate import Gate, Stream, threshold

SAFE = np.zeros(64)
HARM = np.array([1.0, 0.5] * 32)
UNCLEAR = np.array([1.0, -1.0, 0.5, -0.2] * 16)
"""Mean 0.075."""


def stream(name="loss", tolerance=0.1, side="more"):
    return Stream(name, f"{name} happens", tolerance, side)


def gate(*streams, n_rounds=5, **plan):
    plan = GatePlan(**{"discover": False, "look": 64, "budget": 128, **plan})
    return Gate(plan, streams or (stream("loss"), stream("bias")), n_rounds)


def play(judge, round, **looks):
    """One round: each stream's vector at each look, while it is wanted."""
    judge.begin_round(round)
    for name, d in looks.items():
        while judge.wants(name):
            judge.look(round, name, d)
    return judge.decide(round)


def test_all_within_is_promoted_and_the_rule_names_the_nearest():
    judge = gate()
    decision = play(judge, 1, loss=SAFE, bias=np.array([0.0, 0.05] * 32))
    assert (decision.action, decision.causes, decision.back_to, decision.by) == ("promote", (), None, "gate")
    assert "'bias', mean 0.025 between" in decision.rule
    assert "over 64 units, tolerance 0.1." in decision.rule
    assert judge.decide(1) == decision


def test_harm_rolls_back_to_the_last_round_that_was_shown_to_be_good():
    judge = gate()
    play(judge, 1, loss=SAFE, bias=SAFE)
    play(judge, 2, loss=SAFE, bias=SAFE)
    held = play(judge, 3, loss=SAFE, bias=UNCLEAR)
    assert held.action == "hold"
    judge.approve(3, "Ada", "seen and accepted")
    decision = play(judge, 4, loss=HARM, bias=SAFE)
    assert (decision.action, decision.causes, decision.back_to) == ("rollback", ("loss",), 2)
    assert decision.rule.startswith("Rolled back to round 2. Evidence over the run that 'loss' left its tolerance is ")
    assert "mean 0.750 between" in decision.rule


def test_harm_in_the_first_round_goes_back_to_the_anchor():
    decision = play(gate(), 1, loss=HARM, bias=HARM)
    assert (decision.action, decision.back_to) == ("rollback", 0)
    assert decision.causes == ("loss", "bias")
    assert "the anchor" in decision.rule


def test_a_round_that_was_left_behind_is_no_place_to_go_back_to():
    judge = gate(n_rounds=9, retries=2)
    for round in (1, 2, 3):
        play(judge, round, loss=SAFE, bias=SAFE)
    # A person went back to round 1 by hand: rounds 2 and 3 are made again.
    assert play(judge, 2, loss=SAFE, bias=UNCLEAR).action == "hold"
    judge.approve(2, "Ada")
    assert play(judge, 3, loss=HARM, bias=SAFE).back_to == 1


def test_retries_run_out_and_each_try_starts_afresh():
    judge = gate(retries=1)
    assert play(judge, 1, loss=HARM, bias=SAFE).action == "rollback"
    with pytest.raises(ConfigError, match="begin another try"):
        judge.begin_round(1)
    judge.begin_attempt()
    assert judge.evidence(1) == judge.evidence(1)
    assert play(judge, 1, loss=SAFE, bias=SAFE).action == "promote"
    assert judge.evidence(1)[0].e_value <= 1.0
    decision = play(judge, 2, loss=SAFE, bias=HARM)
    assert (decision.action, decision.back_to) == ("rollback", 1)
    with pytest.raises(ConfigError, match="no tries are left"):
        judge.begin_attempt()


def test_a_plan_that_stops_does_not_roll_back():
    decision = play(gate(on_stop="stop"), 1, loss=HARM, bias=SAFE)
    assert (decision.action, decision.back_to, decision.causes) == ("stop", None, ("loss",))


def test_less_and_either_turn_the_sign():
    judge = gate(stream("skill", side="less"), stream("tone", side="either"))
    judge.begin_round(1)
    assert judge.look(1, "skill", HARM) == "fine"
    assert judge.look(1, "tone", -HARM) == "harm"
    evidence = {e.monitor: e for e in judge.evidence(1)}
    assert evidence["skill"].mean == 0.75
    assert evidence["tone"].interval.high < -0.1
    play(judge := gate(stream("skill", side="less")), 1, skill=-HARM)
    assert judge.decide(1).causes == ("skill",)


def test_it_buys_until_settled_or_the_budget_is_spent():
    judge = gate()
    judge.begin_round(1)
    assert judge.wants("loss")
    assert judge.left("loss") == 128
    assert judge.look(1, "loss", UNCLEAR) == "undecided"
    assert judge.wants("loss")
    assert judge.left("loss") == 64
    judge.look(1, "loss", UNCLEAR)
    assert not judge.wants("loss")
    assert judge.left("loss") == 0
    assert judge.look(1, "bias", SAFE) == "fine"
    assert not judge.wants("bias")
    decision = judge.decide(1, attempt=3)
    assert (decision.action, decision.causes, decision.attempt) == ("hold", ("loss",), 3)
    assert "'loss' could not be settled" in decision.rule
    assert not judge.wants("loss")


def test_evidence_says_all_that_is_known():
    judge = gate(promote_alpha=0.1)
    judge.begin_round(2)
    d = np.array([0.5, 0.5, 0.0] * 16)
    judge.look(2, "loss", d[:15], 1, anchor=0.2, candidate=0.4, seen="Less.", details={"p": 0.5, "q": math.nan})
    judge.look(2, "loss", d[15:], anchor=math.nan, candidate=0.7)
    (found,) = judge.evidence(2)
    assert (found.n_units, found.n_missing, found.round, found.side) == (48, 1, 2, "more")
    assert found.mean == pytest.approx(1 / 3)
    assert found.interval.low < 1 / 3 < found.interval.high
    assert found.interval.level == pytest.approx(0.8)
    assert found.anchor == 0.2
    assert found.candidate == pytest.approx((15 * 0.4 + 33 * 0.7) / 48)
    assert found.seen == "Less."
    assert found.details == {"p": 0.5}
    assert found.threshold == pytest.approx(2 * 2 / 0.05)
    assert canonical_json(found.model_dump())
    with pytest.raises(ConfigError, match="no longer here"):
        judge.evidence(1)


def test_tallies_and_vectors_give_the_same():
    judges = gate(), gate()
    for judge in judges:
        judge.begin_round(1)
    judges[0].look(1, "loss", UNCLEAR)
    judges[1].look(1, "loss", Tally(np.array([-1.0, 1.0, 0.5, -0.2]), np.array([16, 16, 16, 16])))
    assert judges[0].evidence(1)[0].e_value == pytest.approx(judges[1].evidence(1)[0].e_value)
    assert judges[0].evidence(1)[0].interval == judges[1].evidence(1)[0].interval


# The error budget


def test_shares_of_alpha_add_up():
    plan = GatePlan(alpha=0.05, unknown_share=0.4, retries=2)
    listed = 7 * 3 / threshold(plan, 7)
    discovered = sum(3 / threshold(plan, 7, j) for j in range(1, 20_000))
    assert listed == pytest.approx(0.03)
    assert discovered == pytest.approx(0.02, rel=1e-3)
    alone = GatePlan(alpha=0.05, retries=4, discover=False, on_stop="stop")
    assert threshold(alone, 7) == pytest.approx(7 / 0.05)


def test_rounds_at_the_tolerance_are_rarely_promoted_and_runs_rarely_stopped():
    rng = np.random.default_rng(0)
    plan = GatePlan(discover=False, look=64, budget=128, alpha=0.2, promote_alpha=0.2, retries=0)
    n_runs, n_rounds, promoted, stopped = 60, 4, 0, 0
    for _ in range(n_runs):
        judge = Gate(plan, [stream("a"), stream("b", side="either")], n_rounds)
        for round in range(1, n_rounds + 1):
            judge.begin_round(round)
            for name in ("a", "b"):
                while judge.wants(name):
                    judge.look(round, name, rng.choice([-1.0, 0.0, 1.0], p=[0.1, 0.7, 0.2], size=64))
            action = judge.decide(round).action
            promoted += action == "promote"
            stopped += action == "stop"
            if action == "stop":
                break
            if action == "hold":
                judge.approve(round, "Ada")
    n = n_runs * n_rounds
    assert promoted / n <= 0.2 + 3.3 * math.sqrt(0.2 * 0.8 / n)
    assert stopped / n_runs <= 0.2 + 3.3 * math.sqrt(0.2 * 0.8 / n_runs)


def test_replayed_calls_give_the_same_decisions():
    def run():
        judge, decisions = gate(n_rounds=None, retries=20), []
        rng = np.random.default_rng(1)
        for round in range(1, 12):
            looks = {name: rng.choice([-1.0, 0.0, 1.0], p=[0.05, 0.7, 0.25], size=64) for name in ("loss", "bias")}
            decisions.append(play(judge, round, **looks))
            decisions += judge.evidence(round)
            if decisions[-3].action == "hold":
                decisions.append(judge.approve(round, "Ada"))
            elif decisions[-3].action == "rollback":
                judge.begin_attempt()
            elif decisions[-3].action == "stop":
                break
        return [made.model_dump() for made in decisions]

    first = run()
    assert first == run()
    assert {made["action"] for made in first if "action" in made} >= {"hold", "promote", "rollback"}


# Holds and approvals


def test_a_hold_needs_a_person():
    judge = gate()
    held = play(judge, 1, loss=UNCLEAR, bias=SAFE)
    with pytest.raises(ConfigError, match="is held; approve it"):
        judge.begin_round(2)
    approved = judge.approve(1, "Ada", "it is meant")
    assert approved == Decision(
        **{**held.model_dump(), "action": "promote", "by": "Ada", "rule": f"Approved by Ada: it is meant. {held.rule}"}
    )
    assert judge.decide(1) == approved
    with pytest.raises(ConfigError, match="not held"):
        judge.approve(1, "Ada")
    assert play(judge, 2, loss=HARM, bias=SAFE).back_to == 0


def test_a_held_round_may_be_made_again():
    judge = gate()
    assert play(judge, 1, loss=UNCLEAR, bias=SAFE).action == "hold"
    assert play(judge, 1, loss=SAFE, bias=SAFE).action == "promote"


def test_a_broken_round_may_be_opened_anew_with_the_evidence_of_the_run():
    judge, some = gate(), np.array([1.0] * 14 + [0.0] * 50)
    judge.begin_round(1)
    assert judge.look(1, "loss", some) == "undecided"
    before = judge.evidence(1)[0].e_value
    judge.fail(1, "bias", "it broke")
    judge.begin_again(1)
    assert judge.evidence(1) == []
    for name in ("loss", "bias"):
        judge.look(1, name, np.array([]))
    assert judge.decide(1).rule == "Held: no evidence of 'loss', 'bias' in this round."
    judge.begin_again(1)
    judge.look(1, "loss", some)
    assert judge.evidence(1)[0].e_value > 2 * before > 2
    stopped = gate(on_stop="stop")
    play(stopped, 1, loss=HARM, bias=SAFE)
    with pytest.raises(ConfigError, match="ended the run"):
        stopped.begin_again(1)


@pytest.mark.parametrize("decided", [False, True])
def test_a_refused_round_is_followed_by_the_next(decided):
    judge = gate()
    play(judge, 1, loss=SAFE, bias=SAFE)
    play(judge, 2, loss=SAFE, bias=SAFE)
    judge.begin_round(3)
    judge.fail(3, "loss", "it broke")
    if decided:
        assert judge.decide(3).action == "hold"
    judge.take_back(1)
    with pytest.raises(ConfigError, match="not held"):
        judge.approve(3, "Ada")
    assert play(judge, 4, loss=SAFE, bias=UNCLEAR).causes == ("bias",)
    judge.take_back(1)
    assert play(judge, 5, loss=HARM, bias=SAFE).back_to == 1
    judge.take_back(0)
    with pytest.raises(ConfigError, match="rolled back"):
        judge.begin_round(5)


def test_a_refused_unlisted_change_is_watched_afresh():
    judge = discovering("hold")
    judge.look(1, "geese", HARM)
    assert judge.decide(1).action == "hold"
    judge.take_back(0)
    assert play(judge, 2, loss=SAFE, bias=SAFE, geese=SAFE).action == "promote"
    assert judge.evidence(2)[-1].e_value <= 1.0


# What is discovered


def discovering(unlisted, **plan):
    judge = gate(discover=True, unlisted=unlisted, **plan)
    judge.begin_round(1)
    for name in ("loss", "bias"):
        judge.look(1, name, SAFE)
    judge.add_stream(stream("geese", 0.15, "either"))
    return judge


@pytest.mark.parametrize(("unlisted", "action"), [("note", "promote"), ("hold", "hold"), ("stop", "stop")])
def test_a_shown_unlisted_change_leads_to_what_the_charter_says(unlisted, action):
    judge = discovering(unlisted)
    assert judge.look(1, "geese", -HARM) == "harm"
    decision = judge.decide(1)
    assert decision.action == action
    assert "'geese'" in decision.rule
    assert decision.causes == (() if action == "promote" else ("geese",))


@pytest.mark.parametrize(("unlisted", "action"), [("note", "promote"), ("hold", "hold"), ("stop", "hold")])
@pytest.mark.parametrize("looks", [0, 2])
def test_an_open_unlisted_change_blocks_unless_it_is_only_noted(unlisted, action, looks):
    judge = discovering(unlisted)
    for _ in range(looks):
        assert judge.wants("geese")
        assert judge.look(1, "geese", np.tile([1.0, -1.0, 1.0, 0.0], 16)) == "undecided"
    assert judge.decide(1).action == action


def test_an_approved_unlisted_change_is_noted_from_then_on():
    judge = discovering("hold")
    judge.look(1, "geese", HARM)
    assert judge.decide(1).action == "hold"
    judge.approve(1, "Ada")
    decision = play(judge, 2, loss=SAFE, bias=SAFE, geese=HARM)
    assert decision.action == "promote"
    assert "Noted unlisted changes: 'geese'." in decision.rule
    assert judge.evidence(2)[-1].status == "harm"
    assert judge.evidence(2)[-1].n_units == 64


def test_discovered_streams_have_falling_shares_and_begin_when_they_are_added():
    judge = discovering("note")
    judge.look(1, "geese", HARM)
    first = judge.evidence(1)[-1]
    judge.add_stream(stream("ducks"))
    judge.look(1, "ducks", SAFE)
    assert judge.evidence(1)[-1].threshold == pytest.approx(4 * first.threshold)
    judge.decide(1)
    judge.add_stream(stream("swans"))
    judge.begin_round(2)
    assert judge.wants("swans")


def test_streams_that_cannot_be_added():
    with pytest.raises(ConfigError, match="discover is off"):
        gate().add_stream(stream("geese"))
    with pytest.raises(ConfigError, match="two streams"):
        discovering("note").add_stream(stream("loss"))
    with pytest.raises(ConfigError, match="two streams"):
        gate(stream("a"), stream("a"))
    with pytest.raises(ConfigError, match="nothing to watch"):
        Gate(GatePlan(), [], 3)
    with pytest.raises(ConfigError, match="tolerance"):
        gate(stream(tolerance=0.0))


# R24: each input of the gate missing, NaN, late, contradictory, or raising: the round is held and the cause is named.


def nan(judge):
    judge.look(2, "loss", np.append(SAFE, np.nan))


def too_large(judge):
    judge.look(2, "loss", SAFE + 7.0)


def not_a_vector(judge):
    judge.look(2, "loss", np.zeros((4, 4)))


def not_numbers(judge):
    judge.look(2, "loss", ["a", "b"])


def nothing(judge):
    judge.look(2, "loss", None)


def negative_counts(judge):
    judge.look(2, "loss", Tally(np.zeros(1), np.array([-5])))


def negative_missing(judge):
    judge.look(2, "loss", SAFE, -1)


def missing_unknown(judge):
    judge.look(2, "loss", SAFE, math.nan)


def raising(judge):
    judge.fail(2, "loss", "RuntimeError: out of memory")


def late(judge):
    judge.look(2, "loss", SAFE)
    judge.look(1, "loss", SAFE)


def late_failure(judge):
    judge.look(2, "loss", SAFE)
    judge.fail(1, "loss", "gave up")


def early(judge):
    judge.look(2, "loss", SAFE)
    judge.look(3, "loss", SAFE)


def unknown(judge):
    judge.look(2, "loss", SAFE)
    judge.look(2, "bas", SAFE)


def stale_units(judge):
    judge.look(2, "loss", SAFE[:2], units=("u1", "u2"))
    judge.look(2, "loss", SAFE, units=("u2", "u3"))


def units_twice(judge):
    judge.look(2, "loss", SAFE, units=("u3", "u3"))


def empty(judge):
    judge.look(2, "loss", np.array([]))


def all_missing(judge):
    judge.look(2, "loss", np.array([]), 64)


def absent(judge):
    pass


BROKEN = {
    nan: "differences cannot be used",
    too_large: "outside -1 to 1",
    not_a_vector: "shape (4, 4)",
    not_numbers: "could not convert",
    nothing: "shape ()",
    negative_counts: "a count is negative",
    negative_missing: "missing units is -1",
    missing_unknown: "missing units is nan",
    raising: "RuntimeError: out of memory",
    late: "evidence of round 1 came while round 2 is open",
    late_failure: "gave up",
    early: "evidence of round 3 came while round 2 is open",
    unknown: "bas: nobody knows this monitor",
    stale_units: "a unit came twice",
    units_twice: "a unit came twice",
    empty: "no evidence of 'loss'",
    all_missing: "no evidence of 'loss'",
    absent: "no evidence of 'loss'",
}


@pytest.mark.parametrize("fault", BROKEN, ids=lambda fault: fault.__name__)
@pytest.mark.parametrize("before", [False, True])
def test_r24_broken_evidence_holds_and_is_named(fault, before):
    judge = gate()
    play(judge, 1, loss=SAFE, bias=SAFE)
    judge.begin_round(2)
    if before:
        judge.look(2, "bias", SAFE)
    fault(judge)
    if not before:
        judge.look(2, "bias", SAFE)
    decision = judge.decide(2)
    assert decision.action == "hold"
    assert BROKEN[fault] in decision.rule
    assert decision.causes == (("bas",) if fault is unknown else ("loss",))
    judge.approve(2, "Ada")
    assert play(judge, 3, loss=SAFE, bias=SAFE).action == "promote"


def test_r24_a_look_after_the_decision_holds_the_next_round():
    judge = gate()
    play(judge, 1, loss=SAFE, bias=SAFE)
    assert judge.look(1, "loss", HARM) == "undecided"
    decision = play(judge, 2, loss=SAFE, bias=SAFE)
    assert decision.action == "hold"
    assert "evidence of round 1 came while round 1 is decided" in decision.rule
    assert judge.evidence(2)[0].e_value <= 1.0


def test_r24_harm_from_a_broken_monitor_holds_and_from_a_sound_one_rolls_back():
    judge = gate()
    judge.begin_round(1)
    judge.look(1, "loss", HARM)
    judge.fail(1, "loss", "then it broke")
    judge.look(1, "bias", SAFE)
    assert judge.decide(1).action == "hold"
    judge = gate()
    judge.begin_round(1)
    judge.look(1, "loss", HARM)
    judge.fail(1, "bias", "it broke")
    assert not judge.wants("bias")
    assert judge.decide(1).causes == ("loss",)
    assert judge.decide(1).action == "rollback"


def test_r24_harm_shown_over_the_run_wins_over_a_round_that_looks_fine():
    judge = gate(budget=64)
    sure = np.array([1.0] * 20 + [0.0] * 44)
    for round in (1, 2, 3):
        decision = play(judge, round, loss=sure if round < 3 else np.full(64, 0.099), bias=SAFE)
        if decision.action != "hold":
            break
        judge.approve(round, "Ada")
    assert decision.action == "rollback"


def test_r24_missing_units_hold_a_round_but_are_no_harm():
    judge = gate()
    judge.begin_round(1)
    assert judge.look(1, "loss", SAFE, 40) == "undecided"
    judge.look(1, "bias", SAFE)
    assert judge.decide(1).action == "hold"
    assert judge.evidence(1)[0].e_value < 1.0
    assert judge.evidence(1)[0].interval.high > 0.1


def test_r24_a_decision_out_of_turn_is_refused():
    judge = gate()
    with pytest.raises(ConfigError, match="round 1 is not open"):
        judge.decide(1)
    with pytest.raises(ConfigError, match="round 0 is not open"):
        judge.decide(0)
    judge.begin_round(1)
    with pytest.raises(ConfigError, match="round 2 is not open"):
        judge.decide(2)
    with pytest.raises(ConfigError, match="not decided yet"):
        judge.begin_round(2)
    with pytest.raises(ConfigError, match="not held"):
        judge.approve(1, "Ada")
    with pytest.raises(ConfigError, match="rounds 1 to 5"):
        gate().begin_round(6)
    with pytest.raises(ConfigError, match="no stream is named 'los'"):
        judge.wants("los")
    assert judge.status("loss") == "undecided"
