"""``medfed privacy plan``: a thin shell over :mod:`privacy.planning`."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medfed.errors import ScenarioError

if TYPE_CHECKING:
    from rich.table import Table

    from medfed.config import Scenario
    from privacy.accountants.contract import Accountant
    from privacy.planning.sites import Planned
    from privacy.release import Relation

    Cost = Callable[[Planned, float, Relation], float]


def plan(
    path: Annotated[
        Path | None, typer.Argument(help="A scenario; sites and rounds are taken from it.", metavar="[SCENARIO]")
    ] = None,
    rounds: Annotated[int | None, typer.Option(min=1, help="Rounds in which a site takes part.")] = None,
    epsilon: Annotated[float, typer.Option(help="The most that all rounds together may cost.")] = 8.0,
    delta: Annotated[float | None, typer.Option(help="Default: the scenario's, or 1e-5.")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Units expected in a step; without: all of them.")] = None,
    num: Annotated[int | None, typer.Option(min=1, help="Units (images or patients) of the site.")] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Steps of a round; default: one pass over the units.")
    ] = None,
    accountant: Annotated[str, typer.Option(help="medfed list accountants; default: the scenario's, or pld.")] = "",
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a key of the scenario.")
    ] = None,
) -> None:
    """Say which noise multiplier keeps epsilon after so many rounds, and what other choices would cost.

    Of a SCENARIO, for every site of its data; or of one site: --rounds 50 --batch 32 --num 1000.
    """
    from privacy.planning.sites import planned_sites

    scenario = _scenario(path, tuple(overrides or ()))
    if scenario is not None:
        if given := [n for n, v in (("--batch", batch), ("--num", num), ("--steps", steps)) if v is not None]:
            raise ScenarioError(f"{given[0]}: follows from the scenario; change it with --set, or leave the file out")
        sites, rounds = planned_sites(scenario), rounds or scenario.training.rounds
    else:
        sites = [_site(rounds, batch, num, steps)]
    assert rounds is not None
    delta = delta or (scenario.privacy.delta if scenario else 1e-5)
    _check(epsilon, delta, sites)
    chosen = _accountant(accountant, scenario)
    current = scenario.privacy.mechanism.noise_multiplier if scenario else None
    _show(sites, rounds, epsilon, delta, chosen, current)


def _scenario(path: Path | None, overrides: tuple[str, ...]) -> "Scenario | None":
    from medfed.config import load_scenario

    if path is None and overrides:
        raise ScenarioError("--set: expected a SCENARIO to change")
    return load_scenario(path, overrides) if path is not None else None


def _site(rounds: int | None, batch: int | None, num: int | None, steps: int | None) -> "Planned":
    """The one site that the options describe."""
    from privacy.planning.noise import Schedule
    from privacy.planning.sites import Planned

    if rounds is None:
        raise ScenarioError("expected a SCENARIO, or --rounds, and for single images or patients --batch and --num")
    if (batch is None) != (num is None):
        raise ScenarioError("--batch and --num: expected both, or neither for noise on whole updates")
    if batch is None or num is None:
        return Planned("every site", "site", 1, Schedule(1.0, steps or 1))
    return Planned("the site", "record", num, Schedule(min(1.0, batch / num), steps or -(-num // batch)))


def _check(epsilon: float, delta: float, sites: "list[Planned]") -> None:
    if not 0.0 < epsilon < float("inf"):
        raise ScenarioError(f"--epsilon: expected a number above 0, got {epsilon}")
    if not 0.0 < delta < 1.0:
        raise ScenarioError(f"--delta: expected a number above 0 and below 1, got {delta}")
    for site in sites:
        if site.unit != "site" and delta >= 1.0 / site.count:
            raise ScenarioError(
                f"--delta {delta:g}: allows a {site.unit} of {site.name} to be published outright; expected less than "
                f"1 / {site.count} = {1.0 / site.count:.2g}"
            )


def _accountant(name: str, scenario: "Scenario | None") -> "Accountant":
    from medfed import registry
    from privacy.accountants import TIGHTEST
    from privacy.accountants.rdp import Rdp
    from privacy.mechanisms.contract import SharedMechanism

    if scenario and isinstance(scenario.privacy.mechanism, SharedMechanism):
        return Rdp()  # as :func:`privacy.release.total_epsilon` does, whatever is asked for
    if name:
        found: Accountant = registry.build("accountant", {"name": name})
        return found
    return scenario.privacy.accountant if scenario else TIGHTEST


def _show(
    sites: "list[Planned]", rounds: int, epsilon: float, delta: float, accountant: "Accountant", current: float | None
) -> None:
    from rich.console import Console

    from medfed.registry import name_of
    from privacy.accountants import covering
    from privacy.planning.noise import around, costs, least_noise
    from privacy.release import NEIGHBOURS, holding

    def cost(site: "Planned", multiplier: float, relation: "Relation") -> float:
        return site.schedule.epsilon(multiplier, rounds, delta, relation, accountant)

    console = Console()
    worst = max(sites, key=lambda site: (site.schedule.rate**2 * site.schedule.num_steps, site.name))
    relation = holding(worst.unit)
    needed = least_noise(epsilon, delta, worst.schedule, rounds, relation, accountant)
    name = name_of("accountant", covering(worst.schedule.composition(1.0, rounds, relation), accountant))
    how = f"{NEIGHBOURS[relation]}, {name}"
    what = f"epsilon {epsilon:g} at delta {delta:g} per {worst.unit} over {rounds} rounds ({how})"
    if needed is None:
        console.print(f"{what}: almost no noise is enough; a smaller epsilon can be promised", highlight=False)
        return
    others = [site for site in sites if cost(site, needed, relation) > epsilon]
    for site in others:
        needed = max(needed, least_noise(epsilon, delta, site.schedule, rounds, relation, accountant) or 0.0)
    console.print(f"{what}: noise_multiplier = {needed:.4g}", highlight=False, soft_wrap=True)
    console.print(_sites_table(sites, [needed] if current is None else [needed, current], cost))
    grid = around(rounds)
    multipliers = [needed * factor for factor in (0.5, 0.71, 1.0, 1.41, 2.0)]
    table = costs(multipliers, grid, delta, worst.schedule, relation, accountant)
    console.print(_cost_table(multipliers, grid, table, f"{worst.name}, {NEIGHBOURS[relation]},"))


def _sites_table(sites: "list[Planned]", multipliers: list[float], cost: "Cost") -> "Table":
    """With two columns of epsilon for each multiplier, the relation that holds first."""
    from rich.table import Table

    from privacy.release import NEIGHBOURS, holding

    first: Relation = holding(sites[0].unit)
    relations: list[Relation] = [first, "add_remove" if first == "replace" else "replace"]
    found = Table("site", title="what each site releases", title_justify="left")
    epsilons = (f"epsilon, noise {z:.4g}, {NEIGHBOURS[relation]}" for z in multipliers for relation in relations)
    for heading in ("units", "rate", "steps a round", *epsilons):
        found.add_column(heading, justify="right")
    for site in sites:
        shown = "-" if site.unit == "site" else f"{site.count} {site.unit}s"
        cells = (f"{cost(site, z, relation):.3g}" for z in multipliers for relation in relations)
        found.add_row(site.name, shown, f"{site.schedule.rate:.4g}", str(site.schedule.num_steps), *cells)
    return found


def _cost_table(multipliers: list[float], rounds: list[int], table: list[list[float]], name: str) -> "Table":
    from rich.table import Table

    found = Table("rounds", title=f"epsilon of {name} by rounds and noise multiplier", title_justify="left")
    for multiplier in multipliers:
        found.add_column(f"{multiplier:.4g}", justify="right")
    for count, row in zip(rounds, table, strict=True):
        found.add_row(str(count), *(f"{value:.3g}" for value in row))
    return found
