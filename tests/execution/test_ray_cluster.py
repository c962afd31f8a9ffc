"""The same run on a real two-node Ray cluster, one node killed midway."""

from __future__ import annotations

import pytest

from moorings import runs
from moorings.sampling.sample import sample
from moorings.subjects.spec import SubjectSpec

ray = pytest.importorskip("ray")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def test_a_node_killed_midway_changes_nothing(tmp_path, prompt_set):
    from ray.cluster_utils import Cluster

    spec = SubjectSpec(uri="scripted:lorem", batch_size=2, threads=1)
    prompts = prompt_set(60)
    sample(spec, prompts, tmp_path / "local", n_samples=2)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    node = cluster.add_node(num_cpus=1)
    acks = []

    def kill_a_node(point: str) -> None:
        if point == "after_ack":
            acks.append(point)
            if len(acks) == 10:
                cluster.remove_node(node, allow_graceful=False)

    try:
        result = sample(
            spec, prompts, tmp_path / "ray", n_samples=2, executor=f"ray:{cluster.address}", on_point=kill_a_node
        )
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert len(acks) == 60
    assert result.n_samples == result.n_drawn == 120
    for name in ("local", "ray"):
        runs.export(tmp_path / name, tmp_path / f"{name}.jsonl")
    assert (tmp_path / "local.jsonl").read_bytes() == (tmp_path / "ray.jsonl").read_bytes()
    assert runs.verify(tmp_path / "ray").ok
