"""How often canaries find noise halved and a contribution that counts twice, and how often they doubt a true claim.

Every mechanism that protects something releases canaries, as often as its claim needs, which are then audited
(:mod:`privacy.canaries`). Halved noise is a claim of twice the noise that is there; a contribution that counts twice
moves every response by one sensitivity more.

    python -m simulations.benchmarks.noise_audit [--trials 100] [--canaries 50] [--noise 0.5 1 2 4] [--seed 1]
"""

import argparse
import time

import numpy as np

from medfed.registry import build, table
from privacy.canaries.noise_audit import audit_noise, released_for_audit
from privacy.mechanisms.contract import ServerMechanism, SharedMechanism, SiteMechanism, TrainingMechanism
from simulations.benchmarks.report import Row, print_rows

FOUND, FALSE, SECONDS = 0.95, 0.05, 10.0
"""Goals: share of trials that must find a fault, share that may doubt a true claim, seconds of all trials of one."""


def shares(name: str, noise: float, num_trials: int, num_canaries: int, seed: int) -> tuple[float, float, float]:
    """Of so many trials of a mechanism: those that find halved noise, a doubled weight, and that doubt the truth."""
    mechanism = build("mechanism", {"name": name, "clip": 1.0, "noise_multiplier": noise})
    assert isinstance(mechanism, ServerMechanism | SiteMechanism | SharedMechanism | TrainingMechanism)
    draws = np.random.default_rng(seed)
    halved = heavy = doubted = 0
    for _ in range(num_trials):
        responses, claimed = released_for_audit(mechanism, num_canaries, draws.standard_normal)
        halved += not audit_noise(responses, 2.0 * claimed).enough_noise
        heavy += not audit_noise(responses + 1.0, claimed).weight_within
        doubted += not audit_noise(responses, claimed).holds
    return halved / num_trials, heavy / num_trials, doubted / num_trials


def main() -> None:
    """Audit every mechanism, print the table and the closing line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--canaries", type=int, default=50)
    parser.add_argument("--noise", type=float, nargs="+", default=[0.5, 1.0, 2.0, 4.0], help="noise multipliers")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    rows = []
    for name in (name for name, cls in table("mechanism").items() if getattr(cls, "protects", True)):
        for noise in chosen.noise:
            started = time.process_time()
            halved, heavy, doubted = shares(name, noise, chosen.trials, chosen.canaries, chosen.seed)
            seconds = time.process_time() - started
            case = f"{name}, noise {noise:g}"
            rows += [
                Row(f"{case}: halved noise found", halved, None, "of trials", "higher", FOUND, "no peer"),
                Row(f"{case}: doubled weight found", heavy, None, "of trials", "higher", FOUND, "no peer"),
                Row(f"{case}: true claim doubted", doubted, None, "of trials", "lower", FALSE, "no peer"),
                Row(f"{case}: all trials", seconds, None, "CPU s", "lower", SECONDS, "no peer"),
            ]
    print_rows("noise_audit", rows)


if __name__ == "__main__":
    main()
