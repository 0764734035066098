"""Every attack of the table, cut short, on films and a small network that was trained on them."""

import math

import pytest

from medfed import registry
from robustness.attacks.enforcer import run_attack
from robustness.attacks.heads import SigmoidHead
from robustness.attacks.settings import RunSettings
from robustness.attacks.threat import ThreatModel
from tests.robustness.attacks.setups import pneumonia_films, pneumonia_model

FAST = {
    "one_pixel": {"generations": 2, "population": 4},
    "ensemble": {"steps": 5, "restarts": 1, "queries": 10, "blind_queries": 10},
    "square": {"queries": 30},
    "apgd": {"steps": 5},
    "fab": {"steps": 5},
    "cw": {"steps": 10, "searches": 2},
}
EPS = {"linf": 8 / 255, "l2": 1.0, "l0": 3.0, "patch": 0.1, "spatial": 2.0}
ATTACKS = sorted(registry.table("attack"))


def short_attack(name):
    return registry.build("attack", {"name": name, **FAST.get(name, {})})


def serves_films(name):
    return not name.startswith(("seg", "cos"))


def run_on_films(name, **settings):
    images, labels = pneumonia_films(16)
    attack = short_attack(name)
    threat = ThreatModel(norm=attack.norms[0], eps=math.inf if name == "fooling" else EPS[attack.norms[0]])
    return run_attack(
        pneumonia_model(),
        images,
        labels,
        attack=attack,
        threat=threat,
        head=SigmoidHead(),
        settings=RunSettings(**settings),
    ), threat


every_attack = pytest.mark.parametrize("name", [name for name in ATTACKS if serves_films(name)])
