"""PNG, JPEG and TIFF bytes -> pixels at full size, in the file's own bit depth.

8 and 16 bit, grey, RGB, palette and 1-bit; alpha is dropped; the EXIF orientation is applied. Volumes and
multi-page files are refused, not cut.
"""

import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from medfed.data.faults import MASK_VALUE, MISSING, NOT_FINITE, UNREADABLE, ImageFault
from medfed.data.png16 import SIGNATURE, decode_png16, is_png16
from medfed.data.tiff import TIFF_SIGNATURES, decode_tiff, orient

_JPEG = b"\xff\xd8\xff"
_EXIF_ORIENTATION = 274
_TO_GREY = ("LA", "La")
_KEPT = ("L", "RGB", "I", "F")


@dataclass(frozen=True)
class FolderStore:
    """Image files below one folder."""

    folder: Path

    def content(self, reference: str) -> bytes:
        """The bytes of the file."""
        path = self.folder / reference
        try:
            return path.read_bytes()
        except FileNotFoundError as error:
            raise ImageFault(MISSING, reference) from error
        except OSError as error:
            raise ImageFault(UNREADABLE, f"{path}: {error.strerror}") from error

    def image(self, reference: str) -> NDArray[Any]:
        """The decoded image."""
        return decode_image(self.content(reference))

    def mask(self, reference: str) -> NDArray[np.integer[Any]]:
        """The decoded mask."""
        return decode_mask(self.content(reference))


def decode_image(content: bytes) -> NDArray[Any]:
    """Decode an image.

    Returns:
        (channel, height, width) with 1 or 3 channels: uint8 or uint16, from some TIFF files int32 or float32.

    Raises:
        ImageFault: not PNG, JPEG or TIFF, damaged, of several pages, or with NaN or infinite values.
    """
    pixels = _decode(content, is_mask=False)
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        raise ImageFault(NOT_FINITE, f"{int((~np.isfinite(pixels)).sum())} of {pixels.size} values")
    return pixels


def decode_mask(content: bytes) -> NDArray[np.integer[Any]]:
    """Decode a mask; a palette gives its indices, one bit gives 0 and 1.

    Returns:
        (height, width), integers.

    Raises:
        ImageFault: as for an image; also JPEG (lossy), channels that differ, or values that are not integers.
    """
    if content[:3] == _JPEG:
        raise ImageFault(MASK_VALUE, "JPEG changes pixel values")
    pixels = _decode(content, is_mask=True)
    if (pixels != pixels[:1]).any():
        raise ImageFault(MASK_VALUE, f"{len(pixels)} channels that differ")
    mask: NDArray[Any] = pixels[0]
    if mask.dtype.kind == "f":
        if not np.isfinite(mask).all() or (mask != np.rint(mask)).any():
            raise ImageFault(MASK_VALUE, "values that are not integers")
        mask = mask.astype(np.int64)
    return mask


def _decode(content: bytes, is_mask: bool) -> NDArray[Any]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's remarks on odd but readable files
            if content[:4] in TIFF_SIGNATURES:
                pixels = decode_tiff(content, is_mask)
                return pixels if pixels is not None else _pillow(content, is_mask)
            if content[:8] == SIGNATURE or content[:3] == _JPEG:
                return _png16(content) if is_png16(content) else _pillow(content, is_mask)
    except (OSError, ValueError, SyntaxError, IndexError, KeyError, TypeError, Image.DecompressionBombError) as error:
        raise ImageFault(UNREADABLE, str(error) or type(error).__name__) from error
    raise ImageFault(UNREADABLE, "empty file" if not content else "neither PNG nor JPEG nor TIFF")


def _png16(content: bytes) -> NDArray[Any]:
    pixels = decode_png16(content)
    pixels = pixels[:1] if len(pixels) == 2 else pixels[:3]
    with Image.open(io.BytesIO(content)) as image:
        return orient(pixels, image.getexif().get(_EXIF_ORIENTATION, 1))


def _pillow(content: bytes, is_mask: bool) -> NDArray[Any]:
    with Image.open(io.BytesIO(content)) as opened:
        if opened.format in ("PNG", "TIFF") and getattr(opened, "n_frames", 1) > 1:
            raise ValueError("several pages; expected a single image")
        image = ImageOps.exif_transpose(opened)
        pixels = np.asarray(_plain_mode(image, is_mask))
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8) * (1 if is_mask else 255)
    if pixels.dtype.kind == "u":
        pixels = pixels.astype(pixels.dtype.newbyteorder("="))
    return pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(np.moveaxis(pixels, -1, 0))


def _plain_mode(image: Image.Image, is_mask: bool) -> Image.Image:
    if image.mode == "1" or image.mode in _KEPT or image.mode.startswith("I;16"):
        return image
    if image.mode in _TO_GREY:
        return image.convert("L")
    if image.mode == "P" and is_mask:
        return image
    return image.convert("RGB")
