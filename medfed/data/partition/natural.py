"""The sites that the data name: nothing is moved."""

from collections import Counter
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from medfed.errors import DataError
from medfed.registry import plugin


@plugin
class Natural:
    """Every image stays at the site that its manifest names."""

    keeps_sites: ClassVar[bool] = True

    def __call__(
        self,
        labels: NDArray[np.int64] | None,
        patients: Sequence[str],
        sites: Sequence[str],
        generator: np.random.Generator,
        min_images: int,
    ) -> tuple[str, ...]:
        """Return ``sites``."""
        small = {site: num for site, num in sorted(Counter(sites).items()) if num < min_images}
        if small:
            raise DataError(
                f"sites with fewer than data.min_images_per_site = {min_images} images: "
                f"{', '.join(f'{site} ({num})' for site, num in small.items())}; "
                "lower data.min_images_per_site, or name the sites to keep in data.sites"
            )
        return tuple(sites)
