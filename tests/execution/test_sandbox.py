"""Code that a model wrote can compute and nothing else, and whatever it tries is contained and reported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from moorings.errors import BackendError
from moorings.execution import sandbox
from moorings.execution.sandbox import Limits, Outcome, run_python

OS = "os = __import__('random')._os\n"
"""Modules that the allowed ones hold can be reached; what they do must be refused."""
QUICK = Limits(cpu_s=1, wall_s=10.0)


def test_plain_code_gives_the_values_of_its_calls():
    found = run_python("import math\ndef f(x):\n    return math.floor(x) + 1", ["f(1.5)", "[f(0)]", "'a' * 2"])
    assert found == Outcome("ok", ("2", "[1]", "'aa'"))


def test_classes_that_look_at_their_module_work():
    source = (
        "from collections import namedtuple\nfrom dataclasses import dataclass\nP = namedtuple('P', 'a b')\n"
        "@dataclass\nclass D:\n    a: int\n"
    )
    assert run_python(source, ["P(1, 2)", "D(3)"]).values == ("P(a=1, b=2)", "D(a=3)")


@pytest.mark.parametrize(
    ("source", "status"),
    [
        ("while True: pass", "time"),
        ("import random\ns = random._os.sys.modules['_signal']\ns.signal(s.SIGXCPU, s.SIG_IGN)\nwhile 1: pass", "time"),
        ("x = [0] * 10**10", "memory"),
        ("x = []\nwhile True: x.append('a' * 10**6)", "memory"),
        (OS + "while True: os.fork()", "refused"),
        ("import subprocess", "refused"),
        (OS + "os.posix_spawn('/bin/true', ['true'], {})", "refused"),
        ("open('x', 'w').write('1')", "refused"),
        ("open('/etc/passwd').read()", "refused"),
        (OS + "os.listdir('/')", "refused"),
        (OS + "os.open('/etc/passwd', 0)", "refused"),
        (OS + "os.kill(os.getppid(), 9)", "refused"),
        ("import socket", "refused"),
        ("import os", "refused"),
        ("import ctypes", "refused"),
        ("(lambda: 0).__code__.replace(co_code=b'd\\xff' * 20)", "refused"),
        (OS + "while True: os.write(1, b'a' * 100_000)", "output"),
        (OS + "os._exit(0)", "exited"),
        ("raise SystemExit(0)", "exited"),
        (OS + "os.write(1, b'{}')\nos._exit(0)", "exited"),
        (OS + "os.write(1, b'[' * 50_000)\nos._exit(0)", "exited"),
        (OS + 'os.write(1, b\'{"status": "ok", "values": [1]}\')\nos._exit(0)', "exited"),
        (OS + 'os.write(1, b\'{"status": "ok", "values": []}\')\nos._exit(0)', "exited"),
        ("def f(", "error"),
        ("1 / 0", "error"),
        ("x = '\ud800'", "error"),
        ("x = '\0'", "error"),
        ("class E(Exception):\n    def __str__(self): raise E()\nraise E()", "error"),
        ("x = []\nfor i in range(10**5): x = [x]\nrepr(x)", "error"),
        ("__import__('random')._os.sys.modules['_thread'].start_new_thread(print, ())", "error"),
    ],
)
def test_hostile_code_is_contained_and_reported(source, status, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = run_python(source, ["1"], QUICK)
    assert found.status == status, found
    assert found.values == ()
    assert list(tmp_path.iterdir()) == []


def test_printing_much_is_harmless():
    assert run_python("for i in range(10**5): print('a' * 100)", ["1"], QUICK).status == "ok"


def test_waiting_ends_at_the_deadline():
    source = "import random\nlock = random._os.sys.modules['_thread'].allocate_lock()\nlock.acquire()\nlock.acquire()"
    assert run_python(source, [], Limits(cpu_s=1, wall_s=1.5)).status == "time"


def test_a_process_that_closes_its_output_and_goes_on_is_killed():
    assert run_python(OS + "os.close(1)\nwhile True: pass", [], Limits(cpu_s=30, wall_s=1.5)).status == "time"


def test_the_refusal_is_reported_even_if_the_code_swallows_it():
    found = run_python("try:\n    open('/etc/passwd')\nexcept Exception:\n    pass\nx = 1", ["x"])
    assert found == Outcome("refused", (), "open is not allowed")


def test_the_hook_cannot_be_switched_off_through_its_frame():
    source = """
class All:
    def __contains__(self, x): return True
try:
    open('x')
except PermissionError as error:
    at = error.__traceback__
    while at:
        frame, at = at.tb_frame, at.tb_next
    for space in (frame.f_globals, frame.f_builtins):
        space['PermissionError'] = space['frozenset'] = All
    frame.f_locals['refused'].clear()
try:
    seen = open('/etc/hostname').read()
except BaseException as error:
    seen = 'nothing'
"""
    found = run_python(source, ["seen"])
    assert found.status == "refused"
    assert found.values == ()


def test_the_code_is_nobody_and_sees_no_environment(monkeypatch):
    monkeypatch.setenv("SECRET", "1")
    source = OS + "seen = (dict(os.environ).get('SECRET'), os.geteuid() == 0)"
    assert run_python(source, ["seen"]).values == ("(None, False)",)


@pytest.mark.skipif(not sandbox._without_network(), reason="needs a kernel that gives network namespaces away")
def test_there_is_no_network_even_without_the_hook():
    seen = subprocess.run(
        [*sandbox._without_network(), sys.executable, "-c", "import socket; print(socket.if_nameindex())"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "eth" not in seen.stdout
    assert "lo" in seen.stdout


def test_values_are_cut():
    found = run_python("def f(): return 'a' * 10**6", ["f()"])
    assert len(found.values[0]) == 2_000


def test_a_sandbox_that_cannot_start_is_no_answer(monkeypatch):
    monkeypatch.setattr(sandbox, "_command", lambda: (sys.executable, "-c", "raise SystemExit(3)"))
    with pytest.raises(BackendError, match="exit code 3"):
        run_python("1", [])


def test_without_the_tool_there_is_no_prefix(monkeypatch):
    monkeypatch.setenv("PATH", os.devnull)
    sandbox._without_network.cache_clear()
    try:
        assert sandbox._without_network() == ()
    finally:
        sandbox._without_network.cache_clear()


def test_nothing_is_left_behind(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    run_python("x = 1", ["x"])
    assert list(Path(tmp_path).iterdir()) == []
