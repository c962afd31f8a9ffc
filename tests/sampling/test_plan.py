"""Plans: seeds and keys depend on content alone; batches are fixed and whole."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from moorings.records import Decoding, Message, Persona, Prompt
from moorings.sampling.plan import UserSimulator, derive_seed, make_batches, make_items
from moorings.subjects.spec import SubjectSpec

SPEC = SubjectSpec(uri="scripted:echo")


def prompt(name: str, text: str) -> Prompt:
    return Prompt(prompt_id=name, messages=(Message(role="user", content=text),))


def items(prompts, personas=(), n=2, run_seed=0, fingerprint="f", user=None):
    return list(make_items(prompts, personas, n, run_seed=run_seed, fingerprint=fingerprint, user=user))


def batches(planned, size):
    return make_batches(planned, size, subject=SPEC, fingerprint="f", decoding=Decoding(), user=None)


def test_seeds_and_keys_do_not_depend_on_the_order_or_names_of_prompts():
    one = items([prompt("a", "x"), prompt("b", "y")])
    other = items([prompt("q", "y"), prompt("r", "x")])
    assert {(i.key, i.seed) for i in one} == {(i.key, i.seed) for i in other}


def test_everything_that_makes_a_sample_another_one_changes_its_key():
    base = [prompt("a", "x")]
    persona = (Persona(name="p", system="be brief"),)
    user = UserSimulator(SPEC, "u", 2, "play")
    variants = [
        items(base),
        items(base, run_seed=1),
        items(base, fingerprint="g"),
        items(base, personas=persona),
        items(base, user=user),
        items([prompt("a", "x ")]),
    ]
    keys = [item.key for variant in variants for item in variant]
    assert len(set(keys)) == len(keys) == 12


def test_a_repeated_prompt_gets_samples_of_its_own():
    planned = items([prompt("a", "x"), prompt("a#2", "x")], n=3)
    assert len({i.key for i in planned}) == len({i.seed for i in planned}) == 6


def test_a_persona_replaces_the_system_prompt():
    base = Prompt(prompt_id="a", messages=(Message(role="system", content="old"), Message(role="user", content="x")))
    (item,) = items([base], personas=(Persona(name="p", system="new"),), n=1)
    assert [(m.role, m.content) for m in item.opening()] == [("system", "new"), ("user", "x")]


@given(st.integers(1, 30), st.integers(1, 7), st.integers(1, 20))
def test_batches_hold_every_item_once_and_never_too_many(n_prompts, n_samples, size):
    planned = items([prompt(str(i), "x" * (i * 7 % 11)) for i in range(n_prompts)], n=n_samples)
    cuts = batches(planned, size)
    assert sorted(i.key for b in cuts for i in b.items) == sorted(i.key for i in planned)
    assert all(1 <= len(b.items) <= size for b in cuts)
    assert cuts == batches(list(reversed(planned)), size)


def test_the_samples_of_one_prompt_stay_together():
    cuts = batches(items([prompt(str(i), "x" * i) for i in range(9)], n=4), 10)
    owners = [{i.prompt.prompt_id for i in b.items} for b in cuts]
    assert all(a.isdisjoint(b) for a, b in pairwise(owners))


def test_derived_seeds_are_fixed_for_ever():
    assert derive_seed(0, "a") == 4188972562099177556
