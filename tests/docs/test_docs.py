"""Docs cannot drift: every command, option, setting and error named where a reader looks for it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

ROOT = Path(__file__).parents[2]
PAGES = {p.name: p.read_text(encoding="utf-8") for p in (ROOT / "docs").glob("*.md")}
README = (ROOT / "README.md").read_text(encoding="utf-8")


def commands(command: Any, path: str = "moorings"):
    if hasattr(command, "commands"):
        for name, child in command.commands.items():
            yield from commands(child, f"{path} {name}")
    else:
        yield path, command


def program() -> Any:
    from moorings.cli.main import app

    return typer.main.get_command(app)


def test_every_command_and_option_says_what_it_does():
    for path, command in commands(program()):
        assert command.help, path
        for parameter in command.params:
            if parameter.param_type_name == "option":
                assert parameter.help, f"{path} {parameter.opts}"


def test_the_reference_page_holds_every_command_and_option(tmp_path):
    subprocess.run([sys.executable, str(ROOT / "docs" / "make_reference.py")], check=True)
    page = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    for path, command in commands(program()):
        assert f"`{path}`" in page
        for parameter in command.params:
            if parameter.param_type_name == "option":
                assert parameter.opts[0] in page, f"{path} {parameter.opts}"


def test_commands_in_the_docs_exist_with_their_options():
    known = {path: {o for p in c.params for o in (*p.opts, *p.secondary_opts)} for path, c in commands(program())}
    known["moorings probe"] = known["moorings probe ask"]
    found = 0
    for text in (*PAGES.values(), README):
        for line in re.findall(r"^\$ (?:\.venv/bin/)?(moorings .*)$", text, flags=re.MULTILINE):
            path = max((p for p in known if line.startswith(p)), key=len, default=None)
            assert path, f"no such command: {line}"
            bare = re.sub(r'"(?:[^"\\]|\\.)*"', "X", line)
            for option in re.findall(r"(?<=\s)(--?[a-z][a-z-]*)", bare):
                assert option in known[path], f"{option} in: {line}"
            found += 1
    assert found >= 8


def test_python_blocks_compile():
    blocks = [
        b for text in (*PAGES.values(), README) for b in re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    ]
    assert blocks
    for block in blocks:
        compile(block, "docs", "exec")


def test_public_functions_have_the_names_of_the_commands():
    import moorings

    for path, _ in commands(program()):
        home = moorings
        # moorings.improve is the package of the methods; the function is improve_once.
        for name in path.replace(" improve", " improve_once").split()[1:]:
            home = getattr(home, name)
        assert callable(home), path
        assert home.__doc__, path


def test_all_names_promised_at_the_top_exist():
    import moorings

    for name in moorings.__all__:
        assert getattr(moorings, name) is not None


@pytest.mark.skipif(not shutil.which("git"), reason="needs git")
def test_no_file_names_a_path_of_a_machine():
    files = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    for name in files:
        path = ROOT / name
        if (
            path.suffix in {".py", ".md", ".toml", ".yaml", ".txt", ".json", ""}
            and path.is_file()
            and path.name != "test_docs.py"
        ):
            text = path.read_text(encoding="utf-8", errors="replace")
            assert not re.search(r"/(?:work|root|home/[a-z]+|opt/(?:pypi|wheels))/", text), name
