"""A small scenario as a file, and two finished runs to compare."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """``scenarios/trial.toml`` with the text of ``trial.py``."""
    from tests.medfed.trial import TEXT

    path = tmp_path / "scenarios" / "trial.toml"
    path.parent.mkdir()
    path.write_text(TEXT)
    return path


@pytest.fixture(scope="module")
def _run_to_compare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from medfed.metrics.intervals import mean_over_sites
    from medfed.results import RunResult, write_json
    from tests.medfed.audit.small_run import write_small_run

    folder = write_small_run(tmp_path_factory.mktemp("compare"))
    summary = RunResult.load(folder).summary
    means = {"auroc": mean_over_sites([site.federated["auroc"] for site in summary.sites.values()])}
    write_json(
        folder / "summary.json",
        summary.model_copy(update={"mean": summary.mean.model_copy(update={"federated": means})}),
    )
    return folder


@pytest.fixture
def pair(_run_to_compare: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Two runs of one name; the second model looks at brightness, as the first does not."""
    from medfed.params import load_weights, save_weights

    first, second = (Path(shutil.copytree(_run_to_compare, tmp_path / name / "small")) for name in ("one", "two"))
    weights = load_weights(second / "model.safetensors")
    save_weights(second / "model.safetensors", {name: 1.5 * value + 0.01 for name, value in weights.items()})
    return first, second
