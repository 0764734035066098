"""The bundled scenarios over several seeds: is federating worth it, and how long does it take?

Hyper-parameters were chosen on validation data (``docs/results.md`` says how); the figures here are on test images.

    python -m simulations.benchmarks.bundled [--seeds 1 2 3] [--out runs/bundled] [--markdown docs/results.md]

With ``--markdown`` the part of that file below its marker line is written anew.
"""

import argparse
import statistics
from collections.abc import Sequence
from pathlib import Path

from medfed.config import Scenario, load_scenario
from medfed.results import Estimate, RunResult, Status, Summary
from simulations.benchmarks.report import Row, print_rows
from simulations.inputs import check_inputs
from simulations.run import simulate

SCENARIOS = Path(__file__).parents[1] / "scenarios"
NAMES = ("nuclei-unet", "pneumonia-cnn")
MARKER = "<!-- below this line: written by simulations.benchmarks.bundled -->"

AUROC_GOAL = 0.944
"""PneumoniaMNIST 28 px, centralized ResNet-18: J. Yang et al., MedMNIST v2, Scientific Data 10:41 (2023), table 3."""

Runs = dict[str, list[RunResult]]


def run_all(seeds: Sequence[int], out: Path) -> Runs:
    """Every scenario with every seed; a finished run of the same scenario in ``out`` is used again."""
    found: Runs = {name: [] for name in NAMES}
    for name in NAMES:
        for seed in seeds:
            scenario = load_scenario(SCENARIOS / f"{name}.toml").replace(seed=seed, name=f"{name}-seed{seed}")
            done = finished(scenario, out / scenario.name)
            found[name].append(done or simulate(scenario, out=out, overwrite=True))
    return found


def finished(scenario: Scenario, folder: Path) -> RunResult | None:
    """The run in ``folder``, where it is complete and of exactly this scenario."""
    filled, _ = check_inputs(scenario)
    written = folder / "scenario.toml"
    if not (folder / "report.html").exists() or written.read_text(encoding="utf-8") != filled.to_toml():
        return None
    done = RunResult.load(folder)
    return done if done.status is Status.COMPLETED else None


def rows(runs: Runs) -> list[Row]:
    """The figures that the demo is judged by, as means over seeds."""
    nuclei, pneumonia = ([run.summary for run in runs[name]] for name in NAMES)
    published = "published: 0.944"
    seconds = statistics.mean(a.seconds + b.seconds for a, b in zip(nuclei, pneumonia, strict=True))
    return [
        _row(
            "pneumonia, federated AUROC, mean of seeds", _mean(pneumonia, "federated", "auroc"), AUROC_GOAL, published
        ),
        _row("nuclei, gap closed (Dice), mean of seeds", statistics.mean(_gap(s, "dice") for s in nuclei), 0.8),
        _row("nuclei, gap closed (Dice), worst seed", min(_gap(s, "dice") for s in nuclei), 0.8),
        _row("nuclei, pooled Dice, mean of seeds", _mean(nuclei, "pooled", "dice"), 0.85),
        Row("both scenarios with baselines, mean of seeds", seconds, None, "s", "lower", 200.0, "no peer does this"),
    ]


def _row(case: str, value: float, goal: float, reason: str = "no peer does this") -> Row:
    return Row(case, value, None, "1", "higher", goal, reason)


def _mean(summaries: Sequence[Summary], model: str, metric: str) -> float:
    return statistics.mean(_estimate(s, model, metric).value or 0.0 for s in summaries)


def _estimate(summary: Summary, model: str, metric: str) -> Estimate:
    found: Estimate = getattr(summary.mean, model)[metric]
    return found


def _gap(summary: Summary, metric: str) -> float:
    closed = summary.gap_closed[metric]
    return float("-inf") if closed is None else closed


def markdown(runs: Runs) -> str:
    """One table per scenario, a line per seed."""
    parts = []
    for name, results in runs.items():
        metric = results[0].summary.headline_metric
        parts.append(f"### {name}: mean over sites of test {metric}, 95 % interval\n")
        parts.append(
            "| seed | federated | local only (own images) | pooled | best single site, everywhere | gap closed | s |"
        )
        parts.append("| --- | --- | --- | --- | --- | --- | --- |")
        parts += [_line(result, metric) for result in results]
        parts.append("")
    return "\n".join(parts)


def _line(result: RunResult, metric: str) -> str:
    s = result.summary
    shown = [_text(_estimate(s, model, metric)) for model in ("federated", "local", "pooled")]
    site = s.best_local_site[metric]
    values = [metrics[metric].value for metrics in s.cross_site[site].values()]
    best = statistics.mean(value for value in values if value is not None)
    closed = s.gap_closed[metric]
    gap = "no gap" if closed is None else f"{closed:.2f}"
    seed = result.folder.name.rpartition("seed")[2]
    return f"| {seed} | {' | '.join(shown)} | {best:.3f} ({site}) | {gap} | {s.seconds:.0f} |"


def _text(estimate: Estimate) -> str:
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return "undefined"
    return f"{estimate.value:.3f} ({estimate.low:.3f}-{estimate.high:.3f})"


def main() -> None:
    """Run, print, and write the page where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--out", type=Path, default=Path("runs/bundled"))
    parser.add_argument("--markdown", type=Path, help="file whose part below the marker line is written anew")
    arguments = parser.parse_args()
    runs = run_all(arguments.seeds, arguments.out)
    if arguments.markdown:
        kept = arguments.markdown.read_text().partition(MARKER)[0]
        arguments.markdown.write_text(f"{kept}{MARKER}\n\n{markdown(runs)}")
    print(markdown(runs))
    print_rows("bundled", rows(runs))


if __name__ == "__main__":
    main()
