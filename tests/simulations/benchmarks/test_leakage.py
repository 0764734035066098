"""The leakage benchmark. Oracles: a whole run, bit for bit; the gradient of all images at once; Student's t by hand."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from medfed.config import parse_scenario
from medfed.models.initial import initial_weights
from medfed.params import load_weights
from privacy.leakage.observed import observe
from privacy.leakage.recorded import read_recorded
from privacy.leakage.truth import decoys_of, truth_of
from simulations.benchmarks.leakage import case
from simulations.benchmarks.leakage.case import Limits
from simulations.benchmarks.leakage.figures import control_of, leak, said_of
from simulations.benchmarks.leakage.page import defences_table, grid_table
from simulations.benchmarks.leakage.plan import DEFENCES, NETS, ROUNDS, Cell, defended, full, small, training_run
from simulations.benchmarks.leakage.recording import record
from simulations.benchmarks.leakage.store import Store
from simulations.inputs import check_inputs
from simulations.run import simulate
from tests.privacy.leakage.recorded_run import SITES, recorded_run, scenario_of
from tests.simulations.conftest import TINY

CHANGES = {
    "baselines.local": False,
    "baselines.pooled": False,
    "training.rounds": 1,
    "training.local_steps": 2,
    "training.batch_size": 2,
    "record.rounds": (1,),
    "federation.compression": {"name": "int8"},
    "privacy.mechanism": {"name": "local", "clip": 1.0, "noise_multiplier": 0.1},
}


def result(*psnrs: tuple[int, float], rank: int = 1) -> dict[str, object]:
    images = [{"message": n, "psnr": p, "registered_psnr": p, "ssim": None, "rank": rank} for n, p in psnrs]
    number = len({n for n, _ in psnrs})
    return {"images": images, "messages": number, "whole": number, "people": 100, "labels": None, "cpu_seconds": 1.0}


def test_a_recorded_message_is_that_of_a_whole_run(tmp_path: Path) -> None:
    """Clipped, noised and compressed as there."""
    scenario, dataset = check_inputs(parse_scenario(TINY).replace(**CHANGES))
    run = simulate(scenario, out=tmp_path).folder
    sites = [dataset.site(name) for name in scenario.training_sites]
    record(tmp_path / "ours", scenario, initial_weights(scenario), sites, 1)
    for path in sorted((run / "recorded" / "1").iterdir()):
        theirs, ours = load_weights(path), load_weights(tmp_path / "ours" / "recorded" / "1" / path.name)
        assert theirs.keys() == ours.keys()
        assert all(torch.equal(value, ours[name]) for name, value in theirs.items())


def test_a_sum_of_single_steps_is_the_step_on_all_images(tmp_path: Path) -> None:
    scenario = scenario_of(**{"training.batch_size": 2})
    context, found = recorded_run(tmp_path, scenario, rounds=(1,)), []
    for site in SITES:
        recorded, data = read_recorded(tmp_path, scenario, 1, site), context.site(site)
        truth = truth_of(scenario, recorded, data)
        decoys = decoys_of(data, truth, (), 10, context.numpy_generator("decoys"))
        found.append(case._Message(observe(scenario, recorded, truth, data), truth, decoys))
    both = case.summed(found)
    model = scenario.model(scenario.model_task)
    model.load_state_dict(both.full.weights)
    functional.cross_entropy(model(both.truth.images), both.truth.labels).backward()
    assert (both.full.num_examples, both.full.batch_size, len(both.decoys.images)) == (4, 4, 20)
    assert len(set(both.truth.patients)) == 4
    for name, parameter in model.named_parameters():
        assert torch.allclose(both.full.change[name], -0.1 * parameter.grad, atol=1e-7)


@pytest.mark.parametrize(("attacker", "defence"), [("masked", "top_k 1 %"), ("one image", "secure aggregation")])
def test_a_cell_measures_every_image_of_its_messages(attacker: str, defence: str) -> None:
    found = case.run(Cell(defence=defence, attacker=attacker), Limits(messages=1, iterations=1), None)
    assert len(found["images"]) == (5 if defence == "secure aggregation" else 1)
    assert found["people"] == 100
    assert found["whole"] == (0 if attacker == "one image" else 1)
    assert all(1 <= image["rank"] <= 100 for image in found["images"])


def test_every_scenario_of_the_plan_is_sound() -> None:
    assert set(small(["skin"])) > {Cell("skin", norm=norm) for norm in ("group", "batch", "frozen")}
    for cell in [*small(list(NETS)), *(Cell(net, "batch", ROUNDS, 8, 20) for net in NETS)]:
        assert cell.scenario().training.batch_size == cell.batch
    assert len(list(full(["skin"]))) == len(set(full(["skin"]))) == 54
    for name, defence in DEFENCES.items():
        assert all(cell.scenario().training.local_steps == cell.steps for cell in defended("skin", name).values())
        trains = training_run("pneumonia", defence.cell.get("norm", "group"), name)
        assert trains.training.rounds >= ROUNDS
        assert not (defence.summed and trains.record.rounds)


def test_the_interval_is_over_messages_not_images() -> None:
    """Means 10 and 20: t with one degree of freedom is 12.7062, the standard error 5."""
    found = leak(result((0, 8.0), (0, 12.0), (3, 20.0)))
    assert (found.psnr.value, found.psnr.n) == (15.0, 2)
    assert found.psnr.high == pytest.approx(15.0 + 12.7062 * 5.0, abs=1e-3)
    assert (found.named.value, found.named.n, found.best) == (1.0, 3, 20.0)
    assert leak(result((0, 8.0), (0, 12.0))).psnr.low is None


def test_an_attack_is_strong_enough_by_its_decibels_or_by_naming_beyond_luck() -> None:
    """A guess names one of one in a line-up of 6 once in 6 times; in one of 100 once in 100; three of three in 216."""
    assert said_of(leak(result((0, 25.0), rank=7))) == "holds"
    assert said_of(leak(result((0, 12.0)))) == "holds for naming alone"
    assert said_of(leak(result((0, 12.0)) | {"people": 6})) == "attack too weak"
    assert said_of(leak(result((0, 12.0), (1, 12.0), (2, 12.0)) | {"people": 6})) == "holds for naming alone"
    assert said_of(leak(result((0, 12.0), rank=2))) == "attack too weak"
    assert said_of(None) == "not run"
    cell = Cell("skin", "frozen", ROUNDS, 8, 5, "batch", "int8", "masked")
    assert control_of(cell) == Cell("skin", "frozen", ROUNDS)


def test_tables_take_the_worst_attacker_and_say_where_the_attack_is_too_weak() -> None:
    plain, masked = defended("pneumonia", "top_k 10 %").values()
    leaks = {
        Cell(): leak(result((0, 12.0), rank=2)),
        plain: leak(result((0, 14.0), rank=2)),
        masked: leak(result((0, 11.0))),
    }
    assert grid_table(leaks, [Cell(), Cell(batch=4)]).splitlines()[2:] == [
        "| pneumonia | group | 0 | 1 | 1 | whole | 12.0 | 12.0 | 12.0 |  | 0.00 (0.00-0.97), n 1 |  | attack too weak |"
    ]
    (line,) = (line for line in defences_table(leaks, {}, ["pneumonia"]).splitlines() if "top_k 10" in line)
    figures = [cell.strip() for cell in line.split("|")[3:9]]
    assert figures == ["14.0", "0.00 (0.00-0.97)", "11.0", "1.00 (0.03-1.00)", "14.0", "1.00 (0.03-1.00)"]


def test_finished_cells_are_found_again_and_a_cut_line_is_not(tmp_path: Path) -> None:
    store, limits = Store(tmp_path), Limits(messages=1)
    store.add(Cell(), limits, result((0, 8.0)))
    with (tmp_path / "cells.jsonl").open("a") as file:
        file.write('{"key": {"cell"')
    store = Store(tmp_path)
    assert store.get(Cell(), limits) == result((0, 8.0))
    assert store.get(Cell(), replace(limits, seed=2)) is None
    store.add(Cell(batch=4), limits, result((0, 9.0)))
    assert Store(tmp_path).get(Cell(batch=4), limits) == result((0, 9.0))
