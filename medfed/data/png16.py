"""PNG files with 16 bits per sample in several channels, which Pillow reduces to 8 bits without a word.

Source: PNG specification (ISO/IEC 15948), sections 4.5, 5 and 9 (filters). Not interlaced files only.
"""

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {2: 3, 4: 2, 6: 4}  # colour type -> samples per pixel: RGB, grey + alpha, RGB + alpha


def is_png16(content: bytes) -> bool:
    """Whether ``content`` is a PNG with 16 bits in more than one channel."""
    return content[:8] == SIGNATURE and len(content) > 26 and content[24] == 16 and content[25] in _CHANNELS


def decode_png16(content: bytes) -> NDArray[np.uint16]:
    """The samples, (channel, height, width), alpha included.

    Raises:
        ValueError: damaged or interlaced.
    """
    width, height, _, colour, _, _, interlace = struct.unpack(">IIBBBBB", content[16:29])
    if interlace:
        raise ValueError("an interlaced PNG of 16 bits per channel is not supported")
    channels = _CHANNELS[colour]
    try:
        raw = zlib.decompress(b"".join(_chunks(content, b"IDAT")))
    except zlib.error as error:
        raise ValueError(f"damaged PNG: {error}") from error
    if len(raw) != height * (1 + width * channels * 2):
        raise ValueError("damaged PNG: too few or too many samples")
    lines = _unfilter(raw, height, width * channels * 2, channels * 2)
    pixels = np.frombuffer(lines, dtype=">u2").reshape(height, width, channels)
    return np.ascontiguousarray(np.moveaxis(pixels, -1, 0), dtype=np.uint16)


def _chunks(content: bytes, kind: bytes) -> list[bytes]:
    found, position = [], 8
    while position + 8 <= len(content):
        (length,) = struct.unpack(">I", content[position : position + 4])
        if content[position + 4 : position + 8] == kind:
            found.append(content[position + 8 : position + 8 + length])
        position += 12 + length
    return found


def _unfilter(raw: bytes, height: int, stride: int, step: int) -> bytes:
    """Undo the row filters; ``step`` bytes per pixel."""
    above = bytearray(stride)
    lines = []
    for row in range(height):
        start = row * (stride + 1)
        line = bytearray(raw[start + 1 : start + 1 + stride])
        _undo(raw[start], line, above, step)
        lines.append(bytes(line))
        above = line
    return b"".join(lines)


def _undo(kind: int, line: bytearray, above: bytearray, step: int) -> None:
    for i in range(len(line) if kind else 0):
        left = line[i - step] if i >= step else 0
        corner = above[i - step] if i >= step else 0
        if kind == 1:
            guess = left
        elif kind == 2:
            guess = above[i]
        elif kind == 3:
            guess = (left + above[i]) >> 1
        elif kind == 4:
            guess = _paeth(left, above[i], corner)
        else:
            raise ValueError(f"damaged PNG: row filter {kind}")
        line[i] = (line[i] + guess) & 0xFF


def _paeth(left: int, above: int, corner: int) -> int:
    far_left, far_above, far_corner = abs(above - corner), abs(left - corner), abs(left + above - 2 * corner)
    if far_left <= far_above and far_left <= far_corner:
        return left
    return above if far_above <= far_corner else corner
