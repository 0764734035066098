"""The engine benchmark runs real rounds of a null client. Oracles: the definition of FedAvg, the stated goals."""

import json

import pytest
import torch

from medfed.config import parse_scenario
from simulations.benchmarks import engine, engine_case, memory


def test_a_tiny_case_runs_and_reports_every_round() -> None:
    found = engine_case.measure(parameters=40, tensors=2, cohort=2, nodes=3, rounds=3)
    assert len(found["seconds"]) == 3  # type: ignore[arg-type]
    assert set(found) == {"seconds", "server_bytes", "worker_bytes"}
    json.dumps(found)


def test_rows_compare_medians_without_the_first_round(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {
        "simulations.benchmarks.engine_case": {"seconds": [9.0, 1.0, 2.0, 3.0], "server_bytes": 5e6, "worker_bytes": 0},
        "simulations.benchmarks.plain_loop": [9.0, 0.5, 0.5, 0.5],
    }
    monkeypatch.setattr(engine, "fresh", lambda module, *arguments: answers[module])
    monkeypatch.setattr(engine, "peer", lambda script, *arguments: ({"seconds": [9.0, 4.0], "server_bytes": 5e7}, ""))
    flower, plain, megabytes = engine.rows(engine.Case(40, 2, 3, goal=2.5, memory_goal=4.0), rounds=4)
    assert (flower.ours, flower.peer, flower.goal, flower.holds) == (2.0, 4.0, 2.5, True)
    assert (plain.ours, plain.peer, plain.ratio) == (2.0, 0.5, 4.0)
    assert (megabytes.ours, megabytes.peer, megabytes.unit, megabytes.holds) == (5.0, 50.0, "MB", False)


def test_without_the_peer_its_goal_neither_holds_nor_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = {"seconds": [9.0, 1.0], "server_bytes": 0, "worker_bytes": 0}
    monkeypatch.setattr(engine, "fresh", lambda module, *a: ours if module.endswith("case") else [1.0, 1.0])
    monkeypatch.setattr(engine, "peer", lambda script, *arguments: (None, "not built"))
    flower, _ = engine.rows(engine.Case(40, 2, 3), rounds=2)
    assert (flower.peer, flower.reason, flower.goal, flower.holds) == (None, "not built", None, None)


def test_the_slope_of_a_line_is_its_slope() -> None:
    assert memory.slope([3.0 + 0.25 * number for number in range(10)]) == pytest.approx(0.25)


def test_memory_is_measured_after_every_round() -> None:
    main, workers = memory.measure(rounds=2)
    assert len(main) == len(workers) == 2
    assert min(main) > 1.0


def test_the_memory_benchmark_trains_a_unet_at_six_sites() -> None:
    scenario = memory.tiny_unet(500)
    assert parse_scenario(scenario.to_toml()) == scenario
    assert scenario.data.partition.num_sites == memory.NUM_SITES
    module = scenario.model(scenario.model_task)
    assert module(torch.zeros(1, 3, 32, 32)).shape == (1, 2, 32, 32)
