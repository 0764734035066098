"""A model that someone else trained: weights, images and a scenario that says what the model is, without a run."""

from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from torch import nn

from medfed.audit.contract import AuditContext, Progress
from medfed.audit.digests import rows_digest, scenario_digest, weights_digest
from medfed.audit.results import RunIdentity
from medfed.config import Scenario, load_scenario
from medfed.data.dataset import open_dataset, pool
from medfed.data.location import resolve_path
from medfed.errors import DataError, ScenarioError
from medfed.models.initial import initial_model
from medfed.params import load_weights, set_weights
from medfed.report.load import RunData
from medfed.results import Status, Summary
from medfed.types import Weights

_SUFFIX = ".safetensors"


@dataclass(frozen=True)
class OutsideModel:
    """What there is of a model that medfed did not train.

    Attributes:
        weights: a safetensors file with the entries of the architecture's state dict.
        data: a manifest; images without a split are all for the test.
        scenario: a TOML file whose task, model, image size, channels and intensity are those of the model; the
            training that it asks for never runs. None: ``scenario.toml`` beside the weights.
        out: where the folder ``audit`` is made; None: ``NAME-audit`` in the current folder, NAME being the file's.
    """

    weights: Path
    data: Path
    scenario: Path | None = None
    out: Path | None = None

    @property
    def folder(self) -> Path:
        """Where the folder ``audit`` is made."""
        return self.out or Path(f"{self.weights.stem}-audit")


def open_model(outside: OutsideModel, seed: int | None, progress: Progress) -> tuple[AuditContext, RunIdentity]:
    """Read weights, scenario and images.

    Raises:
        ScenarioError, DataError: a file is missing or is not as it must be, or the weights are another architecture's.
    """
    scenario = _scenario(outside)
    weights = _weights(outside.weights)
    model = _model(outside.weights, scenario, weights)
    path = resolve_path(scenario.data.path)
    dataset = open_dataset(path, scenario.data, scenario.model_task, scenario.seed, trains=False)
    sites = tuple(name for name in dataset.sites if len(dataset.site(name).test))
    if not sites:
        raise DataError(f'{path}: no image is for the test; give some the split "test", or leave the column out')
    scenario = scenario.replace(**{"federation.sites": list(sites)})
    summary = Summary(
        name=scenario.name,
        status=Status.COMPLETED,
        task=scenario.task.kind,
        headline_metric=scenario.headline,
        rounds=0,
        seconds=0.0,
        bytes_up=0,
        bytes_down=0,
        sites={},
    )
    context = AuditContext(
        scenario=scenario,
        run=RunData(outside.folder, summary),
        dataset=dataset,
        module=model,
        seed=scenario.seed if seed is None else seed,
        trained_here=False,
        progress=progress,
    )
    identity = RunIdentity(
        name=scenario.name,
        task=scenario.task.kind,
        classes=scenario.task.classes,
        sites=sites,
        model_digest=weights_digest(weights),
        data_digest=rows_digest(dataset, pool([dataset.site(site) for site in sites]).test.rows),
        scenario_digest=scenario_digest(scenario),
        trained_here=False,
    )
    return context, identity


def _scenario(outside: OutsideModel) -> Scenario:
    path = outside.scenario or outside.weights.parent / "scenario.toml"
    if not path.is_file():
        raise ScenarioError(
            f"{path}: no such file; an audit of a model alone needs a scenario that says its task, classes, image size "
            "and architecture: --scenario FILE"
        )
    found = load_scenario(path)
    changes = {
        "data.path": str(outside.data.resolve()),
        "data.partition": "natural",
        "data.sites": [],
        "data.min_images_per_site": 1,
        "federation.sites": [],
        "federation.leave_out": [],
    }
    return found.replace(**changes)


def _weights(path: Path) -> Weights:
    if path.suffix != _SUFFIX:
        raise ScenarioError(
            f"{path}: expected a {_SUFFIX} file; from PyTorch: "
            f'safetensors.torch.save_file(model.state_dict(), "model{_SUFFIX}") (a pickle could run code here)'
        )
    try:
        return load_weights(path)
    except (OSError, SafetensorError) as error:
        raise ScenarioError(f"{path}: cannot be read as safetensors: {error}") from error


def _model(path: Path, scenario: Scenario, weights: Weights) -> nn.Module:
    model = initial_model(scenario)
    try:
        set_weights(model, weights)
    except (RuntimeError, KeyError) as error:
        cause = " ".join(str(error).split())[:300]
        raise ScenarioError(
            f"{path}: the weights do not fit the model of the scenario: {cause}; name the architecture that they were "
            "trained with, your own as package.module:attr"
        ) from error
    return model.eval()
