"""A split for data that comes without one: 70 % train, 10 % validation, 20 % test per site, by patient."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

from medfed.data.table import Record, Table
from medfed.rng import derive_seed
from medfed.types import Split

TEST_PERCENT = 20
VAL_PERCENT = 10


def fill_splits(table: Table, seed: int) -> Table:
    """The table with a split for every record; unchanged if the file has splits."""
    if all(record.split is not None for record in table.records):
        return table
    split = hashed_splits(table.records, seed)
    records = tuple(replace(record, split=split[record.unit]) for record in table.records)
    return table.replace_records(
        records,
        "the data have no split; made one of 70 % train, 10 % val, 20 % test "
        f"per site, by a hash of patient (or image name) and seed {seed}",
    )


def all_for_test(table: Table) -> Table:
    """The table with every record that has no split for the test: nothing is trained on it."""
    records = tuple(record if record.split else replace(record, split="test") for record in table.records)
    return table.replace_records(records)


def hashed_splits(records: Sequence[Record], seed: int) -> dict[str, Split]:
    """Split of every unit (patient or image).

    Inside a site, units are put in the order of their hash; the first become test until a fifth of the site's
    images is reached, the next validation, so that small sites get their share too (at least one unit each). A
    patient seen at several sites counts at the alphabetically first and is in one split everywhere.
    """
    home: dict[str, str] = {}
    sizes: Counter[str] = Counter()
    for record in records:
        home[record.unit] = min(record.site, home.get(record.unit, record.site))
        sizes[record.unit] += 1
    units: dict[str, list[str]] = defaultdict(list)
    for unit, site in home.items():
        units[site].append(unit)
    result: dict[str, Split] = {}
    for members in units.values():
        result.update(_one_site(members, sizes, seed))
    return result


def _one_site(units: list[str], sizes: Counter[str], seed: int) -> dict[str, Split]:
    ordered = sorted(units, key=lambda unit: (derive_seed(seed, "split", unit), unit))
    total = sum(sizes[unit] for unit in units)
    result: dict[str, Split] = {}
    before = 0
    for position, unit in enumerate(ordered):
        later = len(ordered) - position - 1
        if later >= 2 and 100 * before < TEST_PERCENT * total:
            result[unit] = "test"
        elif later >= 1 and ("val" not in result.values() or 100 * before < (TEST_PERCENT + VAL_PERCENT) * total):
            result[unit] = "val"
        else:
            result[unit] = "train"
        before += sizes[unit]
    return result
