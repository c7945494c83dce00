"""Whether probabilities are what they say: of the samples predicted with 80%, are 80% right?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from labrunner.figures.look import BLACK, BLUE, GREY, ORANGE, VERMILLION, of_samples, page
from labrunner.records import Run

BINS = 15  # as many as Guo et al. use
MARGINS = ("perceptron", "adaline")  # models whose scores are distances


class Bins(NamedTuple):
    """Test samples by the probability of their predicted class, in equal bins; NaN where a bin is empty."""

    counts: np.ndarray  # (B,) samples
    hits: np.ndarray  # (B,) of which are right
    confidence: np.ndarray  # (B,) mean probability
    accuracy: np.ndarray  # (B,) share that is right

    @property
    def error(self) -> float:
        """Expected calibration error: mean |accuracy - confidence| of a bin, weighed by samples (Guo et al. 2017)."""
        there = self.counts > 0
        gaps = np.abs(self.accuracy[there] - self.confidence[there])
        return float(np.sum(self.counts[there] * gaps) / np.sum(self.counts))


def binned(confidence: np.ndarray, right: np.ndarray, bins: int = BINS) -> Bins:
    """Sort confidences (N,) in [0, 1] of predictions that are `right` (N,) bool or not into (0, 1/B], (1/B, 2/B] …"""
    edges = np.linspace(0.0, 1.0, bins + 1)
    at = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    counts = np.bincount(at, minlength=bins)
    hits = np.bincount(at, weights=right, minlength=bins)
    sums = np.bincount(at, weights=confidence, minlength=bins)
    blank = np.full(bins, np.nan)
    there = counts > 0
    mean = np.divide(sums, counts, out=blank.copy(), where=there)
    return Bins(counts, hits, mean, np.divide(hits, counts, out=blank.copy(), where=there))


def reliability(run: Run) -> Figure | None:
    """Accuracy of the test samples against the probability of their predicted class, and how many have which.

    None without predictions, and where p_<class> are no probabilities but only rank: under model.loss=mse scores aim at
    0 and 1, so that their softmax rises little above 1/K, and perceptron and adaline have distances for scores. Their
    diagram would show every model as far too modest, which says something of the softmax and nothing of the model.
    """
    model = run.config.get("model") or {}
    if run.predictions is None or len(run.predictions) == 0:
        return None
    if model.get("loss") == "mse" or model.get("name") in MARGINS:
        return None
    probability = run.predictions.iloc[:, 3:].to_numpy(dtype=float)
    if not np.isfinite(probability).all():
        return None
    predicted = run.predictions["predicted"].to_numpy()
    right = predicted == run.predictions["label"].to_numpy()
    bins = binned(probability[np.arange(len(predicted)), predicted], right)

    figure = page(6.0)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    middles, width = (np.arange(BINS) + 0.5) / BINS, 1.0 / BINS
    there = bins.counts > 0
    upper.bar(middles[there], bins.accuracy[there], width, color=BLUE, alpha=0.35, edgecolor="white", zorder=1)
    upper.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1.2, label="as it should be", zorder=2)
    upper.vlines(
        bins.confidence[there], bins.accuracy[there], bins.confidence[there], color=ORANGE, linewidth=5.0, zorder=3
    )
    low, high = _interval(bins.hits[there], bins.counts[there])
    upper.errorbar(
        bins.confidence[there],
        bins.accuracy[there],
        yerr=np.abs((bins.accuracy[there] - low, high - bins.accuracy[there])),
        fmt="o",
        markersize=5.5,
        color=BLUE,
        elinewidth=1.0,
        capsize=3,
        label="accuracy at mean confidence, 95% interval",
        zorder=4,
    )
    upper.plot([], [], color=ORANGE, linewidth=5.0, label="gap")
    upper.set(xlim=(0, 1), ylim=(0, 1.03), ylabel="share that is right")
    upper.set_title(
        f"expected calibration error {bins.error:.4f} ({BINS} bins)\n"
        f"{of_samples(run, len(right))}: accuracy {right.mean():.1%}, mean confidence {_mean(bins):.1%}",
        fontsize=11,
    )

    lower.bar(middles, bins.counts, width, color=BLUE, alpha=0.6, edgecolor="white")
    lower.axvline(_mean(bins), color=VERMILLION, linestyle="-.", linewidth=2.0, label="mean confidence")
    lower.axvline(float(right.mean()), color=BLACK, linewidth=2.0, label="accuracy")
    lower.set(xlabel="confidence: probability of the predicted class", ylabel="samples")
    lower.yaxis.set_major_locator(MaxNLocator(3, integer=True, min_n_ticks=1))
    figure.legend(loc="outside lower center", ncols=3, fontsize=10.5, borderaxespad=0.0)
    for axis in (upper.xaxis, upper.yaxis):
        axis.set_major_formatter(PercentFormatter(xmax=1.0, decimals=0))
    return figure


def _mean(bins: Bins) -> float:
    """Mean confidence over all samples."""
    there = bins.counts > 0
    return float(np.sum(bins.counts[there] * bins.confidence[there]) / np.sum(bins.counts))


def _interval(hits: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The 95% intervals of shares of `hits` in `n` (Wilson 1927), as (low, high)."""
    z, share = 1.959963984540054, hits / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return np.where(hits == 0, 0.0, centre - half), np.where(hits == n, 1.0, centre + half)
