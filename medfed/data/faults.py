"""What can be wrong with one image or mask, as a value that a check can count."""

from medfed.errors import DataError

MISSING = "missing file"
UNREADABLE = "unreadable file"
NOT_FINITE = "NaN or infinite values"
INTENSITY = "intensity without a known range"
MASK_SIZE = "mask of another size"
MASK_VALUE = "mask that is not a class map"

REMEDIES: dict[str, str] = {
    MISSING: "add the file (paths are relative to the manifest, with / between folders) or take the row out",
    UNREADABLE: "export it again as PNG, JPEG or TIFF, 8 or 16 bit",
    NOT_FINITE: "replace these values, or take the row out of the manifest",
    INTENSITY: 'save as 8 or 16 bit, or set data.intensity = "percentiles"',
    MASK_SIZE: "export the mask at the size of its image",
    MASK_VALUE: "save one integer per pixel (PNG or TIFF), 0 for background",
}


class ImageFault(DataError):  # noqa: N818 - a fault of the data, collected more often than raised
    """One image or mask cannot be used; ``what`` is a key of :data:`REMEDIES`, ``detail`` what was got."""

    def __init__(self, what: str, detail: str) -> None:
        """Compose the message."""
        super().__init__(f"{what}: {detail}; {REMEDIES[what]}")
        self.what = what
        self.detail = detail
