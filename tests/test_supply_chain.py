"""R15: what is installed is what was tested, and nothing runs at interpreter start that nobody chose."""

from __future__ import annotations

import re
import site
import tomllib
from importlib.metadata import distributions
from pathlib import Path

ROOT = Path(__file__).parents[1]
PINS = {
    re.sub(r"[-_.]+", "-", line.split("==")[0]).lower(): line.split("==")[1].strip()
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if "==" in line
}
BOOTSTRAP = {"moorings", "pip", "setuptools", "wheel", "uv"}
EXPECTED_PTH = {"_moorings.pth", "distutils-precedence.pth", "_editable_impl_moorings.pth"}


def installed() -> dict[str, str]:
    return {
        re.sub(r"[-_.]+", "-", d.metadata["Name"]).lower(): d.version.split("+")[0]
        for d in distributions(path=site.getsitepackages())
    }


def test_every_installed_package_is_pinned_at_its_version():
    differing = {n: (v, PINS.get(n)) for n, v in installed().items() if n not in BOOTSTRAP and PINS.get(n) != v}
    assert differing == {}


def test_every_dependency_is_pinned():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {re.split(r"[\[<>=!~; ]", r)[0].lower() for r in project["dependencies"]}
    assert wanted <= set(PINS)


def test_no_package_brought_a_startup_hook():
    found = {p.name for folder in site.getsitepackages() for p in Path(folder).glob("*.pth")}
    assert found <= EXPECTED_PTH
