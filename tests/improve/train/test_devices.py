"""The same settings on several devices; here two processes of a CPU."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_training import make_job, make_rows, run

CODE = """
import json, sys
from pathlib import Path
from tiny_training import make_job, make_rows, run
for trainer in ("sft", "dpo"):
    job = make_job(Path(sys.argv[1]), Path(sys.argv[2]) / trainer, make_rows(9))
    print(json.dumps([trainer, run(trainer, job, dropout=0.0).metrics]), flush=True)
"""


@pytest.mark.slow
def test_two_processes_do_what_one_does(model: Path, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "ACCELERATE_USE_CPU": "true"}
    command = [sys.executable, "-c", CODE, str(model), str(tmp_path)]
    children = []
    for rank in ("0", "1"):
        own = {"RANK": rank, "LOCAL_RANK": rank, "PYTHONPATH": str(Path(__file__).parent)}
        environment = {**os.environ, **shared, **own}
        children.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
    outputs = [child.communicate() for child in children]
    assert [child.returncode for child in children] == [0, 0], outputs
    found = [dict(json.loads(line) for line in out.splitlines()) for out, _ in outputs]
    assert found[0] == found[1]
    for trainer in ("sft", "dpo"):
        alone = run(trainer, make_job(model, tmp_path / f"{trainer}-alone", make_rows(9)), dropout=0.0)
        assert found[0][trainer] == pytest.approx(alone.metrics, rel=1e-3, abs=1e-5)
        assert (tmp_path / trainer / "out" / "adapter_model.safetensors").is_file()
