"""A site whose training diverges under noise of its own. Oracles: the law that nothing told depends on it, by hand."""

from pathlib import Path
from typing import Any

import pytest
import torch

from medfed.config import parse_scenario
from medfed.params import load_weights
from medfed.results import Status
from privacy.clipping import clip
from privacy.ledger.store import Ledger
from privacy.mechanisms.distributed import Distributed
from privacy.mechanisms.local import Local
from privacy.noise import seeded_normal
from simulations.run import simulate
from tests.simulations.conftest import FEW

QUICK = {"baselines.local": False, "baselines.pooled": False, "training.rounds": 1, "training.local_steps": 1}
LOCAL = {"privacy.mechanism": {"name": "local", "clip": 0.5, "noise_multiplier": 0.5}}
SHARED = {
    "privacy.mechanism": {"name": "distributed", "clip": 0.5, "noise_multiplier": 0.5},
    "federation.secure_aggregation": {"name": "secagg_plus"},
    "federation.strategy": {"name": "fedavg", "weighting": "uniform"},
}
SITES = ("site-01", "site-02", "site-03")


@pytest.mark.parametrize(("mechanism", "fault"), [(LOCAL, "divergence"), (LOCAL, "nan"), (SHARED, "divergence")])
def test_what_leaves_is_noise_and_nobody_sees_that_training_diverged(
    tmp_path: Path, mechanism: dict[str, Any], fault: str
) -> None:
    """Naive: the site fails, so that who watches learns of its data without any noise; shared noise is too little."""
    faulty = {"name": "tests.simulations.faulty:Faulty", "fault": fault, "sites": ("site-02",)}
    run = simulate(parse_scenario(FEW).replace(**QUICK, **mechanism, **{"training.trainer": faulty}), out=tmp_path)
    (line,) = run.rounds()
    assert run.status is Status.COMPLETED
    assert not line.failed
    assert sorted(line.sites) == list(SITES)
    assert {(site.num_steps, site.loss) for site in line.sites.values()} <= {(1, None), (0, None)}
    assert all(bool(value.isfinite().all()) for value in load_weights(run.folder / "model.safetensors").values())
    assert [len(Ledger(run.folder / "sites" / site, site).entries()) for site in SITES] == [1, 1, 1]


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), -float("inf")])
def test_a_change_that_is_not_finite_counts_as_none(broken: float) -> None:
    change = {"a": torch.tensor([1.0, broken]), "b": torch.ones(2)}
    assert all(value.tolist() == [0.0, 0.0] for value in clip(change, 1.0).values())
    none = {name: torch.zeros(2) for name in change}
    for mechanism in (Local(clip=1.0, noise_multiplier=1.0), Distributed(clip=1.0, noise_multiplier=1.0)):
        rest = (3,) if isinstance(mechanism, Distributed) else ()
        send = mechanism.share if isinstance(mechanism, Distributed) else mechanism.protect
        sent, alone = (send(one, {"a", "b"}, *rest, seeded_normal(1, "n")) for one in (change, none))
        assert all(torch.equal(sent[name], alone[name]) for name in change)
