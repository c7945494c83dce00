"""The statistics of verdicts: paired differences, their interval, Holm's correction, seeds needed, McNemar's test.

Functions of arrays. They use `scipy.special`, which has the distributions behind `scipy.stats`: that takes three times
as long to import at the end of every sweep.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

LEVEL = 0.05  # of all decisions, two-sided; intervals hold 1 - LEVEL
POWER = 0.8
MOST_SEEDS = 10_000  # more are not counted
LEAST = 3  # seeds: the limit of t for two is 12.7, and their interval says nothing that one could use
NOISE = 1e-12  # of the values' size: a difference below it is rounding


class Paired(NamedTuple):
    """What the common seeds of pairs of settings say. Arrays of shape (..., P): a column for each pair.

    Pairs are in the order (0, 1), (0, 2), …, (1, 2), …; NaN where a number is not defined.
    """

    n: np.ndarray  # common seeds
    mean: np.ndarray  # of the differences, first minus second
    sd: np.ndarray  # of the differences, divided by n - 1; NaN for n < 2
    low: np.ndarray  # 95% t interval of the mean difference; NaN, as p, for fewer than `LEAST` seeds
    high: np.ndarray
    p: np.ndarray  # of the paired t test, two-sided
    p_holm: np.ndarray  # corrected for all pairs that have `LEAST` seeds or more


def pairs(settings: int) -> tuple[np.ndarray, np.ndarray]:
    """First and second of each pair of so many settings, in the order of `Paired`."""
    return np.triu_indices(settings, 1)


def paired(values: ArrayLike, kept: ArrayLike | None = None, most: float = np.inf) -> Paired:
    """Compare settings pair by pair, each over the seeds that both have.

    Parameters
    ----------
    values : (..., S, K) a metric of S settings under K seeds; NaN where there is no run
    kept : (P,) which pairs may be compared at all, all if it is left out; the others count as without common seeds
    most : how large a difference of means can be, as 1 for shares; intervals are cut off there and lose nothing by it

    Notes
    -----
    Where all differences of a pair are equal there is no spread for a t test to go by. If they are 0 the settings came
    out the same: p is 1 and the interval is empty around 0. Otherwise p and interval are NaN, and Holm's correction
    counts the pair as one that decides nothing: accuracies are counts over the test samples, and three equal
    differences of them are no proof of precision. Pairs of fewer seeds are never tested, and count for nothing.
    """
    from scipy import special

    values = np.asarray(values, dtype=float)
    first, second = pairs(values.shape[-2])
    one, other = values[..., first, :], values[..., second, :]  # (..., P, K)
    known = np.isfinite(one) & np.isfinite(other)
    if kept is not None:
        known &= np.asarray(kept, dtype=bool)[:, None]
    # in units of a pair's largest value: the square of a loss that exploded does not overflow
    unit = np.where(known, np.maximum(np.abs(one), np.abs(other)), 0.0).max(axis=-1, initial=0.0)
    unit = np.where(unit > 0, unit, 1.0)
    with np.errstate(invalid="ignore"):
        difference = np.where(known, one / unit[..., None] - other / unit[..., None], 0.0)
    difference = np.where(np.abs(difference) > NOISE, difference, 0.0)
    n = known.sum(axis=-1)
    enough, tested = n >= 2, n >= LEAST
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(n > 0, difference.sum(axis=-1) / n, np.nan)
        deviation = np.where(known, difference - mean[..., None], 0.0)
        sd = np.where(enough, np.sqrt((deviation**2).sum(axis=-1) / (n - 1)), np.nan)
        sd = np.where(sd <= NOISE, 0.0, sd)
        degrees = np.where(tested, n - 1, np.nan)
        # t = mean / (sd / sqrt(n)), of which |t| has its tail twice (Student 1908)
        t = np.where(sd > 0, np.abs(mean) / (sd / np.sqrt(n)), np.nan)
        p = np.where(sd > 0, 2 * special.stdtr(degrees, -t), np.nan)
        half = np.where(sd > 0, special.stdtrit(degrees, 1 - LEVEL / 2) * sd / np.sqrt(n), np.nan)
    equal = tested & (sd == 0) & (mean == 0)
    p, half = np.where(equal, 1.0, p), np.where(equal, 0.0, half)
    return Paired(
        n=n,
        mean=mean * unit,
        sd=sd * unit,
        low=np.clip((mean - half) * unit, -most, most),
        high=np.clip((mean + half) * unit, -most, most),
        p=p,
        p_holm=holm(p, tested),
    )


def holm(p: ArrayLike, family: ArrayLike | None = None) -> np.ndarray:
    """p values, (..., P), corrected so that all decisions together are wrong at most so often (Holm 1979).

    NaN stays NaN; where `family` holds it counts as a test that decides nothing, elsewhere as none.
    """
    p = np.asarray(p, dtype=float)
    counted = np.isfinite(p) if family is None else np.asarray(family, dtype=bool)
    tests = counted.sum(axis=-1, keepdims=True)
    filled = np.where(np.isfinite(p) & counted, p, np.inf)
    order = np.argsort(filled, axis=-1, kind="stable")
    # the k-th smallest of m is multiplied by m - k + 1, and never less than those before it
    left = tests - np.arange(p.shape[-1])
    ordered = np.take_along_axis(filled, order, axis=-1) * np.maximum(left, 1)
    corrected = np.minimum(np.maximum.accumulate(ordered, axis=-1), 1.0)
    result = np.empty_like(corrected)
    np.put_along_axis(result, order, corrected, axis=-1)
    return np.where(np.isfinite(p) & counted, result, np.nan)


def power(effect: ArrayLike, n: ArrayLike, level: float = LEVEL) -> np.ndarray:
    """The chance that the paired t test of n seeds decides, two-sided, at that level.

    `effect` is the true mean difference over the standard deviation of differences; under it t follows the noncentral
    t distribution with n - 1 degrees of freedom and noncentrality effect * sqrt(n) (Cohen 1988, section 2).
    """
    from scipy import special

    n = np.asarray(n, dtype=float)
    shift = np.abs(effect) * np.sqrt(n)
    limit = special.stdtrit(n - 1, 1 - level / 2)
    # far out SciPy has no number for a tail that is 0
    below = np.nan_to_num(special.nctdtr(n - 1, shift, limit), nan=0.0)
    other = np.nan_to_num(special.nctdtr(n - 1, shift, -limit), nan=0.0)
    return 1 - below + other


def seeds_needed(mean: ArrayLike, sd: ArrayLike, n: ArrayLike, tests: int = 1) -> np.ndarray:
    """How many seeds would find a difference as large as the one seen four times in five; float, NaN if not known.

    The least number for which `power` is 80%, with the mean and the standard deviation that n seeds showed, at the
    level that Holm's correction asks of the first of so many tests: whatever the others turn out to be, it is enough.
    Not known for n < 3 (the spread of two differences is off by a factor of thirty in either direction), without
    spread, and without a difference. inf stands for more than `MOST_SEEDS`.
    """
    level = LEVEL / max(1, tests)
    mean, sd, n = np.broadcast_arrays(*(np.asarray(each, dtype=float) for each in (mean, sd, n)))
    with np.errstate(invalid="ignore", divide="ignore"):
        asked = (n >= LEAST) & (sd > 0) & (mean != 0)
        effect = np.where(asked, np.abs(mean) / sd, 1.0)
    low, high = np.full(effect.shape, 1), np.full(effect.shape, MOST_SEEDS)  # power(low) is too little
    for _ in range(MOST_SEEDS.bit_length()):
        middle = np.maximum((low + high) // 2, 2)
        enough = power(effect, middle, level) >= POWER
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    found = np.where(power(effect, high, level) >= POWER, high, np.inf)
    return np.where(asked, found, np.nan)


def mcnemar(only_first: ArrayLike, only_second: ArrayLike) -> np.ndarray:
    """p of McNemar's exact test, two-sided: of the samples that one of two has right, half should be either's.

    `only_first` and `only_second` are counts of test samples that one has right and the other wrong. The smaller of
    them is binomial with share 1/2 (McNemar 1947, in its exact form); 1 where there are none.
    """
    from scipy import special

    one, other = np.asarray(only_first), np.asarray(only_second)
    return np.minimum(1.0, 2 * special.bdtr(np.minimum(one, other).astype(float), one + other, 0.5))
