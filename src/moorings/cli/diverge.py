"""`moorings diverge`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from moorings.cli.models import AsJson
from moorings.cli.terminal import print_json, print_table
from moorings.errors import ConfigError

if TYPE_CHECKING:
    from moorings.records import Persona, Prompt

__all__ = ["EXAMPLES", "diverge"]

EXAMPLES = """
Look for prompts on which an adapter makes a difference, then compare both models on them:

    moorings diverge hf:./base hf:./base+./adapter --prompts pool.jsonl --out divergent.jsonl

    moorings diff hf:./base hf:./base+./adapter --prompts divergent.jsonl --out diff-divergent
"""
_MOST_SHOWN = 10


def diverge(
    precursor: Annotated[str, typer.Argument(help="A `bundled:` or `hf:` subject.")],
    candidate: Annotated[str, typer.Argument(help="Likewise, with the same tokenizer.")],
    pool: Annotated[Path, typer.Option("--prompts", "-p", help="Prompts to score and to search on from.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Prompt file to write (.jsonl).")] = Path("divergent.jsonl"),
    n: Annotated[int, typer.Option("--number", "-n", min=1, help="Most prompts to write.")] = 50,
    n_rounds: Annotated[int, typer.Option("--rounds", min=0, help="Rounds of word search; 0 leaves it out.")] = 4,
    n_soft: Annotated[
        int, typer.Option("--soft", min=0, help="Prompts to extend by soft-prompt search; 0 leaves it out.")
    ] = 2,
    n_samples: Annotated[int, typer.Option("--samples", min=1, help="Answers a subject and prompt, to score it.")] = 2,
    max_new_tokens: Annotated[int, typer.Option("--max-tokens", min=1, help="Most tokens of such an answer.")] = 32,
    systems: Annotated[
        tuple[str, str] | None,
        typer.Option("--systems", metavar="PRECURSOR CANDIDATE", help="A system prompt for each; '' for none."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Use only the first prompts.")] = None,
    seed: Annotated[int, typer.Option(help="Of the search and of the answers.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Find the prompts on which two local models differ most, and write them as a prompt file.

    They show where to look. They are chosen because the models differ on them, so an effect measured on them says nothing
    about how often users would meet it.
    """
    from moorings.sampling.divergent_prompts import find_divergent_prompts, write_prompts
    from moorings.sampling.progress import open_meter
    from moorings.sampling.prompts import load_prompts

    if out.suffix != ".jsonl":
        raise ConfigError(f"--out {out} is no prompt file; name it NAME.jsonl")
    prompts = load_prompts(pool, limit=limit)
    with open_meter(True) as meter:
        found = find_divergent_prompts(
            precursor,
            candidate,
            prompts,
            n=n,
            n_rounds=n_rounds,
            n_soft=n_soft,
            n_samples=n_samples,
            max_new_tokens=max_new_tokens,
            seed=seed,
            personas=_personas(systems),
            progress=meter,
        )
    path = write_prompts(out, found) if found else None
    if as_json:
        print_json({"path": path, "prompts": [prompt.model_dump(mode="json") for prompt in found]})
    elif path is None:
        print("the two subjects differ on no prompt that was tried; nothing was written")
    else:
        _tell(found, path)


def _personas(systems: tuple[str, str] | None) -> tuple[Persona | None, Persona | None]:
    from moorings.records import Persona

    names = zip(("precursor", "candidate"), systems or ("", ""), strict=True)
    first, second = (Persona(name=name, system=system) if system else None for name, system in names)
    return first, second


def _tell(found: list[Prompt], path: Path) -> None:
    rows = [
        [f"{prompt.metadata['divergence']:.4f}", prompt.metadata["found_by"], prompt.messages[-1].content[:200]]
        for prompt in found[:_MOST_SHOWN]
    ]
    print_table("", ["nats a token", "found by", "prompt"], rows)
    print(
        f"{len(found)} prompts written to {path}; sample both subjects on them and compare: moorings diff ... --prompts {path}"
    )
