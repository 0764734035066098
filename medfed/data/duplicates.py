"""Which copies of an image to drop, so that nothing trained on is also tested on."""

from collections.abc import Sequence

from medfed.data.table import Record
from medfed.types import Split

_PROTECTION: dict[Split | None, int] = {None: 0, "train": 0, "val": 1, "test": 2}


def copies_to_drop(records: Sequence[Record], digests: Sequence[bytes]) -> frozenset[int]:
    """Rows whose content also occurs in a more protected split (test > val > train)."""
    protection: dict[bytes, int] = {}
    for record, digest in zip(records, digests, strict=True):
        protection[digest] = max(_PROTECTION[record.split], protection.get(digest, 0))
    return frozenset(
        row
        for row, (record, digest) in enumerate(zip(records, digests, strict=True))
        if _PROTECTION[record.split] < protection[digest]
    )
