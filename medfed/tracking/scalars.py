"""A round as named numbers, for trackers that draw curves."""

from collections.abc import Iterator

from medfed.results import RoundResult, SiteRound


def scalars(result: RoundResult) -> dict[str, float]:
    """``seconds``, ``bytes_up``, ``bytes_down``, ``num_failed``, ``epsilon``; by site and as means over sites the rest.

    ``loss/SITE``, ``val_METRIC/SITE``, and ``mean_loss``, ``mean_val_METRIC``, each site counting once. What is
    undefined is left out.
    """
    found = {
        "seconds": result.seconds,
        "bytes_up": float(result.bytes_up),
        "bytes_down": float(result.bytes_down),
        "num_failed": float(len(result.failed)),
    }
    if result.epsilon is not None:
        found["epsilon"] = result.epsilon
    by_name: dict[str, list[float]] = {}
    for site, values in result.sites.items():
        for name, value in _of_site(values):
            found[f"{name}/{site}"] = value
            by_name.setdefault(name, []).append(value)
    return found | {f"mean_{name}": sum(values) / len(values) for name, values in by_name.items()}


def _of_site(values: SiteRound) -> Iterator[tuple[str, float]]:
    if values.loss is not None:
        yield "loss", values.loss
    for metric, value in values.val.items():
        if value is not None:
            yield f"val_{metric}", value
