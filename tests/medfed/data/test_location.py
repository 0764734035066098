"""Oracle: what the package and the file system hold."""

from pathlib import Path

import pytest

from medfed.data.location import resolve_path
from medfed.errors import DataError


def test_a_bundled_file_is_found():
    path = resolve_path("package:medfed/data/samples/nuclei/labels.csv")
    assert path.read_text().startswith("image,mask,site,split")


def test_a_plain_path_is_itself(tmp_path):
    (tmp_path / "a.csv").write_text("image\n")
    assert resolve_path(str(tmp_path / "a.csv")) == tmp_path / "a.csv"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("", "data.path is empty"),
        ("nowhere.csv", "no such file"),
        (".", "is a folder"),
        ("package:medfed/data/samples/none.csv", "no such file"),
        ("package:other/x.csv", "expected package:medfed/"),
        ("package:medfed/../secret.csv", "expected package:medfed/"),
    ],
)
def test_anything_else_is_refused(path, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=said):
        resolve_path(path)
    assert list(Path(".").iterdir()) == []
