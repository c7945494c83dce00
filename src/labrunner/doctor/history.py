"""What the recorded history of a run says of its health: each finding with the numbers that show it.

The thresholds are set so that a run which learns as it should has no finding; docs/doctor.md tells them and what they
were tried on.
"""

from __future__ import annotations

import csv
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from labrunner import checkpoint
from labrunner.doctor import units
from labrunner.doctor.finding import Finding, never_a_number
from labrunner.files import read_csv, read_json
from labrunner.records import Run
from labrunner.records.names import PREPROCESSING
from labrunner.remarks import LEAKED, SPLITS
from labrunner.selection import finished

SIGMAS = 3.0  # standard errors of a share of hits within which it counts as chance
BEYOND = 0.02  # and so much more
NEAR = 0.9  # of the loss at the beginning: a loss that never got lower
JUMP = 0.02  # of a loss by which it rises in an epoch, and not by the noise of batches
FLAT = 1e-3  # of the first loss: a loss that moves by less stands still
LINE = 0.6  # of the fall of the first half that the second half still has: a loss falling in a straight line
COVERED = 0.3  # of the first loss: who fell by less has not come far,
HALFWAY = 0.5  # nor who is not so far between chance and no error
WORSE = 0.25  # of the lowest validation loss, by which it must have risen,
NOTABLE = 0.05  # and of that of knowing nothing
STILL_LEARNS = 0.8  # of the training loss at that epoch, below which it must have fallen meanwhile
LASTING = 3  # epochs, at least, for which something has been so at the end
TINY = 0.01  # the largest weight of a network that knows nothing any more; others begin above it
DEAD = 0.4  # of the units of a layer
VANISHED = 1e-3  # movement of the first layer over that of the head, both as shares of their lengths
BY_HEART = 0.2  # of training accuracy above chance: something is known by heart,
CHEAPER = 0.95  # or a training loss below so much of what guessing costs; a validation loss above it knows nothing
NOISE = 0.5  # of the training labels, from which label noise is what a run is about
STEPS = 20  # batches below which a history says nothing,
SAMPLES = 50  # and training samples
MOST = 1e15  # that a fact of a run comes to; a stranger's may be anything

TOO_LARGE, TOO_SMALL = "learning rate too large", "learning rate too small"
ZEROS, ALIKE = "zero initialization", "units all alike"
NOTHING, OTHERS = "nothing learned", "labels of other samples"


@dataclass(frozen=True)
class Told:
    """What the files of a run tell, read once."""

    run: Run
    rows: Sequence[Mapping[str, Any]]  # of the finished epochs
    facts: Mapping[str, int | float]
    classes: int | None
    support: Sequence[int]  # test samples by class

    @cached_property
    def chance(self) -> float:
        """The share of hits of whoever always names the most frequent class."""
        total = sum(self.support)
        if total:
            return max(self.support) / total
        return 1.0 / self.classes if self.classes else math.nan

    def at_chance(self, accuracy: float, split: str) -> bool:
        """Whether an accuracy on a split is that of guessing; a run that has not ended does not say on how many."""
        samples = self.facts.get(f"{split}_samples", math.inf)
        error = math.sqrt(self.chance * (1 - self.chance) / max(1, samples))
        return accuracy <= self.chance + SIGMAS * error + BEYOND

    def column(self, name: str) -> list[float]:
        return [float(row[name]) for row in self.rows if row[name] is not None]

    def section(self, name: str) -> dict[str, Any]:
        """A section of the config."""
        return dict(self.run.config.get(name, {}))

    @cached_property
    def guessing(self) -> float | None:
        """The cross-entropy of whoever knows how frequent the classes are, and no more; None where that is unknown."""
        total = sum(self.support)
        if not self.is_cross_entropy or not total:
            return None
        return -sum(count / total * math.log(count / total) for count in self.support if count)

    @cached_property
    def is_cross_entropy(self) -> bool:
        model = self.section("model")
        return model.get("loss", "cross_entropy" if model.get("name") == "softmax" else None) == "cross_entropy"

    @cached_property
    def is_perceptron(self) -> bool:
        """Whether the loss is that of Rosenblatt's rule: of the samples on the wrong side alone, it jumps about."""
        return self.section("model").get("name") == "perceptron"

    @cached_property
    def is_partly_frozen(self) -> bool:
        return self.section("freeze").get("name", "none") != "none"

    @cached_property
    def learned_nothing(self) -> bool:
        """Whether even training samples are named no better than by chance, in every epoch."""
        found = self.column("train_accuracy")
        return bool(found) and self.at_chance(max(found), "train")

    @cached_property
    def ends_at_chance(self) -> bool:
        """Whether that is so in the last epochs, whatever was known before."""
        found = self.column("train_accuracy")[1:][-LASTING:]
        return bool(found) and self.at_chance(max(found), "train")

    @cached_property
    def knows_nothing(self) -> bool:
        ends = self.learned_nothing or self.ends_at_chance
        return ends and len(self.rows) >= 2 and self.run.status != "diverged"

    @cached_property
    def scale(self) -> float:
        """What a loss is large or small beside: that of knowing nothing, or of the first epoch."""
        return max(
            [math.log(self.classes) if self.is_cross_entropy and self.classes else 0.0, *self.column("train_loss")[:1]]
        )

    @cached_property
    def newest(self) -> units.State | None:
        return self.states[1] if self.states is not None else units.newest(self.run.path)

    @cached_property
    def states(self) -> tuple[units.State, units.State] | None:
        return units.last_two(self.run.path)


def history(run: Run) -> list[Finding]:
    """The findings of a run; of one that cannot be judged, that it diverged, and the leaks of its data."""
    told = read(run)
    found = list(diverged(told))
    if too_short(told) is not None:
        return found + list(leaks(told))
    for look in LOOKS:
        found += look(told)
    names = {finding.name for finding in found}
    if names & {ZEROS, ALIKE}:  # which are slow by themselves
        found = [finding for finding in found if finding.name != TOO_SMALL]
    if names & {TOO_SMALL, NOTHING, OTHERS} and (cause := list(random_labels(told))):
        found = [*cause, *(finding for finding in found if finding.name not in (TOO_SMALL, NOTHING, OTHERS))]
    return found


def unjudged(run: Run) -> str | None:
    """Why nothing can be said of a history, in words; None where something can."""
    told = read(run)
    if not told.rows:
        return "there is no history to judge yet"
    if (why := too_short(told)) is not None:
        return f"there is no history to judge: {why}"
    if len(told.rows) < LASTING:
        return f"there is no history to judge yet: fewer than {LASTING} epochs"
    return None


def too_short(told: Told) -> str | None:
    """What is so small about a run that its history says nothing; None where it is large enough."""
    if told.run.config.get("smoke"):
        return "smoke=true"
    if int(told.facts.get("steps", STEPS)) < STEPS:
        return f"fewer than {STEPS} batches"
    if int(told.facts.get("train_samples", SAMPLES)) < SAMPLES:
        return f"fewer than {SAMPLES} training samples"
    return None


def read(run: Run) -> Told:
    described = read_json(run.path / PREPROCESSING) or {}
    names = described.get("class_names")
    try:
        support = [sum(int(cell) for cell in row[1:]) for row in read_csv(run.path / "confusion.csv")[1]]
    except (OSError, ValueError, csv.Error):
        support = []
    if any(count < 0 for count in support):
        support = []
    said = read_json(run.path / "facts.json") or {}
    facts = {name: value for name, value in said.items() if type(value) in (int, float) and abs(value) < MOST}
    return Told(run, finished(run.row_list), facts, len(names) if isinstance(names, list) else None, support)


# one after the other


def diverged(told: Told) -> Iterator[Finding]:
    if told.run.status == "diverged":
        evidence = str(told.run.error).partition("; ")[0]
        advice = "look at the inputs, the weights that it begins with, and its scores"
        yield Finding("diverged", evidence, advice if never_a_number(told.run) else "try a smaller optim.lr")


def too_high(told: Told) -> Iterator[Finding]:
    """A loss that blows up at first or jumps about, and never gets far below where it began."""
    losses = told.column("train_loss")
    if len(losses) < 3 or told.run.status == "diverged" or told.is_perceptron:
        return
    knows_nothing = math.log(told.classes) if told.is_cross_entropy and told.classes else None
    rises = sum(b > (1.0 + JUMP) * a for a, b in itertools.pairwise(losses))
    started = losses[0] if knows_nothing is None else min(losses[0], knows_nothing)
    jumps = rises >= max(2, 0.3 * (len(losses) - 1)) and min(losses) > NEAR * started
    blew_up = knows_nothing is not None and told.ends_at_chance and losses[0] > 1.5 * knows_nothing
    advice = f"try a smaller optim.lr (it is {lr_of(told)}), or labrunner lr-find"
    if blew_up:
        said = f"the training loss of epoch 1 is {losses[0]:.4g}, where guessing costs {knows_nothing:.3g}"
        yield Finding(TOO_LARGE, f"{said}; training accuracy ends at chance", advice)
    elif jumps:
        said = f"the training loss rises by more than {JUMP:.0%} in {rises} of {len(losses) - 1} epochs"
        yield Finding(
            TOO_LARGE, f"{said}, and its lowest is {min(losses):.4g}, after {losses[0]:.4g} in epoch 1", advice
        )


def too_small(told: Told) -> Iterator[Finding]:
    """A loss that still falls in a straight line at the end and has come no way."""
    losses = told.column("train_loss")
    if len(losses) < 4 or told.is_perceptron:
        return
    falls = sum(b < a for a, b in itertools.pairwise(losses)) / (len(losses) - 1)
    middle = len(losses) // 2
    first, second = losses[0] - losses[middle], losses[len(losses) - 1 - middle] - losses[-1]
    share = (losses[0] - losses[-1]) / abs(losses[0]) if losses[0] else 0.0
    reached = told.column("train_accuracy")[-1:]
    has_come_far = any(accuracy > told.chance + HALFWAY * (1.0 - told.chance) for accuracy in reached)
    if falls >= 0.9 and 0.0 < share < COVERED and second >= LINE * first and not has_come_far:
        said = (
            f"the training loss falls in {falls:.0%} of the epochs, by {share:.1%} in all "
            f"({losses[0]:.4g} to {losses[-1]:.4g}); in the second half by {second:.2g}, in the first by {first:.2g}"
        )
        yield Finding(TOO_SMALL, said, f"try ten times optim.lr (it is {lr_of(told)}), or labrunner lr-find")


def nothing(told: Told) -> Iterator[Finding]:
    """Training samples named by chance, all the time or in the end."""
    if not told.knows_nothing:
        return
    losses, found = told.column("train_loss"), told.column("train_accuracy")
    best = f"{'is at best' if told.learned_nothing else 'ends at chance, after'} {max(found):.3f}"
    moved = (max(losses) - min(losses)) / abs(losses[0]) if losses[0] else 0.0
    how = "stands still" if moved < FLAT else f"moves by {moved:.1%}"
    yield Finding(
        NOTHING,
        f"training accuracy {best}, and {told.chance:.3f} is chance; the training loss {how}",
        "see the other findings; else: can this model tell the classes apart, do inputs and labels belong together?",
    )


def regularized_away(told: Told) -> Iterator[Finding]:
    reg = told.section("reg")
    penalties = [f"reg.{name}={reg[name]}" for name in ("weight_decay", "l1") if reg.get(name)]
    if told.knows_nothing and penalties and told.newest is not None and units.largest(told.newest) < TINY:
        said = f"the largest weight is {units.largest(told.newest):.2g}, under {' and '.join(penalties)}"
        yield Finding("regularized away", said, "try a hundredth of it, or reg=none")


def one_class(told: Told) -> Iterator[Finding]:
    """A run that names the same class for all test samples."""
    try:
        header, rows = read_csv(told.run.path / "confusion.csv")
        counts = [sum(int(row[place]) for row in rows) for place in range(1, len(header))]
    except (OSError, ValueError, IndexError, csv.Error):
        return
    named = [name for name, count in zip(header[1:], counts, strict=True) if count]
    if len(named) == 1 and sum(count > 0 for count in told.support) > 1:
        yield Finding(
            "one class predicted",
            f"all {sum(counts)} test samples are called {named[0]!r}; "
            f"the most frequent class has {told.chance:.1%} of them",
            "look at the balance of the classes (per_class.csv), the learning rate and the labels",
        )


def carries_nothing_over(told: Told) -> Iterator[Finding]:
    """Training samples are learned, and of others no more than chance is known."""
    trained, validated = told.column("train_accuracy"), told.column("val_accuracy")
    samples = int(told.facts.get("val_samples", 0))
    if not trained or not validated or samples < 20:
        return
    if not told.at_chance(max(validated), "val"):
        return
    said = (
        f"training accuracy reaches {max(trained):.3f}, validation accuracy {max(validated):.3f} at best, "
        f"and {told.chance:.3f} is chance"
    )
    costs, lowest = told.guessing, [min(told.column(name), default=math.nan) for name in ("train_loss", "val_loss")]
    if max(trained) > told.chance + BY_HEART:
        known = True
    else:  # by less, if the losses say so as well
        known = costs is not None and lowest[0] < CHEAPER * costs < lowest[1] and not told.learned_nothing
        said += f"; the training loss falls to {lowest[0]:.4g}, the validation loss to {lowest[1]:.4g}"
        said += "" if costs is None else f", and guessing costs {costs:.4g}"
    if known:
        yield Finding(
            OTHERS,
            f"{said}: what is learned by heart carries nothing over",
            "look whether labels and samples stand in the same order, in training and in validation, and whether the "
            "inputs tell anything of the labels",
        )


def random_labels(told: Told) -> Iterator[Finding]:
    """Labels that the config asks to replace; named where nothing comes of them, as the cause of that."""
    dataset = told.run.config.get("dataset")
    share = dataset.get("label_noise") if isinstance(dataset, dict) else None
    if isinstance(share, int | float) and NOISE <= share <= 1 and share is not True:
        said = f"dataset.label_noise={share} of the training labels are drawn at random"
        yield Finding("random labels", said, "so the config asks; with a smaller dataset.label_noise it learns more")


def overfitting(told: Told) -> Iterator[Finding]:
    """A validation loss that has risen for good while the training loss fell."""
    rows = [row for row in told.rows if row["val_loss"] is not None]
    if len(rows) < LASTING + 2 or told.is_perceptron:
        return
    losses = [float(row["val_loss"]) for row in rows]
    least = min(range(len(rows)), key=losses.__getitem__)
    after = losses[least + 1 :]
    if len(after) < LASTING or losses[least] <= 0.0:
        return
    last = min(losses[-LASTING:])
    trained = float(rows[-1]["train_loss"]) / max(float(rows[least]["train_loss"]), 1e-30)
    is_worse = last - losses[least] > max(WORSE * losses[least], NOTABLE * told.scale)
    if is_worse and trained < STILL_LEARNS:
        epoch, chosen = int(rows[least]["epoch"]), told.run.chosen
        tested = "" if chosen is None else f"; epoch {chosen.epoch} is the tested one"
        if chosen is not None and chosen.epoch == epoch:
            tested += ", so that the test result is not affected"
        before, now = (float(row["train_loss"]) for row in (rows[least], rows[-1]))
        yield Finding(
            "overfitting",
            f"since epoch {epoch} the validation loss rises, from {losses[least]:.4g} to at least {last:.4g} "
            f"in the last {LASTING} epochs, while the training loss falls from {before:.4g} to {now:.4g}{tested}",
            "try reg=early_stopping, reg=dropout, augment, or more samples",
        )


def dead_units(told: Told) -> Iterator[Finding]:
    share, count = told.facts.get("dead_share"), told.facts.get("dead_units")
    advice = "try a smaller optim.lr, another init, or model.activation=leaky_relu"
    if isinstance(share, float) and isinstance(count, int | float):
        if share >= DEAD:
            said = f"{int(count)} hidden units, {share:.0%} of all, are 0 for every probed sample (probe activations)"
            yield Finding("dead units", said, advice)
        return
    if told.states is None or told.is_partly_frozen:
        return
    found = units.standing(*told.states)
    if found is not None and found[0] >= DEAD * found[1]:
        still, total, layer = found
        said = f"{still} of {total} units of {layer} did not change at all in the last epoch, while the head did"
        yield Finding("dead units", said, advice)


def all_alike(told: Told) -> Iterator[Finding]:
    """Units that begin alike stay alike, since their gradients are."""
    state = told.newest
    zeros = [name for name in of_zeros(told.run.path, state or {}) if f"weights/{name}".startswith(units.HIDDEN)]
    found = units.alike(state or {})
    advice = "units that begin alike stay alike: try init=default"
    if zeros:
        yield Finding(ZEROS, f"{zeros[0]} began with zeros (initial.json)", advice)
    elif found is not None:
        said = f"the {found[0]} units of {found[1]} have the same weights"
        yield Finding(ALIKE, said, advice)


def vanishing(told: Told) -> Iterator[Finding]:
    """First layers that hardly move, in a network that learns little."""
    ratio = told.facts.get("gradient_ratio_first_last")
    advice = "try model.activation=relu, model.batch_norm=true, init=he, or fewer layers"
    if isinstance(ratio, float) and ratio < VANISHED:
        said = f"before training the first layer's gradient is {ratio:.2g} of the last hidden one's (probe gradients)"
        yield Finding("vanishing gradients", said, advice)
        return
    if isinstance(ratio, float) or told.states is None or told.is_partly_frozen:
        return
    moved = units.movement(*told.states)
    if moved is not None and moved[1] > 0.0 and 0.0 < moved[0] < VANISHED * moved[1]:
        said = f"in the last epoch the first layer moved by {moved[0]:.2g} of its length, the head by {moved[1]:.2g}"
        yield Finding("vanishing gradients", said, advice)


def leaks(told: Told) -> Iterator[Finding]:
    for split in ("val", "test"):
        shared, samples = told.facts.get(f"{split}_in_train"), told.facts.get(f"{split}_samples")
        if isinstance(shared, int) and isinstance(samples, int) and samples and shared > LEAKED * samples:
            name = SPLITS[split]
            yield Finding(
                f"leakage into {name}",
                f"{shared} of {samples} {name} samples are training samples as well ({split}_in_train)",
                f"take them out of {name}, where they tell what is known by heart",
            )


LOOKS: tuple[Callable[[Told], Iterator[Finding]], ...] = (  # causes first, then what comes of them
    too_high,
    too_small,
    all_alike,
    vanishing,
    dead_units,
    regularized_away,
    nothing,
    one_class,
    carries_nothing_over,
    overfitting,
    leaks,
)


# what they ask


def lr_of(told: Told) -> Any:
    return told.section("optim").get("lr")


def of_zeros(folder: Path, state: units.State) -> list[str]:
    """The weight matrices that began with zeros, by their hashes in initial.json."""
    import numpy as np

    hashes = read_json(folder / "initial.json") or {}
    return [
        name
        for name, sha in hashes.items()
        if (values := state.get(f"weights/{name}")) is not None
        and values.ndim >= 2
        and sha == checkpoint.tensor_hash(name, np.zeros_like(values))
    ]
