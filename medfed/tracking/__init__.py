"""Trackers: where the figures of a run go beside its folder's own files. One file per tracker, one line here."""

from medfed.tracking.csv_file import Csv
from medfed.tracking.mlflow_run import Mlflow
from medfed.tracking.tensorboard_events import TensorBoard

TRACKERS = {"csv": Csv, "tensorboard": TensorBoard, "mlflow": Mlflow}
