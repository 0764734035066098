"""A bad model gets a bad report, in the right section and in no other. Oracle: what was planted.

The models are trained in seconds, without a federation: sections that need recorded updates or shadows have planted
faults in their own tests, and ``python -m simulations.benchmarks.planted`` does all of it with real federations.
"""

import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import ClassVar

import jsonschema
import numpy as np
import pytest
import torch
from torch import nn

from medfed.audit.run import audit
from medfed.config import Scenario, load_scenario
from medfed.data.dataset import pool
from medfed.models.initial import initial_model
from medfed.models.layers import Center
from medfed.registry import plugin
from medfed.report.schema import audit_schema
from medfed.types import Task
from simulations.benchmarks.planted.cases import CASES, SITES, Planted, scenario_text, write_images
from tests.medfed.audit.small_run import dataset_of, write_run

SECTIONS = ("identity", "performance", "adversarial", "shortcuts")
CHEAP = ("adversarial.curve=[8.0]", "adversarial.images=30", "adversarial.steps=20", "adversarial.queries=5")
ATTACKED = ("honest", "fragile")
"""The attack takes most of the time; the benchmark attacks all of them."""


@plugin
class Layers:
    """Two layers on the pixels, which are trained and attacked in no time."""

    kinds: ClassVar[tuple[str, ...]] = ("classification",)

    def __call__(self, task: Task) -> nn.Module:
        pixels = task.channels * task.image_size**2
        return nn.Sequential(Center(), nn.Flatten(), nn.Linear(pixels, 32), nn.ReLU(), nn.Linear(32, task.num_outputs))


def _trained(case: Planted, scenario: Scenario) -> nn.Module:
    """On the images of all sites, half as long as a federation: an epoch has as many steps as four of a site's."""
    dataset, model = dataset_of(scenario), initial_model(scenario)
    images = pool([dataset.site(site) for site in SITES]).train
    pixels, labels = images.batch(np.arange(len(images)))
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    generator = torch.Generator().manual_seed(0)
    for _ in range(case.epochs // 2):
        for batch in torch.randperm(len(labels), generator=generator).split(16):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(pixels[batch]), labels[batch]).backward()
            optimizer.step()
    return model.eval()


def _run(case: Planted, folder: Path) -> Path:
    """The folder of a run that ended with a model of the case."""
    write_images(case, folder / "images")
    (folder / "planted.toml").write_text(scenario_text(case))
    changes = {"federation.sites": list(SITES), "model": {"name": f"{__name__}:Layers"}}
    scenario = load_scenario(folder / "planted.toml").replace(**changes)
    return write_run(folder, scenario, _trained(case, scenario))


@pytest.fixture(scope="module")
def run_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Case by name -> the folder of its run, which is made once."""
    cases = {case.name: case for case in CASES}
    return cache(lambda name: _run(cases[name], tmp_path_factory.mktemp(name)))


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_planted_fault_fails_where_it_belongs(run_of: Callable[[str], Path], case: Planted):
    attacked = case.name in ATTACKED
    sections = SECTIONS if attacked else tuple(name for name in SECTIONS if name != "adversarial")
    report = audit(run_of(case.name), sections=sections, overrides=CHEAP if attacked else ()).report
    verdicts = {section.name: section.verdict for section in report.sections}
    failed = {name for name, verdict in verdicts.items() if verdict == "FAIL"}
    assert set(case.must) <= failed <= {*case.must, *case.may}, verdicts
    assert set(verdicts.values()) <= {"PASS", "INCONCLUSIVE", "FAIL"}, verdicts
    wrong = {finding.what for section in report.sections for finding in section.findings if finding.verdict == "FAIL"}
    assert all(any(part in what for what in wrong) for part in case.words), wrong


def test_a_second_audit_gives_the_same_bytes_and_all_that_was_planned(run_of: Callable[[str], Path]):
    """Of the structure, what must be there; of the figures, that they come again."""
    folder = run_of("fragile")
    first = audit(folder, sections=SECTIONS, overrides=CHEAP)
    written = (first.folder / "report.json").read_bytes()
    shutil.rmtree(first.folder)
    assert (audit(folder, sections=SECTIONS, overrides=CHEAP).folder / "report.json").read_bytes() == written
    jsonschema.Draft202012Validator(audit_schema()).validate(json.loads(written))
    attacked = "Share of images read rightly under attack, 8 grey levels, of those read rightly without an attack"
    assert [(section.name, [finding.what for finding in section.findings]) for section in first.report.sections] == [
        ("identity", ["Numbers in the model that are finite"]),
        (
            "performance",
            [
                *(f"AUROC, {site}" for site in SITES),
                "AUROC on images of the training minus on test images, mean over sites",
                "Sites whose own training labels the model contradicts",
            ],
        ),
        ("adversarial", [attacked, f"{attacked}: dark", f"{attacked}: bright"]),
        (
            "shortcuts",
            ["Share of right answers that corners of another class turn, minus what corners of its own class turn"],
        ),
    ]
