"""Shadow models: further federated runs of the same scenario, each on random halves of the sites' images."""

from collections.abc import Iterator

from torch import nn

from medfed.audit.contract import AuditContext, NotTestedError
from medfed.config import Scenario
from medfed.data.dataset import open_dataset
from medfed.data.location import resolve_path
from medfed.models.initial import initial_model
from medfed.params import load_weights, set_weights
from medfed.results import RunResult, Status
from medfed.rng import derive_seed

Rows = set[int]


def shadow_scenario(scenario: Scenario, number: int) -> Scenario:
    """The scenario of shadow 1, 2, ...: the same training with a seed of its own, on half of each site's images.

    It compares nothing, records nothing and charges nobody's ledger.
    """
    data_seed = scenario.seed if scenario.data.seed is None else scenario.data.seed
    changes = {
        "seed": derive_seed(scenario.seed, "shadow", number),
        "data.seed": data_seed,
        "adversary.sites": scenario.malicious_sites or 0,
        "name": f"{scenario.name[:50]}-shadow-{number}",
        "data.half": number,
        "baselines.local": False,
        "baselines.pooled": False,
        "record.rounds": (),
        "tracking.trackers": (),
        "privacy.ledger": "",
    }
    return scenario.replace(**changes)


def trained_on(scenario: Scenario) -> dict[str, Rows]:
    """The rows that each site trains on in a scenario whose sites are known."""
    data = scenario.data
    dataset = open_dataset(resolve_path(data.path), data, scenario.model_task, scenario.seed)
    return {site: {int(row) for row in dataset.rows[site]["train"]} for site in scenario.training_sites}


def shadow_models(context: AuditContext, number: int) -> Iterator[tuple[nn.Module, dict[str, Rows]]]:
    """So many trained shadows, and the rows that each site trained it on.

    Raises:
        NotTestedError: a shadow ended before its last round, or this audit cannot train.
    """
    for index in range(1, number + 1):
        context.progress(f"training shadow {index} of {number}", (index - 1) / number)
        scenario = shadow_scenario(context.scenario, index)
        run = context.run_scenario(scenario)
        if run.status is Status.STOPPED:
            raise NotTestedError(f"shadow {index} was stopped after {run.summary.rounds} rounds")
        yield _model(scenario, run), trained_on(scenario)


def _model(scenario: Scenario, run: RunResult) -> nn.Module:
    model = initial_model(scenario)
    set_weights(model, load_weights(run.folder / "model.safetensors"))
    return model.eval()
