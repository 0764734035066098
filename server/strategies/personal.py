"""What a reader of the summary must know where parts of the model stay at the sites."""

from collections.abc import Sequence

from medfed.config import Scenario
from medfed.results import RoundResult
from server.stopping import best_round


def personal_warnings(scenario: Scenario, personal: frozenset[str], rounds: Sequence[RoundResult]) -> list[str]:
    """Lines for ``summary.json``; none where the whole model is shared.

    Args:
        scenario: all settings.
        personal: state-dict entries that never leave a site.
        rounds: what was run.
    """
    if not personal:
        return []
    parts = f"{len(personal)} entries of the model stay at the sites"
    found = [f"{parts}: model.safetensors holds their initial values; a site's own are in its folder"]
    trained = {site for result in rounds for site, about in result.sites.items() if about.num_steps > 0}
    for site in sorted(set(scenario.federation.sites) - trained):
        found.append(f"site {site} never trained: it was tested with those {len(personal)} entries at initial values")
    best = best_round(scenario, rounds) if scenario.evaluation.keep == "best" else None
    if best is not None and best != len(rounds):
        found.append(
            f'evaluation.keep = "best": the shared entries are of round {best}, what the sites keep is of later rounds'
        )
    return found
