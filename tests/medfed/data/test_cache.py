"""Oracles: the pixels decoded without a cache, and the files that the cache holds."""

import multiprocessing
import os
import shutil
import stat

import numpy as np
import pytest
from PIL import Image

from medfed.data import cache
from medfed.data.cache import content_key, open_decoded
from medfed.data.convert import DecodeSettings, prepare_image
from medfed.data.manifest import read_manifest
from medfed.errors import DataError
from medfed.sections import Columns

SETTINGS = DecodeSettings(8, 1, "bit_depth", "binary", 2)


@pytest.fixture
def table(build):
    return read_manifest(build(("one",), 3), Columns())


def _assert_right(decoded, table):
    for index, record in enumerate(table.records):
        np.testing.assert_array_equal(decoded.images[index], prepare_image(table.store.image(record.image), SETTINGS))
    assert decoded.masks is not None
    assert decoded.masks.shape == (len(table.records), 8, 8)


def _entry(folder):
    (entry,) = [path for path in folder.iterdir() if not path.name.startswith(".")]
    return entry


def test_a_miss_decodes_and_a_hit_does_not(table, own_cache, monkeypatch):
    _assert_right(open_decoded(table, SETTINGS), table)
    monkeypatch.setattr(cache, "load_pair", None)
    found = open_decoded(table, SETTINGS)
    assert isinstance(found.images, np.memmap)
    assert not found.images.flags.writeable
    _assert_right(found, table)


def test_the_folder_is_private_and_nothing_temporary_stays(table, tmp_path):
    folder = tmp_path / "new" / "cache"
    open_decoded(table, SETTINGS, folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(_entry(folder).stat().st_mode) == 0o700
    assert len(list(folder.iterdir())) == 1


def test_the_key_follows_content_order_and_settings_but_not_the_place(table, build, tmp_path):
    key = content_key(table, SETTINGS)
    copy = shutil.copytree(tmp_path, tmp_path / "copy")
    assert content_key(read_manifest(copy / "labels.csv", Columns()), SETTINGS) == key
    reordered = table.replace_records(table.records[::-1])
    others = {content_key(reordered, SETTINGS), content_key(table, DecodeSettings(9, 1, "bit_depth", "binary", 2))}
    image = tmp_path / table.records[0].image
    pixels = np.asarray(Image.open(image)).copy()
    pixels[0, 0] ^= 1
    Image.fromarray(pixels).save(image)
    others.add(content_key(table, SETTINGS))
    assert len(others | {key}) == 4


def test_masks_are_part_of_the_key_only_where_they_are_read(table, tmp_path):
    without = DecodeSettings(8, 1, "bit_depth", "binary", None)
    keys = content_key(table, SETTINGS), content_key(table, without)
    assert table.records[0].mask is not None
    Image.new("L", (10, 12)).save(tmp_path / table.records[0].mask)
    assert content_key(table, SETTINGS) != keys[0]
    assert content_key(table, without) == keys[1]


@pytest.mark.parametrize("name", ["images.npy", "masks.npy", "digests.npy", "checksums.json"])
@pytest.mark.parametrize("damage", ["cut", "changed", "gone"])
def test_a_damaged_entry_is_made_anew(table, own_cache, name, damage):
    open_decoded(table, SETTINGS)
    path = _entry(own_cache) / name
    content = path.read_bytes()
    path.unlink()
    if damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "changed":
        path.write_bytes(content[:-3] + bytes(255 - byte for byte in content[-3:]))
    _assert_right(open_decoded(table, SETTINGS), table)
    assert path.read_bytes() == content


def _open_and_sum(arguments):
    path, folder = arguments
    decoded = open_decoded(read_manifest(path, Columns()), SETTINGS, folder)
    return int(decoded.images.astype(np.int64).sum())


def test_processes_may_race(table, tmp_path):
    folder = tmp_path / "cache"
    with multiprocessing.get_context("fork").Pool(4) as workers:
        sums = workers.map(_open_and_sum, [(table.path, folder)] * 8, chunksize=1)
    assert set(sums) == {_open_and_sum((table.path, folder))}
    assert len(list(folder.iterdir())) == 1


def test_a_loser_of_the_race_uses_what_the_winner_wrote(table, own_cache, monkeypatch):
    rename, calls = os.rename, []

    def late(source, target):
        if not calls:
            calls.append(target)
            shutil.copytree(source, target)  # another process gets there first
        rename(source, target)

    monkeypatch.setattr(cache.os, "rename", late)
    _assert_right(open_decoded(table, SETTINGS), table)
    assert calls
    assert len(list(own_cache.iterdir())) == 1


def test_a_cache_that_cannot_be_written_names_the_variable(table, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MEDFED_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(DataError, match="MEDFED_CACHE"):
        open_decoded(table, SETTINGS)


def test_a_full_disk_names_the_variable_and_leaves_nothing(table, own_cache, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache, "open_memmap", full)
    with pytest.raises(DataError, match=r"No space left on device.*MEDFED_CACHE"):
        open_decoded(table, SETTINGS)
    assert list(own_cache.iterdir()) == []


def test_unusable_images_are_named_and_nothing_is_kept(table, own_cache, tmp_path):
    for record in table.records[:7]:
        (tmp_path / record.image).write_bytes(b"nothing")
    with pytest.raises(DataError) as caught:
        open_decoded(table, SETTINGS)
    lines = str(caught.value).splitlines()
    assert len(lines) == 6
    assert "row 2 (one-train-0.png): unreadable file" in lines[0]
    assert "2 more" in lines[-1]
    assert list(own_cache.iterdir()) == []


def test_mixed_depths_are_widened_to_16_bit(tmp_path):
    eight = np.array([[0, 1], [128, 255]], np.uint8).repeat(4, 0).repeat(4, 1)
    Image.fromarray(eight).save(tmp_path / "a.png")
    Image.fromarray(eight.astype(np.uint16) * 257).save(tmp_path / "b.png")
    Image.fromarray(eight).save(tmp_path / "c.png")
    (tmp_path / "labels.csv").write_text("image\na.png\nb.png\nc.png\n")
    table = read_manifest(tmp_path / "labels.csv", Columns())
    images = open_decoded(table, DecodeSettings(8, 1, "bit_depth", "binary", None)).images
    assert images.dtype == np.uint16
    for image in images:
        np.testing.assert_array_equal(image[0], eight.astype(np.uint16) * 257)
