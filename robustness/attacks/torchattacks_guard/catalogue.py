"""The catalogue of torchattacks: what each attack can serve, how it is told the bound, and what is never run.

Read off torchattacks 3.3.0 and 3.5.1 (H. Kim, arXiv 2010.01950); tests run each entry. Attacks that a release lacks
are refused by name.
"""

from dataclasses import dataclass

from robustness.attacks.threat import Norm


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What one attack needs; the guard adapts model, images and labels to it or refuses.

    Attributes:
        norms: distances that it bounds or makes small.
        instead: attacks of ours that serve where it cannot.
        bound: the constructor's name of the bound, in units of the [0, 1] image; None where it cannot be told one.
        many_decisions: its loss is a cross-entropy over any number of decisions per image (findings, pixels).
        plane: it moves, resizes or tiles the image: the two last axes must be height and width.
        colour: its kernels are written for exactly three channels.
        targeted: it can be driven to given choices.
        needs_target: it can only be driven to given choices.
        labels_unused: it drives the output away from what it was, whatever the labels say.
        least_choices: per decision.
        reason: why fewer choices, or no plane, cannot be served.
        minimises: it looks for the nearest fooled point; points beyond eps are no answer and are put back.
        lifted: its loss reads logits below 0 as 0, so that they are lifted above it.
        inset: how far from 0 and 1 its starting point must stay to be able to move.
    """

    norms: tuple[Norm, ...]
    instead: tuple[str, ...]
    bound: str | None = "eps"
    many_decisions: bool = False
    plane: bool = False
    colour: bool = False
    targeted: bool = False
    needs_target: bool = False
    labels_unused: bool = False
    least_choices: int = 2
    reason: str = ""
    minimises: bool = False
    lifted: bool = False
    inset: float = 0.0


_BOX: tuple[Norm, ...] = ("linf",)
_BALL: tuple[Norm, ...] = ("l2",)
_FEW: tuple[Norm, ...] = ("l0",)
_BOTH: tuple[Norm, ...] = ("linf", "l2")

_STEEPEST = Entry(norms=_BOX, instead=("pgd", "ensemble"), many_decisions=True, targeted=True)
_SMOOTHED = "its gradient is averaged over noise and one logit row per image"
_FOUR = "the targeted DLR loss divides by z_1 - (z_3 + z_4) / 2"
_TILES = "its squares lie in the plane of one image"
_SPREADS = "its kernels spread a step over the plane of one image"
_RESIZES = "it resizes and shifts the image in its plane"

CATALOGUE: dict[str, Entry] = {
    "FGSM": Entry(norms=_BOX, instead=("fgsm",), many_decisions=True, targeted=True),
    "BIM": _STEEPEST,
    "RFGSM": _STEEPEST,
    "PGD": _STEEPEST,
    "EOTPGD": _STEEPEST,
    "FFGSM": _STEEPEST,
    "MIFGSM": _STEEPEST,
    "NIFGSM": _STEEPEST,
    "SINIFGSM": _STEEPEST,
    "VMIFGSM": _STEEPEST,
    "VNIFGSM": _STEEPEST,
    "UPGD": _STEEPEST,
    "TPGD": Entry(norms=_BOX, instead=("pgd", "ensemble"), many_decisions=True, labels_unused=True),
    "DIFGSM": Entry(
        norms=_BOX, instead=("pgd", "ensemble"), many_decisions=True, targeted=True, plane=True, reason=_RESIZES
    ),
    "TIFGSM": Entry(
        norms=_BOX,
        instead=("pgd", "ensemble"),
        many_decisions=True,
        targeted=True,
        plane=True,
        colour=True,
        reason=_RESIZES,
    ),
    "PIFGSM": Entry(
        norms=_BOX, instead=("pgd",), bound="max_epsilon", many_decisions=True, plane=True, colour=True, reason=_SPREADS
    ),
    "PIFGSMPP": Entry(
        norms=_BOX, instead=("pgd",), bound="max_epsilon", many_decisions=True, plane=True, colour=True, reason=_SPREADS
    ),
    "Jitter": Entry(
        norms=_BOX,
        instead=("pgd", "ensemble"),
        least_choices=3,
        reason="its loss divides the logits by the largest, which leaves nothing of the two sides of one logit",
    ),
    "PGDRS": Entry(norms=_BOX, instead=("pgd", "ensemble"), reason=_SMOOTHED),
    "SPSA": Entry(norms=_BOX, instead=("square", "ensemble")),
    "APGD": Entry(norms=_BOTH, instead=("apgd", "ensemble")),
    "APGDT": Entry(norms=_BOTH, instead=("apgd", "ensemble"), least_choices=4, reason=_FOUR),
    "FAB": Entry(norms=_BOTH, instead=("fab", "apgd"), minimises=True),
    "Square": Entry(norms=_BOTH, instead=("square", "ensemble"), plane=True, reason=_TILES),
    "AutoAttack": Entry(norms=_BOTH, instead=("ensemble",), plane=True, least_choices=4, reason=_FOUR),
    "PGDL2": Entry(norms=_BALL, instead=("pgd", "ensemble"), many_decisions=True, targeted=True),
    "PGDRSL2": Entry(norms=_BALL, instead=("pgd", "ensemble"), reason=_SMOOTHED),
    "CW": Entry(
        norms=_BALL,
        instead=("cw", "ensemble"),
        bound=None,
        targeted=True,
        minimises=True,
        lifted=True,
        inset=1e-3,
    ),
    "DeepFool": Entry(norms=_BALL, instead=("deepfool", "ensemble"), bound=None, minimises=True),
    "EADEN": Entry(norms=_BALL, instead=("cw", "ensemble"), bound=None, minimises=True),
    "SparseFool": Entry(norms=_FEW, instead=("one_pixel",), bound=None, minimises=True),
    "OnePixel": Entry(norms=_FEW, instead=("one_pixel",), bound="pixels"),
    "Pixle": Entry(
        norms=_FEW,
        instead=("one_pixel",),
        bound=None,
        plane=True,
        colour=True,  # release 3.3.0 reshapes to three channels
        minimises=True,
        reason="it moves patches within the plane of one image",
    ),
    "JSMA": Entry(norms=_FEW, instead=("one_pixel",), bound="gamma", targeted=True, needs_target=True),
}

REFUSED: dict[str, tuple[str, tuple[str, ...]]] = {
    "VANILA": ("it changes nothing; the clean error stands beside every result", ("fgsm",)),
    "GN": ("Gaussian noise has no bound and looks at no model", ("pgd",)),
    "EADL1": ("no threat model here is bounded in L1", ("cw", "pgd")),
    "MultiAttack": ("it only chains others; run them one by one", ("ensemble",)),
    "LGV": ("it trains the model that it attacks", ("pgd", "ensemble")),
}
"""Name -> why it is never run, and what of ours serves."""
