"""What a section of the audit is, and what it may ask for.

A section is a frozen plug-in: thresholds and budgets are its fields, ``__call__`` measures and returns a
:class:`medfed.audit.results.SectionResult`. It states figures, intervals and thresholds, never a verdict. It draws from
the generators of its context only, writes nothing, and puts no time and no path into its result.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from medfed.audit.results import SectionResult
from medfed.config import Scenario
from medfed.data.dataset import Dataset, pool
from medfed.errors import MedfedError
from medfed.report.load import RunData
from medfed.results import RunResult
from medfed.rng import Name, numpy_generator, torch_generator
from medfed.types import ImageSet, SiteData, Task

Progress = Callable[[str, float], None]
"""Told what is being done and the share of it that is done, 0 to 1."""


class NotTestedError(MedfedError):
    """A section cannot serve this run at all; its message is the reason, and the section is NOT_TESTED."""


@dataclass(frozen=True, eq=False)
class TestImages:
    """Test images of several sites, at most one per patient, so that they are independent of each other.

    Attributes:
        images: in [0, 1], float32.
        labels: class indices, or class maps in segmentation.
        sites: of each image.
        rows: of each image, its record in the data file, counted from 1.
        patients: of each image.
        num_patients: patients there are to draw from.
    """

    __test__: ClassVar[bool] = False

    images: Float[Tensor, "batch channel height width"]
    labels: Int[Tensor, "batch ..."]
    sites: tuple[str, ...]
    rows: tuple[int, ...]
    patients: tuple[str, ...]
    num_patients: int

    def take(self, positions: Sequence[int]) -> "TestImages":
        """Those at ``positions``, in that order."""
        at = list(positions)
        return replace(
            self,
            images=self.images[at],
            labels=self.labels[at],
            sites=tuple(self.sites[i] for i in at),
            rows=tuple(self.rows[i] for i in at),
            patients=tuple(self.patients[i] for i in at),
        )


def _ignore(what: str, done: float) -> None:
    """Nobody watches."""


def _no_simulation(scenario: Scenario) -> RunResult:
    raise NotTestedError("needs further federated runs, which this audit was not given the means for")


@dataclass(frozen=True, eq=False)
class AuditContext:
    """The run under audit.

    Attributes:
        scenario: of the run.
        run: its folder, summary, environment; recorded updates lie under ``run.folder / "recorded"``.
        dataset: the run's data, all sites and splits.
        module: the federated model in evaluation mode; None where the strategy leaves parts of it at the sites.
        seed: of the audit.
        data_change: what is not as it was when the run began; empty where nothing is, None where it is not known.
        trained_here: there is a run; if not, someone else trained the model, and ``run`` is but a name without figures.
        run_scenario: trains another federated run, for sections that need shadow models or left-out sites.
        progress: hears what is done.
    """

    scenario: Scenario
    run: RunData
    dataset: Dataset
    module: nn.Module | None
    seed: int
    data_change: str | None = None
    trained_here: bool = True
    run_scenario: Callable[[Scenario], RunResult] = field(default=_no_simulation)
    progress: Progress = field(default=_ignore)

    @property
    def folder(self) -> Path:
        """Of the run.

        Raises:
            NotTestedError: there is no run.
        """
        if not self.trained_here:
            raise NotTestedError("needs the run that trained the model; this audit was given the model alone")
        return self.run.folder

    @property
    def task(self) -> Task:
        """The scenario's task."""
        return self.scenario.model_task

    @property
    def model(self) -> nn.Module:
        """The federated model.

        Raises:
            NotTestedError: there is no single one.
        """
        if self.module is None:
            raise NotTestedError("the strategy leaves parts of the model at the sites, so there is no single model")
        return self.module

    @property
    def sites(self) -> tuple[str, ...]:
        """All sites of the run, those left out of training included."""
        return self.scenario.federation.sites

    def site(self, name: str) -> SiteData:
        """All images of one site."""
        return self.dataset.site(name)

    def test_sets(self) -> dict[str, ImageSet]:
        """The test images of every site; one entry, over all sites, where they share them."""
        if not self.scenario.data.partition.keeps_sites:
            return {"all sites (one test set)": self.site(self.sites[0]).test}
        return {name: self.site(name).test for name in self.sites}

    def draw_tests(self, limit: int, *stream: Name) -> TestImages:
        """At most ``limit`` test images over all sites, one of each of so many patients, drawn by the seed.

        Raises:
            NotTestedError: there are no test images.
        """
        sets = self.test_sets()
        owner = {int(row): name for name, found in sets.items() for row in found.rows}
        pooled = pool([self.site(name) for name in self.sites]).test
        if not len(pooled):
            raise NotTestedError("the run has no test images")
        order = self.numpy_generator("tests", *stream).permutation(len(pooled))
        first = {pooled.patients[i]: int(i) for i in order[::-1]}  # of a patient's images, the first in the order
        chosen = np.sort(np.array([i for i in order if first[pooled.patients[i]] == i][:limit], dtype=np.int64))
        images, labels = pooled.batch(chosen)
        rows = [int(row) for row in pooled.rows[chosen]]
        return TestImages(
            images,
            labels,
            tuple(owner[row] for row in rows),
            tuple(self.dataset.records[row].row for row in rows),
            tuple(pooled.patients[i] for i in chosen),
            len(first),
        )

    def torch_generator(self, *stream: Name) -> torch.Generator:
        """A CPU generator for the stream; the same seed and names give the same numbers."""
        return torch_generator(self.seed, "audit", *stream)

    def numpy_generator(self, *stream: Name) -> np.random.Generator:
        """A numpy generator for the stream."""
        return numpy_generator(self.seed, "audit", *stream)


@runtime_checkable
class AuditSection(Protocol):
    """A section: thresholds and budgets in the fields.

    Attributes:
        title: what a person calls it.
    """

    title: ClassVar[str]

    def __call__(self, context: AuditContext) -> SectionResult:
        """Measure; ``name``, ``title`` and ``settings`` of the result are set by the runner.

        Raises:
            NotTestedError: it cannot serve this run. Whatever else it raises makes the section an ERROR.
        """
        ...
