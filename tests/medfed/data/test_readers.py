"""Oracles: Pillow and tifffile wrote the files from arrays that the test knows; PNG 16-bit colour by hand."""

import io
import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from medfed.data.faults import MASK_VALUE, MISSING, NOT_FINITE, UNREADABLE, ImageFault
from medfed.data.png16 import SIGNATURE
from medfed.data.readers import FolderStore, decode_image, decode_mask

RANDOM = np.random.default_rng(0)
GREY8 = RANDOM.integers(0, 256, (6, 9), dtype=np.uint8)
GREY16 = RANDOM.integers(0, 65536, (6, 9), dtype=np.uint16)
RGB8 = RANDOM.integers(0, 256, (6, 9, 3), dtype=np.uint8)
RGB16 = RANDOM.integers(0, 65536, (6, 9, 3), dtype=np.uint16)


def _pillow(image, kind="PNG", **options):
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _tiff(array, **options):
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, **options)
    return buffer.getvalue()


def _filtered(line, above, step, kind):
    """One PNG row filter, forwards, from the definition in ISO/IEC 15948 section 9.2."""
    out = bytearray()
    for i, value in enumerate(line):
        a, b = (line[i - step] if i >= step else 0), above[i]
        c = above[i - step] if i >= step else 0
        p = a + b - c
        paeth = min((a, b, c), key=lambda x: abs(p - x))
        out.append((value - (0, a, b, (a + b) // 2, paeth)[kind]) % 256)
    return bytes([kind]) + bytes(out)


def _png16(array, colour, kinds=(0,)):
    """A PNG of 16 bits per sample, rows filtered with ``kinds`` in turn."""
    height, width, channels = array.shape
    raw, above = b"", bytes(width * channels * 2)
    for row in range(height):
        line = array[row].astype(">u2").tobytes()
        raw += _filtered(line, above, channels * 2, kinds[row % len(kinds)])
        above = line

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)
    return SIGNATURE + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")


def _first(array):
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


@pytest.mark.parametrize("array", [GREY8, GREY16, RGB8], ids=["grey8", "grey16", "rgb8"])
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_pillow_files_come_back_bit_for_bit(array, kind):
    decoded = decode_image(_pillow(array, kind))
    assert decoded.dtype == array.dtype
    np.testing.assert_array_equal(decoded, _first(array))


@pytest.mark.parametrize("array", [GREY8, GREY16, RGB8, RGB16], ids=["grey8", "grey16", "rgb8", "rgb16"])
@pytest.mark.parametrize(
    "options", [{}, {"compression": "zlib", "predictor": True}, {"byteorder": ">"}, {"bigtiff": True}]
)
def test_tifffile_files_come_back_bit_for_bit(array, options):
    decoded = decode_image(_tiff(array, photometric="rgb" if array.ndim == 3 else "minisblack", **options))
    assert decoded.dtype == array.dtype
    np.testing.assert_array_equal(decoded, _first(array))


def test_planar_tiff():
    content = _tiff(RGB16.transpose(2, 0, 1), photometric="rgb", planarconfig="separate")
    np.testing.assert_array_equal(decode_image(content), RGB16.transpose(2, 0, 1))


def test_lzw_tiff_is_left_to_pillow():
    np.testing.assert_array_equal(decode_image(_pillow(GREY16, "TIFF", compression="tiff_lzw")), GREY16[None])


def test_white_is_zero_tiff_is_inverted():
    np.testing.assert_array_equal(decode_image(_tiff(GREY16, photometric="miniswhite")), 65535 - GREY16[None])


@pytest.mark.parametrize("kinds", [(0,), (1,), (2,), (3,), (4,), (4, 3, 2, 1, 0)], ids=str)
def test_png_with_16_bit_colour_keeps_its_depth(kinds):
    np.testing.assert_array_equal(decode_image(_png16(RGB16, 2, kinds)), RGB16.transpose(2, 0, 1))


def test_png_with_16_bits_drops_alpha():
    alpha = RANDOM.integers(0, 65536, (6, 9, 1), dtype=np.uint16)
    colour = decode_image(_png16(np.dstack([RGB16, alpha]), 6))
    np.testing.assert_array_equal(colour, RGB16.transpose(2, 0, 1))
    np.testing.assert_array_equal(decode_image(_png16(np.dstack([GREY16, alpha]), 4)), GREY16[None])


def test_jpeg_is_what_pillow_says():
    content = _pillow(RGB8, "JPEG", quality=90)
    np.testing.assert_array_equal(decode_image(content), np.asarray(Image.open(io.BytesIO(content))).transpose(2, 0, 1))


def test_alpha_is_dropped():
    alpha = RANDOM.integers(0, 256, (6, 9, 1), dtype=np.uint8)
    np.testing.assert_array_equal(decode_image(_pillow(np.dstack([RGB8, alpha]))), RGB8.transpose(2, 0, 1))
    both = Image.merge("LA", [Image.fromarray(GREY8), Image.fromarray(alpha[..., 0])])
    np.testing.assert_array_equal(decode_image(_pillow(both)), GREY8[None])


def test_a_palette_gives_colours_for_images_and_indices_for_masks():
    image = Image.fromarray((GREY8 % 3).astype(np.uint8), "P")
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    colours = np.array([[10, 20, 30], [40, 50, 60], [70, 80, 90]], np.uint8)
    np.testing.assert_array_equal(decode_image(_pillow(image)), colours[GREY8 % 3].transpose(2, 0, 1))
    np.testing.assert_array_equal(decode_mask(_pillow(image)), GREY8 % 3)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_one_bit(kind):
    content = _pillow(Image.fromarray(GREY8 > 127), kind)
    np.testing.assert_array_equal(decode_image(content), (GREY8[None] > 127) * np.uint8(255))
    np.testing.assert_array_equal(decode_mask(content), GREY8 > 127)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("writer", ["png", "jpeg", "tifffile", "png16"])
def test_exif_orientation_is_applied_as_pillow_does(orientation, writer):
    exif = Image.Exif()
    exif[274] = orientation
    reference = Image.fromarray(RGB8)
    reference.getexif()[274] = orientation
    expected = np.asarray(ImageOps.exif_transpose(reference)).transpose(2, 0, 1)
    if writer == "tifffile":
        content = _tiff(RGB8, photometric="rgb", extratags=[(274, "H", 1, orientation, True)])
    elif writer == "png16":
        plain = _png16(RGB8.astype(np.uint16), 2)
        data = exif.tobytes()[6:]  # without the marker "Exif\0\0"
        chunk = struct.pack(">I", len(data)) + b"eXIf" + data + struct.pack(">I", zlib.crc32(b"eXIf" + data))
        content = plain[:33] + chunk + plain[33:]
    elif writer == "jpeg":
        content = _pillow(RGB8, "JPEG", quality=100, exif=exif)
        plain = np.asarray(Image.open(io.BytesIO(content)))
        upright = Image.fromarray(plain)
        upright.getexif()[274] = orientation
        expected = np.asarray(ImageOps.exif_transpose(upright)).transpose(2, 0, 1)
    else:
        content = _pillow(RGB8, "PNG", exif=exif)
    np.testing.assert_array_equal(decode_image(content), expected)


def test_masks_of_several_equal_channels_and_16_bits():
    np.testing.assert_array_equal(decode_mask(_pillow(np.dstack([GREY8] * 3))), GREY8)
    np.testing.assert_array_equal(decode_mask(_pillow(GREY16)), GREY16)
    np.testing.assert_array_equal(decode_mask(_tiff(GREY8.astype(np.float32))), GREY8)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (_pillow(RGB8), "3 channels that differ"),
        (_pillow(GREY8, "JPEG"), "JPEG changes"),
        (_tiff(GREY8 / np.float32(2)), "not integers"),
    ],
)
def test_masks_that_are_no_class_maps(content, said):
    with pytest.raises(ImageFault, match=said) as caught:
        decode_mask(content)
    assert caught.value.what == MASK_VALUE


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite(bad):
    array = np.zeros((4, 4), np.float32)
    array[1, 2] = bad
    with pytest.raises(ImageFault, match="1 of 16") as caught:
        decode_image(_tiff(array))
    assert caught.value.what == NOT_FINITE


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"plain text",
        SIGNATURE,
        _pillow(RGB8)[:60],
        _pillow(RGB8, "JPEG")[:200],
        _pillow(RGB8, "TIFF")[:40],
        _png16(RGB16, 2)[:90],
        _tiff(np.zeros((3, 4, 4), np.uint8), photometric="minisblack"),
        _tiff(np.zeros((3, 4, 4), np.uint8), photometric="minisblack", volumetric=True, tile=(16, 16, 16)),
        _pillow(Image.fromarray(GREY8), "GIF"),
    ],
    ids=["empty", "text", "head", "png", "jpeg", "tiff", "png16", "pages", "volume", "gif"],
)
def test_what_cannot_be_read_is_a_fault(content):
    with pytest.raises(ImageFault) as caught:
        decode_image(content)
    assert caught.value.what == UNREADABLE


def test_a_missing_file(tmp_path):
    with pytest.raises(ImageFault) as caught:
        FolderStore(tmp_path).image("a.png")
    assert caught.value.what == MISSING
