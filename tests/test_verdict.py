"""Verdicts between runs: how often they are wrong where the truth is known, SciPy and statsmodels, and their words."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as their_mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

from labrunner import comparison
from labrunner.records import METRICS, Sweep, SweepFolder, load_sweep
from labrunner.told import plain
from labrunner.verdict import Judgement, Pair, RunPair, judge, statistics, words, write
from tests.sweeps import write_sweep
from tests.unsynced import unsynced  # noqa: F401 (for every test here)

DRAWS = 2000
SEEDS = 5


def at_most(share: float) -> float:
    """What so many draws of an event of this probability stay below, but once in a thousand times."""
    return stats.binom.ppf(0.999, DRAWS, share) / DRAWS


def at_least(share: float) -> float:
    return stats.binom.ppf(0.001, DRAWS, share) / DRAWS


@pytest.fixture(scope="module")
def alike() -> np.ndarray:
    """(draws, settings, seeds) accuracies of four settings that are equally good; seeds are good or bad for all."""
    rng = np.random.default_rng(2024)
    of_seed = 0.02 * rng.standard_normal((DRAWS, 1, SEEDS))
    return 0.9 + of_seed + 0.01 * rng.standard_normal((DRAWS, 4, SEEDS))


# where the truth is known


def test_of_two_equal_settings_one_in_twenty_is_said_to_win(alike):
    found = statistics.paired(alike[:, :2])
    share = (found.p_holm <= 0.05).mean()
    assert at_least(0.05) <= share <= at_most(0.05)


def test_of_four_equal_settings_any_is_said_to_win_in_one_table_in_twenty_at_most(alike):
    found = statistics.paired(alike)
    assert (found.p_holm <= 0.05).any(axis=-1).mean() <= at_most(0.05)
    assert (found.p <= 0.05).any(axis=-1).mean() > 2 * 0.05  # without a correction


def test_picking_the_best_first_does_not_make_up_a_winner(alike):
    """All pairs are corrected for; those of the best alone would not be enough, for it was picked by these numbers."""
    best = alike.mean(axis=-1).argmax(axis=-1)
    first, second = statistics.pairs(4)
    of_best = (first == best[:, None]) | (second == best[:, None])
    found = statistics.paired(alike)
    assert ((found.p_holm <= 0.05) & of_best).any(axis=-1).mean() <= at_most(0.05)
    of_best_alone = statistics.holm(np.where(of_best, found.p, np.nan))
    assert (of_best_alone <= 0.05).any(axis=-1).mean() > at_most(0.05)


@pytest.mark.parametrize("difference", [0.0, 0.013])
def test_intervals_hold_the_true_difference_in_nineteen_of_twenty_draws(alike, difference):
    shifted = alike[:, :2] + np.array([[difference], [0.0]])
    found = statistics.paired(shifted)
    share = ((found.low <= difference) & (difference <= found.high)).mean()
    assert at_least(0.95) <= share <= at_most(0.95)


@pytest.mark.parametrize("samples", [40, 360])
def test_mcnemar_is_wrong_of_equal_runs_at_most_one_time_in_twenty(samples):
    rng = np.random.default_rng(samples)
    hardness = rng.uniform(0.5, 1, (DRAWS, samples))  # a sample is easy or hard for both
    right = rng.random((2, DRAWS, samples)) < hardness
    only_first, only_second = (right[0] & ~right[1]).sum(axis=-1), (right[1] & ~right[0]).sum(axis=-1)
    share = (statistics.mcnemar(only_first, only_second) <= 0.05).mean()
    assert 0 < share <= at_most(0.05)


def test_as_many_seeds_as_are_said_to_be_needed_find_the_difference_four_times_in_five():
    mean, sd = 0.012, 0.015
    needed = int(statistics.seeds_needed(mean, sd, 5))
    rng = np.random.default_rng(7)
    for count, enough in ((needed, True), (needed - 3, False)):
        values = np.zeros((DRAWS, 2, count))
        values[:, 0] = mean + sd * rng.standard_normal((DRAWS, count))
        share = (statistics.paired(values).p <= 0.05).mean()
        assert (share >= at_least(0.8)) == enough


def test_as_many_as_are_needed_among_several_pairs_are_enough_after_the_correction():
    mean, sd = 0.02, 0.01
    needed = int(statistics.seeds_needed(mean, sd, 5, tests=6))
    assert needed > int(statistics.seeds_needed(mean, sd, 5))
    rng = np.random.default_rng(11)
    values = rng.standard_normal((DRAWS, 4, needed)) * sd / np.sqrt(2)  # differences have the deviation sd
    values[:, 0] += mean
    assert (statistics.paired(values).p_holm[:, :3] <= 0.05).mean() >= at_least(0.8)


# others' words


def test_the_paired_test_is_that_of_scipy():
    rng = np.random.default_rng(0)
    values = rng.normal(0.9, 0.02, (4, 6))
    values[1, 0] = values[3, 4] = np.nan  # a pair has the seeds that both have
    found = statistics.paired(values)
    for column, (a, b) in enumerate(zip(*statistics.pairs(4), strict=True)):
        common = np.isfinite(values[a]) & np.isfinite(values[b])
        theirs = stats.ttest_rel(values[a][common], values[b][common])
        interval = theirs.confidence_interval(0.95)
        assert found.n[column] == common.sum()
        ours = (found.p[column], found.low[column], found.high[column], found.sd[column])
        sd = np.std((values[a] - values[b])[common], ddof=1)
        assert ours == pytest.approx((theirs.pvalue, interval.low, interval.high, sd), rel=1e-9)


def test_holm_is_that_of_statsmodels():
    rng = np.random.default_rng(1)
    p = rng.uniform(0, 0.1, (20, 7))
    p[0, :3] = 0.01  # ties
    ours = statistics.holm(p)
    for row, corrected in zip(p, ours, strict=True):
        reject, theirs, *_ = multipletests(row, alpha=0.05, method="holm")
        assert corrected == pytest.approx(theirs, rel=1e-12)
        assert (corrected <= 0.05).tolist() == reject.tolist()


def test_what_cannot_be_tested_counts_in_the_family_and_stays_blank():
    corrected = statistics.holm([0.02, np.nan, np.nan], family=[True, True, False])
    assert corrected.tolist()[0] == pytest.approx(0.04)
    assert np.isnan(corrected[1:]).all()


@pytest.mark.parametrize("counts", [(0, 0), (0, 6), (3, 12), (12, 3), (8, 8), (40, 21), (500, 430)], ids=str)
def test_mcnemar_is_that_of_statsmodels_and_a_binomial_test(counts):
    ours = float(statistics.mcnemar(*counts))
    table = [[50, counts[0]], [counts[1], 7]]
    assert ours == pytest.approx(min(1.0, their_mcnemar(table, exact=True).pvalue), rel=1e-9)
    if sum(counts):
        assert ours == pytest.approx(stats.binomtest(counts[0], sum(counts)).pvalue, rel=1e-9)


@pytest.mark.parametrize("effect", [0.05, 0.3, 0.8, 1.5, 4.0])
def test_the_seeds_needed_are_those_of_statsmodels_rounded_up(effect):
    theirs = TTestPower().solve_power(effect_size=effect, alpha=0.05, power=0.8, alternative="two-sided")
    assert statistics.seeds_needed(effect * 0.01, 0.01, 5) == np.ceil(theirs)
    strict = TTestPower().solve_power(effect_size=effect, alpha=0.05 / 6, power=0.8, alternative="two-sided")
    assert statistics.seeds_needed(effect * 0.01, 0.01, 5, tests=6) == np.ceil(strict)
    if effect < 2:  # past that statsmodels has no number
        assert statistics.power(effect, 4) == pytest.approx(
            TTestPower().power(effect, 4, 0.05, alternative="two-sided")
        )


# where there is nothing to go by


def test_equal_results_are_equal_and_no_division_by_zero():
    found = statistics.paired([[0.9, 0.8, 0.7], [0.9, 0.8, 0.7]])
    assert [float(each[0]) for each in found[1:]] == [0.0, 0.0, 0.0, 0.0, 1.0, 1.0]


def test_a_difference_without_spread_decides_nothing():
    found = statistics.paired([[0.9, 0.8, 0.7], [0.91, 0.81, 0.71], [0.3, 0.2, 0.9]])
    assert found.sd[0] == 0
    assert found.mean[0] == pytest.approx(-0.01)
    assert np.isnan([found.low[0], found.high[0], found.p[0], found.p_holm[0]]).all()
    assert found.p_holm[1] >= 2 * found.p[1]  # it is a pair of the table all the same


def test_a_seed_that_one_lacks_is_in_no_pair_and_one_seed_is_no_pair():
    found = statistics.paired([[0.9, 0.8, np.nan], [0.7, np.nan, 0.6], [0.5, 0.3, 0.2]])
    assert found.n.tolist() == [1, 2, 2]
    assert np.isnan([found.sd[0], found.p[0], found.p_holm[0]]).all()
    assert found.sd[1:] == pytest.approx([np.std([0.4, 0.5], ddof=1), np.std([0.2, 0.4], ddof=1)])


@pytest.mark.parametrize("equal", [False, True])
def test_two_seeds_have_no_interval_and_three_do(equal):
    values = np.array([[0.9, 0.8, 0.7], [0.9, 0.8, 0.7] if equal else [0.5, 0.41, 0.29]])
    two, three = statistics.paired(values[:, :2]), statistics.paired(values)
    assert np.isnan([two.low[0], two.high[0], two.p[0], two.p_holm[0]]).all()
    assert np.isfinite([three.low[0], three.high[0], three.p[0], three.p_holm[0]]).all()


def test_pairs_of_two_seeds_are_not_tested_and_cost_the_others_nothing():
    values = np.array([[0.9, 0.8, 0.73], [0.5, 0.41, 0.29], [0.3, np.nan, 0.2], [np.nan, 0.4, 0.3]])
    found = statistics.paired(values)
    assert found.n.tolist() == [3, 2, 2, 2, 2, 1]
    assert found.p_holm[0] == found.p[0]
    assert np.isnan(found.p_holm[1:]).all()


def test_intervals_end_where_a_difference_of_shares_does_and_hold_the_true_one_as_often():
    rng = np.random.default_rng(5)
    learned = rng.random((DRAWS, 2, 3)) < 0.5  # runs that fail to learn, or do
    values = np.where(learned, 0.95, 0.1) + 0.02 * rng.standard_normal((DRAWS, 2, 3))
    free, cut = statistics.paired(values), statistics.paired(values, most=1.0)
    assert (free.high > 1).mean() > 0.1
    assert np.nanmax(cut.high) == 1
    assert np.nanmin(cut.low) == -1
    for true in (0.0, 0.4, -0.85):
        held = [(each.low <= true) & (true <= each.high) for each in (free, cut)]
        assert (held[0] == held[1]).all()
    assert np.array_equal(free.p, cut.p, equal_nan=True)


def test_values_of_any_size_are_compared(recwarn):
    found = statistics.paired([[1e200, 2e200, 4e200], [2e200, 9e200, 1e199], [1e-9, 2e-9, 4e-9], [2e-9, 3e-9, 6e-9]])
    assert found.mean[0] == pytest.approx(-4.1e200 / 3)
    last = stats.ttest_rel([1e-9, 2e-9, 4e-9], [2e-9, 3e-9, 6e-9])
    assert found.p[-1] == pytest.approx(last.pvalue)
    assert not recwarn.list


def test_the_seeds_needed_are_not_known_of_two_of_no_spread_and_of_no_difference():
    assert np.isnan(statistics.seeds_needed([0.1, 0.1, 0.0], [0.1, 0.0, 0.1], [2, 5, 5])).all()
    assert np.isinf(statistics.seeds_needed(1e-9, 1.0, 5))
    assert statistics.seeds_needed(50.0, 1.0, 5) == 2


# sweeps


def lr_sweep(path: Path, accuracies: dict[Any, list[float | None]], **options: Any) -> Sweep:
    """Runs of learning rates under seeds 0, 1, …, with these test accuracies; None is a run that diverged."""
    values = [{"optim.lr": lr, "seed": seed} for lr, each in accuracies.items() for seed in range(len(each))]
    wanted = [accuracy for each in accuracies.values() for accuracy in each]
    diverged = {number: "diverged" for number, accuracy in enumerate(wanted) if accuracy is None}
    sweep = write_sweep(path, values, epochs=3, statuses=diverged | options.pop("statuses", {}), samples=20, **options)
    for number, accuracy in enumerate(wanted):
        test = path / str(number) / "test.json"
        if accuracy is not None and test.is_file():
            test.write_text(json.dumps(json.loads(test.read_text()) | {"accuracy": accuracy}))
    return load_sweep(sweep.path)


GOOD, FAIR, POOR = [0.95, 0.96, 0.955], [0.945, 0.962, 0.94], [0.80, 0.82, 0.808]


def said(judgement: Judgement) -> list[str]:
    return [plain(sentence) for sentence in words.sentences(judgement)]


def remarks(judgement: Judgement) -> str:
    return "\n".join(plain(sentence) for sentence in judgement.remarks)


def test_settings_are_judged_pair_by_pair_the_best_by_validation_first(tmp_path):
    sweep = lr_sweep(tmp_path / "s", {0.1: POOR, 0.01: GOOD, 0.001: FAIR})
    judgement = judge(sweep)
    folded = comparison.over_seeds(sweep, comparison.table(sweep))
    order = [f"optim.lr={row['optim.lr']}" for row in sorted(folded, key=lambda row: row["val_loss"])]
    assert order[0] == "optim.lr=0.01"
    assert [(pair.a, pair.b) for pair in judgement.pairs] == [
        (order[0], order[1]),
        (order[0], order[2]),
        (order[1], order[2]),
    ]
    values = {"optim.lr=0.1": POOR, "optim.lr=0.01": GOOD, "optim.lr=0.001": FAIR}
    theirs = [stats.ttest_rel(values[pair.a], values[pair.b]).pvalue for pair in judgement.pairs]
    assert [pair.p for pair in judgement.pairs] == pytest.approx(theirs)
    assert [pair.p_holm for pair in judgement.pairs] == pytest.approx(multipletests(theirs, method="holm")[1])
    assert {pair.metric for pair in judgement.pairs} == {"test_accuracy"}


def test_a_difference_that_is_decided_is_said_in_points_with_its_interval(tmp_path):
    judgement = judge(lr_sweep(tmp_path / "s", {0.01: GOOD, 0.1: POOR}))
    (pair,) = judgement.pairs
    assert said(judgement) == ["optim.lr=0.01 beats optim.lr=0.1 by 14.6 points (95% interval 13.3 to 15.8)"]
    assert (pair.difference, pair.low, pair.high) == pytest.approx((0.145667, 0.132918, 0.158415), abs=1e-5)
    assert words.headline(judgement) == "The best by validation beats the other."


def test_the_best_by_validation_may_lose_on_test(tmp_path):
    judgement = judge(lr_sweep(tmp_path / "s", {0.01: POOR, 0.1: GOOD}))
    assert said(judgement) == ["optim.lr=0.1 beats optim.lr=0.01 by 14.6 points (95% interval 13.3 to 15.8)"]
    assert words.headline(judgement) == "The best by validation is beaten by another."


def test_what_cannot_be_told_apart_is_said_with_the_seeds_that_would_be_needed(tmp_path):
    judgement = judge(lr_sweep(tmp_path / "s", {0.01: GOOD, 0.1: FAIR}))
    (pair,) = judgement.pairs
    needed = TTestPower().solve_power(effect_size=pair.difference / pair.sd, alpha=0.05, power=0.8)
    (sentence,) = said(judgement)
    assert sentence.startswith(
        "optim.lr=0.01 and optim.lr=0.1 cannot be told apart with 3 seeds (difference 0.6 points"
    )
    assert sentence.endswith(f"; about {int(np.ceil(needed))} would be needed")
    assert words.headline(judgement) == "The best by validation cannot be told apart from the other."


def test_of_two_seeds_the_difference_is_told_and_no_interval(tmp_path):
    even = [FAIR[0] + 0.001, FAIR[1] + 0.001]
    swapped = [FAIR[1], FAIR[0]]
    judgement = judge(
        lr_sweep(tmp_path / "s", {0.01: [0.8, 0.803], 0.1: FAIR[:2], 0.001: even, 1: FAIR[:2], 10: swapped})
    )
    assert all(
        (pair.low, pair.high, pair.p, pair.p_holm, pair.decided) == (None,) * 4 + (False,) for pair in judgement.pairs
    )
    lines = said(judgement)
    assert "optim.lr=0.1 is ahead of optim.lr=0.01 by 15.2 points over 2 seeds, too few for an interval" in lines
    assert "optim.lr=0.001 is ahead of optim.lr=0.1 by 0.1 points over 2 seeds, too few for an interval" in lines
    assert "optim.lr=0.1 and optim.lr=1 came out the same with each of 2 seeds" in lines
    assert "optim.lr=0.1 and optim.lr=10 have the same mean over 2 seeds, too few for an interval" in lines
    assert "Holm" not in plain(words.title(judgement))
    assert words.scope(judgement).startswith("two seeds give no useful interval and decide nothing")
    assert words.headline(judgement) == "Two seeds do not tell whether the best by validation beats any of the others."


def test_a_pair_of_two_seeds_among_others_is_told_in_its_line(tmp_path):
    judgement = judge(lr_sweep(tmp_path / "s", {0.01: GOOD, 0.1: POOR, 0.001: [0.5, 0.6, None]}))
    assert [pair.n for pair in judgement.pairs if pair.p is None] == [2, 2]
    assert sum(line.endswith(" over 2 seeds, too few for an interval") for line in said(judgement)) == 2
    assert plain(words.title(judgement)) == "test_accuracy, differences paired by seed"  # one test needs no correction
    assert sum(" beats " in line for line in said(judgement)) == 1
    assert words.scope(judgement).startswith("intervals are of training again")


def test_an_interval_that_ends_where_differences_do_says_so(tmp_path):
    judgement = judge(lr_sweep(tmp_path / "s", {0.01: [0.95, 0.94, 0.95], 0.1: [0.94, 0.1, 0.95]}))
    (pair,), (sentence,) = judgement.pairs, said(judgement)
    assert stats.ttest_rel([0.95, 0.94, 0.95], [0.94, 0.1, 0.95]).confidence_interval().high > pair.high == 1
    assert "to 100.0, cut off where no difference can be larger)" in sentence
    assert "cut off" not in said(judge(lr_sweep(tmp_path / "t", {0.01: GOOD, 0.1: FAIR})))[0]


def test_equal_and_evenly_apart_are_words_of_their_own(tmp_path):
    judgement = judge(lr_sweep(tmp_path / "s", {0.01: GOOD, 0.1: GOOD, 0.001: [each - 0.1 for each in GOOD]}))
    told = {sentence.split(" by ")[0] for sentence in said(judgement)}
    assert any(each.endswith("came out the same with each of 3 seeds") for each in told)
    assert "optim.lr=0.01 is ahead of optim.lr=0.001" in told
    assert sum("without a spread nothing can be decided" in sentence for sentence in said(judgement)) == 2
    assert not any(pair.decided for pair in judgement.pairs)


@pytest.mark.parametrize("metric", ["test_accuracy", "val_loss"])
def test_words_claim_what_is_decided_after_the_correction_and_no_more(metric):
    rng = np.random.default_rng(3)
    seen = set()
    for _ in range(60):
        values = 0.9 + rng.normal(0, 0.01, (4, 1)) + 0.006 * rng.standard_normal((4, 4))
        found, names = statistics.paired(values), "wxyz"
        needed = statistics.seeds_needed(found.mean, found.sd, found.n)
        for column, (a, b) in enumerate(zip(*statistics.pairs(4), strict=True)):
            numbers = [float(each[column]) for each in found[1:]]
            pair = Pair(
                *(names[a], names[b], metric, int(found.n[column]), *values[[a, b]].mean(axis=1), *numbers),
                decided=bool(found.p_holm[column] <= 0.05),
                seeds_needed=float(needed[column]),
            )
            sentence = plain(words.of_pair(pair, 1))
            kind = [
                word for word in (" beats ", "enough for this pair alone", "cannot be told apart") if word in sentence
            ]
            expected = (
                " beats "
                if pair.decided
                else "enough for this pair alone"
                if pair.p <= 0.05
                else "cannot be told apart"
            )
            assert kind == [expected]
            seen.add(expected)
            if expected != "cannot be told apart":
                better = names[a] if (numbers[0] > 0) != metric.endswith("_loss") else names[b]
                assert sentence.startswith(better)
                assert re.search(r"interval (\S+) to (\S+)\)", sentence)[1][0] != "-"
    assert len(seen) == 3


def test_numbers_keep_the_digits_that_show_they_are_not_zero():
    assert words.points([0.021, 0.012, 0.03]) == ["2.1", "1.2", "3.0"]
    assert words.points([0.021, 0.0002, 0.03]) == ["2.10", "0.02", "3.00"]
    assert words.points([0.0, -0.01, 0.01]) == ["0.0", "-1.0", "1.0"]
    assert words.points([1e-9, None, 0.01])[1:] == ["–", "1.0000"]


def test_runs_that_diverged_are_named_and_not_averaged_away(tmp_path):
    sweep = lr_sweep(tmp_path / "s", {0.01: GOOD, 0.1: [0.9, None, 0.91], 1: [None, None, None]})
    judgement = judge(sweep)
    assert [(pair.a, pair.b, pair.n) for pair in judgement.pairs] == [("optim.lr=0.01", "optim.lr=0.1", 2)]
    assert remarks(judgement).split("\n") == [
        "run 4 (optim.lr=0.1) diverged: what is said of that setting is of the seeds that did not",
        "run 6, 7, 8 (optim.lr=1) diverged: it is in no pair",
    ]


def test_runs_that_are_not_done_are_named(tmp_path):
    statuses = {3: "failed", 5: "interrupted"}
    judgement = judge(lr_sweep(tmp_path / "s", {0.01: GOOD, 0.1: FAIR, 0.001: POOR}, statuses=statuses))
    assert "run 3, 5 are not done, and in no pair" in remarks(judgement)
    assert "settings that share fewer than two seeds with every other are in no pair" in remarks(judgement)
    assert [{pair.a, pair.b} for pair in judgement.pairs] == [{"optim.lr=0.01", "optim.lr=0.001"}]


def test_without_a_test_accuracy_in_all_runs_validation_is_judged_and_said_to_be_what_chose(tmp_path):
    sweep = lr_sweep(tmp_path / "s", {0.01: GOOD, 0.1: POOR})
    (sweep.path / "2/test.json").unlink()
    judgement = judge(load_sweep(sweep.path))
    rows = {row["number"]: row["val_accuracy"] for row in comparison.table(sweep)}
    assert judgement.metric == "val_accuracy"
    assert judgement.pairs[0].mean_a == pytest.approx(np.mean([rows[0], rows[1], rows[2]]))
    assert "val_accuracy it is, which epochs or settings are chosen by" in remarks(judgement)


def test_of_runs_without_validation_and_test_the_monitor_is_judged_and_less_is_better(tmp_path):
    values = [{"optim.lr": lr, "seed": seed} for lr in (0.01, 0.1) for seed in range(3)]
    losses = [0.2, 0.21, 0.19, 0.5, 0.52, 0.49]
    rows = {n: [dict.fromkeys(METRICS) | {"epoch": 1, "lr": 0.1, "train_loss": x}] for n, x in enumerate(losses)}
    write_sweep(tmp_path / "s", values, monitor="train_loss", rows=rows, tested=False)
    judgement = judge(load_sweep(tmp_path / "s"))
    (pair,) = judgement.pairs
    assert (pair.metric, pair.a, pair.decided) == ("train_loss", "optim.lr=0.01", True)
    assert said(judgement) == [
        "optim.lr=0.01 beats optim.lr=0.1 by 0.3033 in train_loss (95% interval 0.2890 to 0.3177)"
    ]


def reconfigured(sweep: Sweep, numbers: list[int], **changes: Any) -> Sweep:
    """The sweep with other settings in the configs of some runs."""
    for number in numbers:
        path = sweep.path / str(number) / "config.yaml"
        config = yaml.safe_load(path.read_text())
        for key, value in changes.items():
            config[key] = config[key] | value if isinstance(value, dict) else value
        path.write_text(yaml.safe_dump(config, sort_keys=False))
    return load_sweep(sweep.path)


def test_settings_of_other_splits_are_not_held_against_each_other(tmp_path):
    sweep = lr_sweep(tmp_path / "s", {0.01: GOOD, 0.1: POOR, 0.001: FAIR})
    judgement = judge(reconfigured(sweep, [3, 4, 5], dataset={"split_seed": 1}))
    assert [{pair.a, pair.b} for pair in judgement.pairs] == [{"optim.lr=0.01", "optim.lr=0.001"}]
    assert "settings of different samples or splits are not held against each other" in remarks(judgement)
    assert words.headline(judgement) == ""  # best among what?
    other = judge(reconfigured(sweep, [6, 7, 8], dataset={"split_seed": 2}))
    assert (other.pairs, other.why_not) == (
        [],
        "no two settings of the same samples and splits have two seeds in common",
    )


def test_seeds_that_come_with_splits_of_their_own_are_said_to(tmp_path):
    sweep = lr_sweep(tmp_path / "s", {0.01: GOOD, 0.1: POOR})
    for seed in range(3):
        sweep = reconfigured(sweep, [seed, seed + 3], dataset={"split_seed": seed})
    judgement = judge(sweep)
    assert len(judgement.pairs) == 1
    assert "on the samples or splits that come with it" in words.scope(judgement)
    assert "on the same splits, not of other data" in words.scope(
        judge(lr_sweep(tmp_path / "t", {0.01: GOOD, 0.1: POOR}))
    )


def test_losses_of_different_kinds_have_no_verdict(tmp_path):
    sweep = lr_sweep(tmp_path / "s", {0.01: GOOD, 0.1: POOR})
    for number in range(6):
        rows = [dict.fromkeys(METRICS) | {"epoch": 1, "lr": 0.1, "val_loss": 0.1 * (number + 1)}]
        (sweep.path / str(number) / "test.json").unlink()
        with open(sweep.path / str(number) / "metrics.csv", "w", newline="") as file:
            writer = csv.DictWriter(file, METRICS)
            writer.writeheader(), writer.writerows(rows)
    judgement = judge(reconfigured(sweep, [3, 4, 5], model={"loss": "mse"}))
    assert (judgement.pairs, judgement.run_pairs) == ([], [])
    assert "the losses are of different kinds" in judgement.why_not


def test_smoke_runs_are_not_judged(tmp_path):
    sweep = lr_sweep(tmp_path / "s", {0.01: GOOD, 0.1: POOR})
    assert "smoke=true" in judge(reconfigured(sweep, list(range(6)), smoke=True)).why_not


def test_a_sweep_over_the_seed_alone_has_nothing_to_judge(tmp_path):
    sweep = write_sweep(tmp_path / "s", [{"seed": seed} for seed in range(3)], epochs=2, samples=20)
    judgement = judge(sweep)
    assert (judgement.pairs, judgement.run_pairs) == ([], [])
    assert judgement.why_not == "all runs have one setting: there are none to judge between"


# one seed each


def test_of_one_seed_each_the_test_samples_are_asked(tmp_path):
    sweep = write_sweep(tmp_path / "s", [{"optim.lr": lr} for lr in (0.01, 0.1, 1)], epochs=3, samples=200)
    judgement = judge(sweep)
    right = {
        number: (run.predictions["label"] == run.predictions["predicted"]).to_numpy()
        for number, run in ((member.number, member.run) for member in sweep.members)
    }
    order = [row["number"] for row in comparison.table(sweep)]
    assert [(pair.run_a, pair.run_b) for pair in judgement.run_pairs] == [
        (order[0], order[1]),
        (order[0], order[2]),
        (order[1], order[2]),
    ]
    p = []
    for pair in judgement.run_pairs:
        one, other = right[pair.run_a], right[pair.run_b]
        assert (pair.n, pair.only_a, pair.only_b) == (200, (one & ~other).sum(), (other & ~one).sum())
        assert pair.difference == pytest.approx(one.mean() - other.mean())
        p.append(stats.binomtest(pair.only_a, pair.only_a + pair.only_b).pvalue)
    assert [pair.p_holm for pair in judgement.run_pairs] == pytest.approx(multipletests(p, method="holm")[1])
    assert "repeat with 'seed=range(5)'" in words.scope(judgement)


def run_pair(only_a: int, only_b: int, family: int = 1) -> RunPair:
    p = float(statistics.mcnemar(only_a, only_b))
    holm = min(1.0, p * family)
    return RunPair(0, 1, "optim.lr=0.1", "", 360, only_a, only_b, (only_a - only_b) / 360, p, holm, holm <= 0.05)


@pytest.mark.parametrize(
    ("pair", "end"),
    [
        (run_pair(15, 2), ": run 0 is right more often than chance explains (p=0.0023)"),
        (run_pair(2, 15), ": run 1 is right more often than chance explains (p=0.0023)"),
        (run_pair(9, 6), ": no more than chance explains (p=0.61)"),
        (run_pair(11, 2, family=6), ": enough for this pair alone (p=0.022), and not decided after Holm's correction"
         " for all pairs (p=0.13)"),
        (run_pair(0, 0), "run 0 (optim.lr=0.1) and run 1 have the same of 360 test samples right"),
    ],
    ids=["a", "b", "neither", "not after the correction", "equal"],
)  # fmt: skip
def test_two_runs_in_words(pair, end):
    assert plain(words.of_runs(pair, 1)).endswith(end)


@pytest.mark.parametrize(
    ("pairs", "headline"),
    [
        ([(15, 2)], "The best by validation has more test samples right than the other, more than chance explains."),
        ([(2, 15)], "Another run has more test samples right than the best by validation, more than chance explains."),
        (
            [(9, 6)],
            "Whether the best by validation or the other has more test samples right may be chance.",
        ),
        (
            [(15, 2), (9, 6)],
            "The best by validation has more test samples right than some others; chance may explain the rest.",
        ),
    ],
)
def test_the_headline_of_one_seed_each_is_about_networks_and_not_settings(pairs, headline):
    assert words.headline(Judgement(run_pairs=[run_pair(*each) for each in pairs], best=0)) == headline
    assert words.headline(Judgement(run_pairs=[run_pair(*each) for each in pairs], best=1)) == ""


def test_runs_without_predictions_have_no_verdict(tmp_path):
    sweep = write_sweep(tmp_path / "s", [{"optim.lr": lr} for lr in (0.01, 0.1)], epochs=3, tested=False)
    assert judge(sweep).why_not == "one seed each, and no two runs have predicted the same test samples"


@pytest.mark.parametrize("key", ["split_seed", "val_fraction", "test_fraction", "classes"])
def test_networks_of_other_splits_are_not_asked_for_the_samples_that_both_tested(tmp_path, key):
    sweep = write_sweep(tmp_path / "s", [{"optim.lr": lr} for lr in (0.01, 0.1, 1)], epochs=2, samples=40)
    assert len(judge(sweep).run_pairs) == 3
    judgement = judge(reconfigured(sweep, [1], dataset={key: 0.3}))
    assert [{pair.run_a, pair.run_b} for pair in judgement.run_pairs] == [{0, 2}]
    assert "runs of different samples or splits are not held against each other" in remarks(judgement)
    assert words.headline(judgement) == ""
    none = judge(reconfigured(sweep, [2], dataset={key: 0.4}))
    assert (none.run_pairs, none.why_not) == (
        [],
        "one seed each, and no two runs are of the same samples and splits",
    )


@pytest.mark.parametrize(
    ("accuracies", "why"),
    [
        ({0.01: [0.9], 0.1: [None], 1: [None]}, "only one setting has a run that is done"),
        ({0.01: GOOD, 0.1: [None, None, None]}, "only one setting has runs that are done"),
        ({0.01: [None], 0.1: [None]}, "no run is done"),
        ({0.01: [None, 0.9]}, "only one run is done"),
        ({0.01: [0.9]}, ""),
    ],
    ids=["one run", "one setting", "none", "one seed", "a sweep of one"],
)
def test_a_setting_that_has_none_to_be_held_against_has_no_verdict_and_it_is_said_why(tmp_path, accuracies, why):
    judgement = judge(lr_sweep(tmp_path / "s", accuracies))
    assert (judgement.pairs, judgement.run_pairs, judgement.why_not) == ([], [], why)
    diverged = [at for at, each in enumerate(each for values in accuracies.values() for each in values) if each is None]
    told = [line.partition(" (")[0].partition(" diverged")[0] for line in remarks(judgement).splitlines()]
    assert [int(number) for line in told for number in re.findall(r"\d+", line)] == diverged


# files


def test_the_files_read_back_to_the_bit_and_the_other_one_goes(tmp_path):
    judgement = judge(lr_sweep(tmp_path / "s", {0.01: GOOD, 0.1: FAIR, 0.001: [0.5, 0.6, None]}))
    assert judgement.pairs[-1].p is None
    with SweepFolder.open(tmp_path / "s") as folder:
        (folder.path / "mcnemar.csv").write_text("of a sweep that had one seed each")
        write(folder, judgement)
    assert not (tmp_path / "s/mcnemar.csv").exists()
    with open(tmp_path / "s/verdict.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [tuple(row) for row in rows] == [Pair._fields] * 3
    for row, pair in zip(rows, judgement.pairs, strict=True):
        for name in ("mean_a", "mean_b", "difference", "sd", "low", "high", "p", "p_holm"):
            assert (float(row[name]) if row[name] else None) == getattr(pair, name)
        assert row["decided"] == str(pair.decided).lower()
        assert row["seeds_needed"] == ("" if pair.seeds_needed is None else str(int(pair.seeds_needed)))
    with SweepFolder.open(tmp_path / "s") as folder:
        write(folder, Judgement())
    assert not (tmp_path / "s/verdict.csv").exists()


def test_a_run_whose_config_cannot_be_read_spoils_no_note(tmp_path):
    sweep = lr_sweep(tmp_path / "s", {0.01: GOOD, 0.1: FAIR})
    (sweep.path / "4/config.yaml").write_text(": no : config :")
    lines = [plain(line) for line in comparison.notes(load_sweep(sweep.path))]
    assert "the config of run 4 cannot be read: how it differs is not known" in lines
    assert "run 4 is not done, and in no pair" in remarks(judge(load_sweep(sweep.path)))
