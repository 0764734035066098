"""A run of MLflow: in the database RUN/mlflow.db, or where the scenario or the variable MLFLOW_TRACKING_URI says.

What was logged cannot be taken out of MLflow again, so a resumed run goes on with the MLflow run that has its id as
tag, and logs the rounds that are missing there.
"""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from medfed.files import file_name
from medfed.registry import plugin
from medfed.results import RoundResult
from medfed.tracking.contract import Sink, TrackedRun
from medfed.tracking.packages import require
from medfed.tracking.scalars import scalars

FILE = "mlflow.db"  # MLflow 3.17 refuses a plain folder
TAG = "medfed.run"
_LAST = "seconds"  # logged in the last batch of a round: where it is, the round is complete
_BATCH = 1000  # metrics in one request, MLflow's own limit


@dataclass(frozen=True)
class _Open:
    client: Any
    run_id: str

    def add(self, result: RoundResult) -> None:
        from mlflow.entities import Metric

        values = scalars(result)
        values[_LAST] = values.pop(_LAST)
        now = round(1000 * time.time())  # milliseconds
        metrics = [Metric(_key(name), value, now, result.round) for name, value in values.items()]
        for start in range(0, len(metrics), _BATCH):
            self.client.log_batch(self.run_id, metrics=metrics[start : start + _BATCH])

    def close(self) -> None:
        self.client.set_terminated(self.run_id)


@plugin
class Mlflow:
    """Logs to MLflow; needs the package mlflow.

    ``tracking_uri``: empty takes MLFLOW_TRACKING_URI, and without that variable mlflow.db in the run's folder.
    """

    tracking_uri: str = ""

    def check(self) -> None:
        """Look for the package."""
        require("mlflow", "mlflow", "mlflow")

    def __call__(self, run: TrackedRun, past: Sequence[RoundResult]) -> Sink:
        """Find or make the MLflow run, and log what it lacks."""
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read when it is imported
        from mlflow import MlflowClient

        store = f"sqlite:///{run.folder.absolute() / FILE}"
        client = MlflowClient(self.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI", "") or store)
        experiment = client.get_experiment_by_name(run.name)
        experiment_id = experiment.experiment_id if experiment else client.create_experiment(run.name)
        found = client.search_runs([experiment_id], filter_string=f"tags.`{TAG}` = '{run.run_id}'")
        made = found[0] if found else client.create_run(experiment_id, tags={TAG: run.run_id}, run_name=run.name)
        sink = _Open(client, made.info.run_id)
        client.update_run(sink.run_id, status="RUNNING")
        logged = {metric.step for metric in client.get_metric_history(sink.run_id, _LAST)}
        for result in past:
            if result.round not in logged:
                sink.add(result)
        return sink


def _key(name: str) -> str:
    """MLflow takes letters, digits and ``_-. :/``; what ``file_name`` writes as %20 becomes :20."""
    what, slash, site = name.partition("/")
    return what + slash + file_name(site).replace("%", ":") if slash else name
