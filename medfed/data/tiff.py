"""TIFF bytes -> pixels, by tifffile, which keeps 16-bit colour and floating point.

Compressions that tifffile cannot undo by itself (LZW, JPEG) and unusual colour models are left to Pillow.
"""

import io
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_PLAIN = ("MINISBLACK", "MINISWHITE", "RGB")
_ORIENTATION = 274


def decode_tiff(content: bytes, is_mask: bool) -> NDArray[Any] | None:
    """The pixels, (channel, height, width), alpha dropped; None where Pillow has to do it.

    Raises:
        ValueError: several pages, a volume, or a bit depth without a numpy type.
    """
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        if len(file.pages) != 1:
            raise ValueError(f"{len(file.pages)} pages; expected a single image")
        page = file.pages.first
        photometric = getattr(page.photometric, "name", "")
        if photometric not in _PLAIN:
            return None
        compression = tifffile.COMPRESSION(page.compression).name
        if page.bitspersample not in (1, 8, 16, 32, 64):
            raise ValueError(f"{page.bitspersample} bits per sample; expected 1, 8, 16 or floating point")
        if compression not in ("NONE", "ADOBE_DEFLATE", "DEFLATE", "PACKBITS"):
            if page.bitspersample == 16 and page.samplesperpixel > 1:
                raise ValueError(f"16-bit colour with {compression} compression; save it with Deflate")
            return None
        pixels = _channels_first(page.asarray(), page.axes)
        tag = page.tags.get(_ORIENTATION)
    pixels = _unsigned(pixels, inverted=photometric == "MINISWHITE" and not is_mask, is_mask=is_mask)
    return orient(pixels, int(tag.value) if tag is not None else 1)


def _channels_first(pixels: NDArray[Any], axes: str) -> NDArray[Any]:
    if axes == "YX":
        return pixels[None]
    if axes == "YXS":
        pixels = np.moveaxis(pixels, -1, 0)
    elif axes != "SYX":
        raise ValueError(f"axes {axes} of shape {pixels.shape}; expected a single flat image")
    return np.ascontiguousarray(pixels[:1] if len(pixels) == 2 else pixels[:3])


def _unsigned(pixels: NDArray[Any], inverted: bool, is_mask: bool) -> NDArray[Any]:
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8) * (1 if is_mask else 255)
    if pixels.dtype.kind == "u":
        pixels = pixels.astype(pixels.dtype.newbyteorder("="))
        return np.iinfo(pixels.dtype).max - pixels if inverted else pixels
    return pixels.astype(np.float32) if pixels.dtype.kind == "f" else pixels


def orient(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Apply the EXIF/TIFF orientation (values 1 to 8, TIFF 6.0 page 36) to (channel, height, width)."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(1, 2)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, :, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)
