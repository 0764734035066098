"""An evaluation as named numbers, which is all that a message of Flower takes, and back.

The name of a number is ``<field>/<metric>/<class, or nothing>``; a value that is undefined is left out.
"""

from collections.abc import Mapping

from medfed.results import Estimate, Evaluation

NUM_IMAGES = "num-images"


def flatten(evaluation: Evaluation) -> dict[str, int | float]:
    """The numbers of ``evaluation``."""
    numbers: dict[str, int | float] = {NUM_IMAGES: evaluation.num_images}
    for group, metrics in ({"": evaluation.metrics} | evaluation.per_class).items():
        for name, estimate in metrics.items():
            for part, value in estimate.model_dump().items():
                if value is not None:
                    numbers[f"{part}/{name}/{group}"] = value
    return numbers


def unflatten(numbers: Mapping[str, int | float]) -> Evaluation:
    """The inverse of :func:`flatten`.

    Raises:
        KeyError, TypeError, ValueError: the numbers are not those of an evaluation, or one is not finite.
    """
    found: dict[str, dict[str, dict[str, int | float]]] = {"": {}}
    for key, value in numbers.items():
        if "/" in key:
            part, name, group = key.split("/", 2)
            found.setdefault(group, {}).setdefault(name, {})[part] = value
    groups = {g: {name: _estimate(fields) for name, fields in metrics.items()} for g, metrics in found.items()}
    return Evaluation(metrics=groups.pop(""), per_class=groups, num_images=int(str(numbers[NUM_IMAGES])))


def _estimate(fields: Mapping[str, int | float]) -> Estimate:
    return Estimate(
        value=fields.get("value"),
        low=fields.get("low"),
        high=fields.get("high"),
        n=int(fields["n"]),
        se=fields.get("se"),
    )
