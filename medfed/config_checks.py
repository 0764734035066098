"""What cannot go together in a scenario, though each part is right by itself."""

from collections.abc import Iterator
from typing import Any

from medfed import registry
from medfed.sections import HEADLINES, EvaluationConfig, RecordConfig, TaskConfig, TrainingConfig


def misfits(
    task: TaskConfig, model: Any, training: TrainingConfig, evaluation: EvaluationConfig, record: RecordConfig
) -> Iterator[str]:
    """One line per misfit of these sections, each naming its key."""
    headline, allowed = evaluation.headline, HEADLINES[task.kind]
    if headline is not None and headline not in allowed:
        yield f'key "evaluation.headline": "{headline}" does not suit {task.kind}; allowed: {", ".join(allowed)}'
    for kind, key, plugin in (("model", "model", model), ("loss", "training.loss", training.loss)):
        if not _suits(plugin, task):
            suitable = [name for name, entry in registry.table(kind).items() if _suits(entry, task)]
            yield (
                f'key "{key}": "{registry.name_of(kind, plugin)}" is not for {task.kind} with task.head = '
                f'"{task.head}"; suitable: {", ".join(sorted(suitable))}'
            )
    weights = getattr(training.loss, "class_weights", None)
    if isinstance(weights, tuple) and len(weights) != len(task.classes):
        expected = f"expected {len(task.classes)} numbers, one per class of task.classes"
        yield f'key "training.loss.class_weights": {expected}; got {len(weights)}'
    rounds = training.rounds
    outside = [number for number in record.rounds if number == 0 or abs(number) > rounds]
    if outside:
        yield f'key "record.rounds": expected 1 to {rounds}, or -1 to -{rounds} from the end; got {outside}'
    from_end = [number for number in record.rounds if number < 0]
    if from_end and evaluation.patience:
        yield (
            f'key "record.rounds": which round is the last is not known beforehand where evaluation.patience is set; '
            f"expected rounds counted from 1; got {from_end}"
        )


def _suits(plugin: Any, task: TaskConfig) -> bool:
    """Whether a model or loss says that it is for this task; one that says nothing is taken at its word."""
    return task.kind in getattr(plugin, "kinds", (task.kind,)) and task.head in getattr(plugin, "heads", (task.head,))
