"""What is killed by the chaos benchmark: one short model, and every place where a run keeps something."""

from dataclasses import dataclass

WORKERS = 2
NAME = "chaos"

_COMMON = f"""
name = "{NAME}"
task = {{ kind = "classification", classes = ["normal", "pneumonia"] }}
model = {{ name = "small_cnn", width = 4 }}

[data]
path = "package:medfed/data/samples/pneumoniamnist/pneumoniamnist.npz"
image_size = 28
partition = {{ name = "dirichlet", num_sites = 5, alpha = 0.5 }}

[training]
rounds = 5
local_steps = 6
batch_size = 16
loss = "cross_entropy"
trainer = {{ name = "simulations.benchmarks.chaos_trainer:Counted" }}

[evaluation]
resamples = 100
"""


@dataclass(frozen=True)
class Case:
    """A scenario: ``federation`` is the body of that table; ``baselines`` is off unless it says what is trained."""

    name: str
    federation: str
    spool: bool
    baselines: bool = False

    @property
    def toml(self) -> str:
        """The scenario file."""
        on = str(self.baselines).lower()
        tables = f"""
[federation]
{self.federation}

[engine]
workers = {WORKERS}
spool = {str(self.spool).lower()}

[baselines]
local = {on}
pooled = {on}
"""
        return _COMMON + tables


CASES = (
    Case("scaffold, spool", 'strategy = { name = "scaffold" }', spool=True),
    Case("fedavg, baselines", 'strategy = { name = "fedavg" }', spool=False, baselines=True),
    Case("ditto, spool", 'strategy = { name = "ditto" }', spool=True),
    Case("fedadam", 'strategy = { name = "fedadam", lr = 0.01 }', spool=False),
    Case("median", 'aggregator = { name = "median" }', spool=False),
    Case(
        "top-k, clipping, spool, baselines",
        'compression = { name = "top_k", share = 0.1 }\naggregator = { name = "centred_clipping", radius = 1.0 }',
        spool=True,
        baselines=True,
    ),
    Case("cyclic, spool", 'strategy = { name = "cyclic" }', spool=True),
)
"""State at the server, at the sites, in the aggregator, in what compression left out; in the spool and beside it."""
