"""What one attack does to one head: the cells of the attack matrix, all by the same measure."""

import contextlib
import io
import resource
import signal
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

import torch
from torch import Tensor

from medfed.errors import MedfedError
from robustness.attacks.projection import Bounds, allowed
from robustness.attacks.threat import ThreatModel
from robustness.attacks.torchattacks_guard import TorchAttack, run_torchattack
from robustness.attacks.torchattacks_guard.package import Option
from simulations.benchmarks.attack_matrix.case import Case
from simulations.benchmarks.attack_matrix.points import noise, our_points, reference_pgd

LINF = ThreatModel.grey_levels(8)
L2 = ThreatModel(norm="l2", eps=1.0)
L0 = ThreatModel(norm="l0", eps=4.0)

SECONDS = 60
"""A cell that takes longer is stopped: some attacks loop over every pixel of an output."""
BYTES = 2**31
"""Memory that a cell may take: on a U-Net some attacks ask for over 100 GB."""
NOTHING = 0.05
"""Silent: at most this share of the reference's effect beyond noise of the same size."""

ATTACKS: dict[str, tuple[ThreatModel, dict[str, Option]]] = {
    "FGSM": (LINF, {}),
    "BIM": (LINF, {}),
    "PGD": (LINF, {}),
    "MIFGSM": (LINF, {}),
    "DIFGSM": (LINF, {}),
    "TIFGSM": (LINF, {}),
    "EOTPGD": (LINF, {}),
    "TPGD": (LINF, {}),
    "UPGD": (LINF, {}),
    "APGD": (LINF, {"steps": 20}),
    "APGD dlr": (LINF, {"steps": 20, "loss": "dlr"}),
    "APGDT": (LINF, {"steps": 20}),
    "FAB": (LINF, {}),
    "Square": (LINF, {"n_queries": 200}),
    "AutoAttack": (LINF, {}),
    "SPSA": (LINF, {"nb_iter": 2, "nb_sample": 8}),
    "PGDL2": (L2, {}),
    "CW": (L2, {"steps": 100}),
    "DeepFool": (L2, {"steps": 20}),
    "EADEN": (L2, {"max_iterations": 10, "binary_search_steps": 2}),
    "OnePixel": (L0, {"steps": 3}),
    "Pixle": (L0, {"restarts": 3, "max_iterations": 3}),
    "JSMA": (L0, {}),
}
"""Column -> threat model and options; budgets are small, the same raw and guarded."""


@dataclass(frozen=True)
class Cell:
    """What one attack did to one head.

    Attributes:
        kind: damage, silent, raises, refused, flagged (does nothing, and the result says so), beyond (only points
            beyond eps), absent (not in this release).
        damage: mean error per image; of the clean images where the attack gave no point.
        reason: of what was raised, refused or flagged.
    """

    kind: str
    damage: float
    reason: str = ""

    @property
    def text(self) -> str:
        """As shown in the table."""
        return f"{self.damage:.2f}" if self.kind == "damage" else self.kind


@dataclass(frozen=True)
class Line:
    """One head: what clean images, noise, the reference and ours come to under each norm, and every cell.

    Attributes:
        num_images: on which all of it was measured.
        reference: of the norms that a gradient step can keep to.
    """

    num_images: int

    noise: Mapping[str, float]
    reference: Mapping[str, float]
    ours: Mapping[str, float]
    raw: Mapping[str, Cell]
    guarded: Mapping[str, Cell]


def error(case: Case, points: Tensor) -> Tensor:
    """The measure of every cell, per image."""
    with torch.no_grad():
        return case.damage(case.model(points))


def judged(case: Case, threat: ThreatModel, points: Any, floor: float, reference: float) -> Cell:
    """A cell from points that nobody has checked: only those inside bound and range count, the rest stay clean."""
    if not isinstance(points, Tensor) or points.shape != case.images.shape:
        return Cell("raises", _mean(error(case, case.images)), "points of another shape than the images")
    points = points.detach()
    within = allowed(points.nan_to_num(9.0), case.images, Bounds.of(threat, case.images))
    kept = torch.where(within[:, None, None, None], points.nan_to_num(9.0), case.images)
    damage = _mean(error(case, kept))
    if damage > floor + NOTHING * (reference - floor):
        return Cell("damage", damage)
    if not bool(within.all()):
        return Cell("beyond", damage, f"{int((~within).sum())} of {len(points)} points beyond eps")
    return Cell("silent", damage, "no better than noise of the same size, and no word about it")


def raw_cell(package: ModuleType, case: Case, name: str, floor: float, reference: float) -> Cell:
    """Torchattacks as it comes, told only the bound and, where it asks for them, the number of outputs."""
    threat, options = ATTACKS[name]
    cls = getattr(package, name.split()[0], None)
    if cls is None:
        return Cell("absent", _mean(error(case, case.images)), "not in this release")
    torch.manual_seed(0)
    try:
        with limits(), contextlib.redirect_stdout(io.StringIO()):
            points = cls(case.model, **_told(name, threat, case), **options)(case.images.clone(), case.labels.clone())
    except Exception as raised:  # whatever it raises is the result
        return Cell("raises", _mean(error(case, case.images)), _said(raised))
    finally:
        case.model.eval()
    return judged(case, threat, points, floor, reference)


def _told(name: str, threat: ThreatModel, case: Case) -> dict[str, Any]:
    """The bound, and the classes, that a user would state."""
    with torch.no_grad():
        classes = max(2, case.model(case.images[:1]).shape[1])
    eps = float(Bounds.of(threat, case.images).step)
    bounds: dict[str, Any] = {"OnePixel": {"pixels": int(eps)}, "JSMA": {"gamma": eps / case.images[0].numel()}}
    if name in ("CW", "DeepFool", "EADEN", "Pixle", *bounds):
        return dict(bounds.get(name, {}))
    told: dict[str, Any] = {"eps": eps}
    if name == "PGDL2":
        told["alpha"] = eps / 5
    return told | ({"n_classes": classes} if name in ("APGDT", "FAB", "AutoAttack") else {})


def guarded_cell(case: Case, name: str, floor: float, reference: float) -> Cell:
    """The same attack behind the guard."""
    threat, options = ATTACKS[name]
    attack = TorchAttack(name=name.split()[0], options=options)
    try:
        with limits():
            result = run_torchattack(
                case.model,
                case.images,
                case.labels,
                attack=attack,
                threat=threat,
                head=case.head,
                criterion=case.criterion,
            )
    except (MedfedError, TimeoutError) as refused:
        return Cell("refused", _mean(error(case, case.images)), str(refused))
    cell = judged(case, threat, result.adversarial, floor, reference)
    if cell.kind == "silent" and result.flags["no_better_than_noise"]:
        return Cell("flagged", cell.damage, "no better than noise of the same size, and the result says so")
    return cell


def line_of(package: ModuleType, case: Case, names: Mapping[str, Any], say: Callable[[str], None]) -> Line:
    """Measure one head."""
    threats: dict[str, ThreatModel] = {ATTACKS[name][0].norm: ATTACKS[name][0] for name in names}
    floor = {
        norm: max(_mean(error(case, points)) for points in (case.images, noise(case, threat, 0)))
        for norm, threat in threats.items()
    }
    steepest = {norm: threat for norm, threat in threats.items() if norm != "l0"}  # no step keeps to some pixels
    reference = {norm: _mean(error(case, reference_pgd(case, threat))) for norm, threat in steepest.items()}
    ours = {norm: _mean(error(case, our_points(case, threat))) for norm, threat in threats.items()}
    raw, guarded = {}, {}
    for name in names:
        norm = ATTACKS[name][0].norm
        most = reference.get(norm, 1.0)
        raw[name] = raw_cell(package, case, name, floor[norm], most)
        guarded[name] = guarded_cell(case, name, floor[norm], most)
        say(f"{name}: {raw[name].text} -> {guarded[name].text} {guarded[name].reason}")
    return Line(len(case.images), floor, reference, ours, raw, guarded)


@contextlib.contextmanager
def limits() -> Iterator[None]:
    """Stop what is inside after :data:`SECONDS`, and let it allocate no more than :data:`BYTES`.

    Raises:
        TimeoutError: it took longer.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"stopped after {SECONDS} s")

    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    before = signal.signal(signal.SIGALRM, stop)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + BYTES, hard))
    signal.alarm(SECONDS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a foreign library, many per cell
            yield
    finally:
        signal.alarm(0)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        signal.signal(signal.SIGALRM, before)


def _mean(values: Tensor) -> float:
    return float(values.mean())


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:100]}"
