"""Was federating worth it? Two truths in plain sentences: on other sites' images, and on a site's own.

A gain is claimed only where 95 % intervals do not overlap.
"""

from dataclasses import dataclass

from medfed.report.comparison import Difference, compare, mean_estimate, own_mean, pick
from medfed.report.text import interval, labels, listing, metric_title, number, percent
from medfed.results import LOWER_IS_BETTER, Estimate, Summary


@dataclass(frozen=True)
class Verdict:
    """The answer in one line and the sentences behind it."""

    answer: str
    sentences: list[str]


def verdict(summary: Summary) -> Verdict:
    """The answer for the headline metric, from the summary alone."""
    if not any(pick(site.federated, summary.headline_metric) for site in summary.sites.values()):
        reason = "The run stopped before" if summary.status == "STOPPED" else "The run ended without"
        return Verdict("Not known.", [f"{reason} the federated model was scored, so there is nothing to compare."])
    others, others_text = _others(summary)
    own = own_site(summary)
    answer = f"{_OTHERS[others]} {_own_answer(own, own_mean(summary, summary.headline_metric).difference)}"
    return Verdict(answer, [text for text in (others_text, _own_text(summary, own), _left_out(summary)) if text])


def own_site(summary: Summary) -> dict[str, Difference]:
    """Per site: the federated model against the site's own model, on the site's own test images."""
    metric = summary.headline_metric
    return {
        name: compare(pick(site.federated, metric), pick(site.local, metric), metric)
        for name, site in summary.sites.items()
    }


def federated_mean(summary: Summary) -> Estimate | None:
    """The federated headline over all sites, from the summary or, where absent, from its sites."""
    metric = summary.headline_metric
    stored = pick(summary.mean.federated, metric)
    return stored or mean_estimate(summary, (pick(site.federated, metric) for site in summary.sites.values()), metric)


def best_local(summary: Summary) -> tuple[str, Estimate] | None:
    """The site whose own model has the best mean over all sites, and that mean; None without a matrix."""
    metric = summary.headline_metric
    means: dict[str, Estimate] = {}
    for name, row in summary.cross_site.items():
        mean = mean_estimate(summary, (pick(metrics, metric) for metrics in row.values()), metric)
        if mean is not None:
            means[name] = mean
    if not means:
        return None
    sign = -1.0 if metric in LOWER_IS_BETTER else 1.0
    best = summary.best_local_site.get(metric, "")
    if best not in means:
        best = max(means, key=lambda name: sign * (means[name].value or 0.0))
    return best, means[best]


def gap_is_defined(summary: Summary) -> bool:
    """Whether the headline is known of all three models that a gap is made of."""
    pooled = pick(summary.mean.pooled, summary.headline_metric)
    return pooled is not None and federated_mean(summary) is not None and best_local(summary) is not None


def elsewhere_mean(summary: Summary) -> Estimate | None:
    """Mean of the local models on sites that they were not trained at (off the diagonal of the matrix)."""
    metric = summary.headline_metric
    cells = (
        pick(metrics, metric)
        for trained_at, row in summary.cross_site.items()
        for tested_at, metrics in row.items()
        if tested_at != trained_at
    )
    return mean_estimate(summary, cells, metric)


_OTHERS = {
    Difference.BETTER: "Worth it for images from other sites.",
    Difference.WORSE: "Not worth it over all sites: the best single-site model does better.",
    Difference.UNCLEAR: "Over all sites, no clear difference to the best single-site model.",
    Difference.UNKNOWN: "Other sites' images: not compared.",
}


def _others(summary: Summary) -> tuple[Difference, str]:
    metric, title = summary.headline_metric, metric_title(summary.headline_metric)
    federated, best = federated_mean(summary), best_local(summary)
    reached = f"Over the images of all sites the federated model reaches a mean {title} of {_told(federated)}"
    if best is None:
        return Difference.UNKNOWN, f"{reached}; there is no cross-site table of single-site models to compare it with."
    name, estimate = best
    found = compare(federated, estimate, metric)
    words = {
        Difference.BETTER: "a clear gain",
        Difference.WORSE: "clearly worse",
        Difference.UNCLEAR: "no clear difference, as the intervals overlap",
        Difference.UNKNOWN: "not comparable",
    }
    text = (
        f"{reached}, the best single-site model (trained at {_label(summary, name)}) {_told(estimate)}: {words[found]}."
    )
    return found, " ".join(filter(None, [text, _gap(summary), _elsewhere(summary)]))


def _gap(summary: Summary) -> str:
    pooled, gap = pick(summary.mean.pooled, summary.headline_metric), summary.gap_closed.get(summary.headline_metric)
    if pooled is None:
        return ""
    reference = f"a model trained on all images pooled ({number(pooled.value)})"
    if gap is None and not gap_is_defined(summary):
        return f"No share of a gap to {reference} is given: one of the three scores is undefined."
    if gap is None:
        return f"No share of a gap is given for {reference}: it is hardly better than the best single-site model."
    if gap < 0:
        return f"None of the gap to {reference} is closed."
    return f"In point estimates this closes {percent(gap)} of the gap to {reference}."


def _elsewhere(summary: Summary) -> str:
    estimate = elsewhere_mean(summary)
    if estimate is None:
        return ""
    if summary.shared_test:
        return "All sites are tested on the same images, so own and other sites' images do not differ here."
    return f"A single-site model averages {number(estimate.value)} on sites that it was not trained at."


_OWN_AVERAGE = {
    Difference.BETTER: "better on average, though clearly at no single site.",
    Difference.WORSE: "worse on average, though clearly at no single site.",
}


def _own_answer(own: dict[str, Difference], average: Difference) -> str:
    found = [value for value in own.values() if value is not Difference.UNKNOWN]
    if not found:
        return "A site's own images: not compared."
    better, worse = found.count(Difference.BETTER), found.count(Difference.WORSE)
    if not better and not worse:
        return f"On a site's own images, {_OWN_AVERAGE.get(average, 'no clear difference.')}"
    whole = f" of {_sites(len(found))}"
    parts = [f"{better}{whole} clearly {'gains' if better == 1 else 'gain'}"] if better else []
    if worse:
        parts.append(f"{worse}{'' if better else whole} clearly {'loses' if worse == 1 else 'lose'}")
    return f"On a site's own images, {' and '.join(parts)}."


def _own_text(summary: Summary, own: dict[str, Difference]) -> str:
    label = labels(summary.sites)
    groups = {kind: [label[name] for name, value in own.items() if value is kind] for kind in Difference}
    compared = sum(len(groups[kind]) for kind in Difference if kind is not Difference.UNKNOWN)
    if not compared:
        return "No site has both a federated and an own-site score, so nothing is said about a site's own images."
    words = {
        Difference.BETTER: "clearly better",
        Difference.UNCLEAR: "no clear difference",
        Difference.WORSE: "clearly worse",
    }
    parts = [
        f"{text} at {len(groups[kind])} of {_sites(compared)} ({listing(groups[kind])})"
        for kind, text in words.items()
        if groups[kind]
    ]
    mean = own_mean(summary, summary.headline_metric)
    average = f"on average {_told(mean.federated)} against {_told(mean.local)}, {words[mean.difference]}"
    return f"At home, against the site's own model on the site's own test images: {'; '.join([*parts, average])}."


def _left_out(summary: Summary) -> str:
    metric, parts = summary.headline_metric, []
    for name in summary.left_out:
        site = summary.sites.get(name)
        estimate = pick(site.federated, metric) if site else None
        if estimate is not None:
            parts.append(f"{_told(estimate)} at {_label(summary, name)}")
    if not parts:
        return ""
    return f"On sites left out of training, the federated model reaches {listing(parts)}."


def _label(summary: Summary, name: str) -> str:
    return labels([*summary.sites, name])[name]


def _told(estimate: Estimate | None) -> str:
    ends = interval(estimate)
    return number(estimate.value if estimate else None) + (f" ({ends})" if ends else "")


def _sites(count: int) -> str:
    return "1 site" if count == 1 else f"{count} sites"
