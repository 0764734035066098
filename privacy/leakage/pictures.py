"""Pictures of an attack: truth beside what was rebuilt, every measured image, in the order in which they took part."""

from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from medfed.files import replacing
from privacy.leakage.trial import Trial
from privacy.leakage.truth import Truth

_PER_ROW = 8
_INCHES = 1.2


def write_pictures(folder: Path, truth: Truth, trial: Trial) -> Path:
    """``pairs.png``: rows of true images, each above the rebuilt one that stands for it, with its PSNR.

    Raises:
        WriteError: it cannot be written.
    """
    count = len(trial.scores)
    columns, bands = min(count, _PER_ROW), -(-count // _PER_ROW)
    figure = Figure(figsize=(_INCHES * columns, _INCHES * 2.3 * bands), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2 * bands, columns, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for place, score in enumerate(trial.scores):
        band, column = divmod(place, _PER_ROW)
        pair = (truth.images[score.index], trial.found.images[score.rebuilt])
        for row, image in enumerate(pair):
            axes[2 * band + row, column].imshow(_drawn(image), cmap="gray", vmin=0.0, vmax=1.0)
        axes[2 * band, column].set_title(f"image {score.index}", fontsize=7)
        axes[2 * band + 1, column].set_title(f"{score.psnr:.1f} dB", fontsize=7)
    path = folder / "pairs.png"
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=150)
    return path


def _drawn(image: Tensor) -> NDArray[Any]:
    """(height, width) or (height, width, 3); of a volume its middle slice."""
    if image.ndim == 4:
        image = image[:, image.shape[1] // 2]
    shown: NDArray[Any] = (image[0] if image.shape[0] == 1 else image.permute(1, 2, 0)).numpy()
    return shown
