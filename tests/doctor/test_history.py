"""What the doctor reads from a history, on both sides of each threshold; the histories are written, not trained."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labrunner import checkpoint
from labrunner.doctor import Finding, history, unjudged
from labrunner.records import METRICS, load_run
from tests.folders import DIGITS, write_run

LN10 = math.log(10)
CHANCE = 0.1  # of ten classes, as many samples of each
LEARNS = [2.2 * 0.8**epoch + 0.05 for epoch in range(12)]
EDGE = CHANCE + 3 * math.sqrt(CHANCE * (1 - CHANCE) / 1000) + 0.02  # up to which 1,000 samples are at chance
FACTS = {"train_samples": 1000, "val_samples": 300, "test_samples": 360, "steps": 500}
MLP = {"name": "mlp", "hidden": [20], "activation": "relu", "loss": "cross_entropy"}


def rows(
    train_loss: Sequence[float],
    train_accuracy: Sequence[float] | float | None = None,
    val_loss: Sequence[float] | None = None,
    val_accuracy: float | None = None,
) -> list[dict[str, Any]]:
    made = []
    for epoch, loss in enumerate(train_loss):
        row: dict[str, Any] = dict.fromkeys(METRICS) | {"epoch": epoch + 1, "lr": 0.01, "train_loss": float(loss)}
        if train_accuracy is None:
            row["train_accuracy"] = 0.1 + 0.8 * (1 - 0.7**epoch)
        elif isinstance(train_accuracy, float):
            row["train_accuracy"] = train_accuracy
        else:
            row["train_accuracy"] = train_accuracy[epoch]
        row["val_loss"] = float(loss if val_loss is None else val_loss[epoch])
        row["val_accuracy"] = row["train_accuracy"] if val_accuracy is None else val_accuracy
        made.append(row)
    return made


def write(path: Path, history: list[dict[str, Any]], facts: dict[str, Any] | None = None, **choices: Any) -> Path:
    settings = {"model": MLP} | choices.pop("settings", {})
    write_run(path, rows=history, settings=settings, **choices)
    (path / "facts.json").write_text(json.dumps(FACTS | (facts or {})))
    (path / "preprocessing.json").write_text(json.dumps({"class_names": list(DIGITS)}))
    return path


def found(path: Path) -> dict[str, Finding]:
    return {finding.name: finding for finding in history(load_run(path))}


def states(path: Path, before: dict[str, np.ndarray], after: dict[str, np.ndarray]) -> None:
    """The checkpoints of the last two epochs."""
    for epoch, state in ((11, before), (12, after)):
        position = checkpoint.Position(epoch)
        (path / "checkpoints" / position.file_name).write_bytes(checkpoint.encode(state, position))


def network(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    shapes = {"backbone.linear1.weight": (20, 64), "backbone.linear2.weight": (20, 20), "head.weight": (10, 20)}
    return {f"weights/{name}": rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def moved(state: dict[str, np.ndarray], by: float = 0.01, **shares: float) -> dict[str, np.ndarray]:
    """The state an epoch later; `shares` says by how much less a layer moved than the others."""
    return {
        name: values * np.float32(1 + by * shares.get(name.removeprefix("weights/").partition(".weight")[0], 1.0))
        for name, values in state.items()
    }


# a history each


def test_a_run_that_learns_has_no_finding(tmp_path: Path):
    path = write(tmp_path / "run", rows(LEARNS))
    states(path, network(), moved(network()))
    assert found(path) == {}


def test_the_step_at_which_a_run_diverged_is_named(tmp_path: Path):
    error = "the loss is not finite at step 17 (epoch 2, lr 0.5); try a smaller optim.lr"
    made = [*rows([2.0]), dict.fromkeys(METRICS) | {"epoch": 2, "lr": 0.5}]
    path = write(tmp_path / "run", made, status="diverged", error=error)
    assert found(path)["diverged"].evidence == error.partition("; ")[0]


@pytest.mark.parametrize(
    ("losses", "accuracy", "is_named"),
    [
        ([1.6 * LN10, 2.31, 2.31, 2.3], 0.1, True),  # it blew up in the first epoch, and died
        ([1.4 * LN10, 2.31, 2.3, 2.3], 0.1, False),
        ([1.6 * LN10, 2.0, 1.5, 1.1], 0.8, False),  # it got over it
        ([2.3, 2.6, 2.2, 2.7, 2.3, 2.5], 0.3, True),  # it jumps about near its beginning
        ([2.3, 2.6, 1.9, 2.0, 1.8, 1.9], 0.5, False),  # and here far below
        ([2.3, 2.34, 2.3, 2.34, 2.3, 2.34], 0.3, False),  # by less than 2%
        ([2.3, 2.35, 2.3, 2.35, 2.3, 2.35], 0.3, True),
        ([2.3, 2.25, 2.4, 2.2, 2.19, 2.18], 0.3, False),  # once
    ],
)
def test_a_learning_rate_is_too_large_where_the_loss_blows_up_or_jumps_about(
    tmp_path: Path, losses: list[float], accuracy: float, is_named: bool
):
    path = write(tmp_path / "run", rows(losses, accuracy))
    assert ("learning rate too large" in found(path)) is is_named


@pytest.mark.parametrize(
    ("losses", "is_named"),
    [
        (np.linspace(2.3, 2.2, 10), True),
        (np.linspace(2.3, 0.71 * 2.3, 10), True),
        (np.linspace(2.3, 0.69 * 2.3, 10), False),  # it has come some way
        (2.0 + 0.3 * 0.9 ** np.arange(12), False),  # the second half adds .53 of the first: it comes to rest
        (2.0 + 0.3 * 0.95 ** np.arange(12), True),  # .74
        ([2.3, 2.31, 2.29, 2.3, 2.28, 2.29, 2.27, 2.28], False),  # it falls in every second epoch only
        (np.full(10, 2.3), False),
    ],
)
def test_a_learning_rate_is_too_small_where_the_loss_falls_in_a_straight_line_and_gets_nowhere(
    tmp_path: Path, losses: Sequence[float], is_named: bool
):
    assert ("learning rate too small" in found(write(tmp_path / "run", rows(losses, 0.3)))) is is_named


def test_the_loss_of_a_softmax_is_known_to_be_cross_entropy(tmp_path: Path):
    high = rows([97.0, 13.0, 6.0, 8.0, 4.0, 5.0, 3.0], 0.9)
    assert "learning rate too large" in found(write(tmp_path / "run", high, settings={"model": {"name": "softmax"}}))


def test_a_loss_that_falls_slowly_is_no_matter_where_most_samples_are_named(tmp_path: Path):
    slow = np.linspace(2.3, 2.2, 10)
    assert "learning rate too small" in found(write(tmp_path / "few", rows(slow, 0.54)))
    assert found(write(tmp_path / "most", rows(slow, 0.56))) == {}


@pytest.mark.parametrize(("accuracy", "is_named"), [(EDGE - 0.001, True), (EDGE + 0.001, False)])
def test_nothing_is_learned_where_training_samples_are_named_by_chance(tmp_path: Path, accuracy: float, is_named: bool):
    path = write(tmp_path / "run", rows([2.31, 2.3, 2.3, 2.3, 2.3], accuracy))
    assert ("nothing learned" in found(path)) is is_named


@pytest.mark.parametrize(
    ("accuracies", "is_named"),
    [
        ([0.4, 0.3, 0.2, 0.1, 0.1, 0.1], True),
        ([0.4, 0.3, 0.2, 0.2, 0.1, 0.1], False),  # the last two only
        ([0.1, 0.1, 0.1, 0.2, 0.3, 0.4], False),
    ],
)
def test_nothing_is_learned_where_what_was_known_is_lost_again(tmp_path: Path, accuracies: list[float], is_named: bool):
    path = write(tmp_path / "run", rows([2.2, 2.2, 2.2, 2.3, 2.3, 2.3], accuracies))
    assert ("nothing learned" in found(path)) is is_named


@pytest.mark.parametrize(
    ("largest", "decay", "is_named"), [(0.009, 1.0, True), (0.011, 1.0, False), (0.009, 0.0, False)]
)
def test_weights_are_regularized_away_where_all_are_tiny_under_a_penalty(
    tmp_path: Path, largest: float, decay: float, is_named: bool
):
    settings = {"reg": {"name": "l2", "weight_decay": decay, "l1": 0.0, "patience": None}}
    path = write(tmp_path / "run", rows([2.3] * 6, 0.1), settings=settings)
    tiny = {name: values * np.float32(largest / np.abs(values).max()) for name, values in network().items()}
    states(path, tiny, tiny)
    assert ("regularized away" in found(path)) is is_named


@pytest.mark.parametrize("named", [1, 2])
def test_one_class_is_predicted_where_one_column_of_the_counts_is_not_empty(tmp_path: Path, named: int):
    path = write(tmp_path / "run", rows(LEARNS))
    lines = ["true,a,b,c", *(f"{name},{36 - (named - 1)},{named - 1},0" for name in "abc")]
    (path / "confusion.csv").write_text("\n".join(lines) + "\n")
    names = found(path)
    assert ("one class predicted" in names) is (named == 1)
    if named == 1:
        assert "all 108 test samples are called 'a'" in names["one class predicted"].evidence


@pytest.mark.parametrize(
    ("trained", "validated", "samples", "is_named"),
    [
        (0.9, 0.12, 300, True),
        (0.31, 0.12, 300, True),
        (0.29, 0.12, 300, False),  # not yet learned by heart
        (0.9, 0.18, 300, False),  # something carries over
        (0.9, 0.12, 19, False),  # too few to tell
    ],
)
def test_labels_are_of_other_samples_where_what_is_learned_carries_nothing_over(
    tmp_path: Path, trained: float, validated: float, samples: int, is_named: bool
):
    made = rows(LEARNS, trained, val_accuracy=validated)
    path = write(tmp_path / "run", made, facts={"val_samples": samples})
    assert ("labels of other samples" in found(path)) is is_named


@pytest.mark.parametrize(
    ("trained", "train_loss", "val_loss", "validated", "is_named"),
    [
        (0.25, 0.94 * LN10, 0.96 * LN10, 0.12, True),
        (0.25, 0.96 * LN10, 0.96 * LN10, 0.12, False),  # nothing is learned by heart yet
        (0.25, 0.94 * LN10, 0.94 * LN10, 0.12, False),  # something of it carries over
        (EDGE - 0.001, 0.94 * LN10, 0.96 * LN10, 0.12, False),  # of training samples no more than chance is known
        (0.25, 0.94 * LN10, 0.96 * LN10, 0.2, False),  # of the others more
    ],
)
def test_labels_of_chance_are_named_by_the_losses_before_much_is_learned_by_heart(
    tmp_path: Path, trained: float, train_loss: float, val_loss: float, validated: float, is_named: bool
):
    fall, rise = np.linspace(LN10, train_loss, 8), np.linspace(val_loss, val_loss + 0.1, 8)
    path = write(tmp_path / "run", rows(fall, trained, rise, validated))
    assert ("labels of other samples" in found(path)) is is_named


def test_a_loss_that_is_no_cross_entropy_is_not_set_beside_guessing(tmp_path: Path):
    made = rows(np.linspace(LN10, 2.0, 8), 0.25, np.linspace(2.3, 2.4, 8), 0.12)
    path = write(tmp_path / "run", made, settings={"model": MLP | {"loss": "mse"}})
    assert "labels of other samples" not in found(path)


@pytest.mark.parametrize(("noise", "is_named"), [(0.49, False), (0.5, True), (0.9, True), (None, False), (True, False)])
@pytest.mark.parametrize(
    ("made", "instead"),
    [
        (rows(np.linspace(2.3, 2.0, 10), 0.3), "learning rate too small"),
        (rows([2.3] * 10, 0.1), "nothing learned"),
        (rows(LEARNS, 0.9, val_accuracy=0.12), "labels of other samples"),
    ],
)
def test_random_labels_are_named_as_the_cause_of_what_comes_of_them(
    tmp_path: Path, made: list[dict[str, Any]], instead: str, noise: Any, is_named: bool
):
    path = write(tmp_path / "run", made, settings={"dataset": {"name": "digits", "label_noise": noise}})
    names = found(path)
    assert ("random labels" in names, instead in names) == (is_named, not is_named)
    if is_named:
        assert names["random labels"].evidence.startswith(f"dataset.label_noise={noise} of the training labels")


def test_a_run_that_learns_in_spite_of_random_labels_has_no_finding(tmp_path: Path):
    settings = {"dataset": {"name": "digits", "label_noise": 0.5}}
    assert found(write(tmp_path / "run", rows(LEARNS), settings=settings)) == {}


@pytest.mark.parametrize(
    ("epochs", "facts", "settings", "said"),
    [
        (0, {}, {}, "no history to judge yet"),
        (2, {}, {}, "fewer than 3 epochs"),
        (3, {}, {}, None),
        (3, {"steps": 19}, {}, "fewer than 20 batches"),
        (3, {"train_samples": 49}, {}, "fewer than 50 training samples"),
        (3, {}, {"smoke": True}, "smoke=true"),
    ],
)
def test_why_a_history_cannot_be_judged_is_said(
    tmp_path: Path, epochs: int, facts: dict[str, int], settings: dict[str, Any], said: str | None
):
    path = write(tmp_path / "run", rows(LEARNS[:epochs]), facts=facts, settings=settings, status="interrupted")
    why = unjudged(load_run(path))
    assert why is None if said is None else said in (why or "")


def rising(to: float, lowest: float = 0.6) -> list[float]:
    return [2.0, 1.2, lowest, *np.linspace(lowest, to, 4)[1:], to, to, to]


FALLING = [2.0, 1.2, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05]


@pytest.mark.parametrize(
    ("val_loss", "train_loss", "is_named"),
    [
        (rising(0.76), FALLING, True),
        (rising(0.74), FALLING, False),  # by less than a quarter
        (rising(0.21, lowest=0.1), FALLING, False),  # by less than .05 of knowing nothing, if to twice as much
        (rising(0.22, lowest=0.1), FALLING, True),
        ([*rising(0.9)[:-2], 0.6, 0.9], FALLING, False),  # not in each of the last three
        ([2.0, 1.5, 1.2, 1.0, 0.9, 0.8, 0.6, 0.9, 0.9], FALLING, False),  # for two epochs
        (rising(0.9), [*FALLING[:3], *[0.49] * 6], False),  # training learns no more either
        (rising(0.9), [*FALLING[:3], *[0.47] * 6], True),
    ],
)
def test_a_run_overfits_where_the_validation_loss_rises_for_good_while_the_training_loss_falls(
    tmp_path: Path, val_loss: list[float], train_loss: list[float], is_named: bool
):
    path = write(tmp_path / "run", rows(train_loss, val_loss=val_loss))
    assert ("overfitting" in found(path)) is is_named


def test_overfitting_names_the_epoch_and_whether_the_test_result_is_affected(tmp_path: Path):
    made = rows(FALLING, val_loss=rising(0.9))
    best = found(write(tmp_path / "best", made))["overfitting"].evidence
    assert best.startswith("since epoch 3 the validation loss rises, from 0.6 to at least 0.9 in the last 3 epochs")
    assert best.endswith("epoch 3 is the tested one, so that the test result is not affected")
    last = found(write(tmp_path / "last", made, settings={"select": "last"}))["overfitting"].evidence
    assert last.endswith("epoch 9 is the tested one")


def test_the_loss_of_a_perceptron_jumps_about_and_says_nothing(tmp_path: Path):
    histories = rows(FALLING, val_loss=rising(0.9)), rows([0.1, 0.2, 0.1, 0.3, 0.1, 0.2], 0.8)
    for number, made in enumerate(histories):
        path = write(tmp_path / str(number), made, settings={"model": {"name": "perceptron"}})
        assert found(path) == {}


@pytest.mark.parametrize(("share", "is_named"), [(0.4, True), (0.39, False)])
def test_units_are_dead_where_the_probe_of_activations_says_so(tmp_path: Path, share: float, is_named: bool):
    path = write(tmp_path / "run", rows(LEARNS), facts={"dead_share": share, "dead_units": 8})
    assert ("dead units" in found(path)) is is_named


@pytest.mark.parametrize(("still", "is_named"), [(8, True), (7, False)])
def test_units_are_dead_where_they_did_not_move_by_a_bit(tmp_path: Path, still: int, is_named: bool):
    path = write(tmp_path / "run", rows(LEARNS))
    before, after = network(), moved(network())
    after["weights/backbone.linear2.weight"][:still] = before["weights/backbone.linear2.weight"][:still]
    states(path, before, after)
    names = found(path)
    assert ("dead units" in names) is is_named
    if is_named:
        assert names["dead units"].evidence.startswith("8 of 20 units of backbone.linear2")


def test_what_is_frozen_or_does_not_train_is_not_dead(tmp_path: Path):
    frozen = write(tmp_path / "frozen", rows(LEARNS), settings={"freeze": {"name": "backbone"}})
    before, after = network(), moved(network())
    states(frozen, before, {**before, "weights/head.weight": after["weights/head.weight"]})
    assert found(frozen) == {}
    still = write(tmp_path / "still", rows(LEARNS))
    states(still, before, before)
    assert found(still) == {}, "a learning rate of 0 kills no units"


@pytest.mark.parametrize(("by", "is_named"), [(1.1e-4, True), (0.9e-4, False)])
def test_units_that_stand_still_where_hardly_anything_moves_are_not_dead(tmp_path: Path, by: float, is_named: bool):
    path = write(tmp_path / "run", rows(LEARNS))
    before = network()
    head = before["weights/head.weight"].astype(np.float64)
    states(path, {**before, "weights/head.weight": head}, {**before, "weights/head.weight": head * (1 + by)})
    assert ("dead units" in found(path)) is is_named


@pytest.mark.parametrize(
    "array", [np.zeros((0, 3)), np.ones((4, 2), dtype=bool), np.arange(6).reshape(2, 3), np.full((3, 3), np.nan)]
)
def test_whatever_a_strangers_checkpoint_holds_is_answered(tmp_path: Path, array: np.ndarray):
    path = write(tmp_path / "run", rows(LEARNS))
    for name in network():
        other = {**network(), name: array}
        for before, after in ((network(), other), (other, network()), (other, other)):
            states(path, before, after)
            found(path)


def test_hidden_layers_that_begin_with_zeros_are_named_and_heads_are_not(tmp_path: Path):
    for name in ("backbone.linear2.weight", "head.weight"):
        path = write(tmp_path / name, rows(LEARNS))
        zeros = np.zeros_like(network()[f"weights/{name}"])
        (path / "initial.json").write_text(json.dumps({name: checkpoint.tensor_hash(name, zeros)}))
        states(path, network(), moved(network()))
        assert ("zero initialization" in found(path)) is (name != "head.weight")


def test_units_that_are_all_alike_are_named_and_one_other_unit_is_enough(tmp_path: Path):
    state = network()
    state["weights/backbone.linear1.weight"][:] = state["weights/backbone.linear1.weight"][0]
    path = write(tmp_path / "alike", rows(LEARNS))
    states(path, state, moved(state))
    assert found(path)["units all alike"].evidence == "the 20 units of backbone.linear1 have the same weights"
    state["weights/backbone.linear1.weight"][3] *= 1.001
    path = write(tmp_path / "but one", rows(LEARNS))
    states(path, state, moved(state))
    assert found(path) == {}


@pytest.mark.parametrize(("ratio", "is_named"), [(0.9e-3, True), (1.1e-3, False)])
def test_gradients_vanish_where_the_first_layer_hardly_moves_beside_the_last(
    tmp_path: Path, ratio: float, is_named: bool
):
    measured = write(tmp_path / "measured", rows(LEARNS), facts={"gradient_ratio_first_last": ratio})
    assert ("vanishing gradients" in found(measured)) is is_named
    seen = write(tmp_path / "seen", rows(LEARNS))
    state = {name: values.astype(np.float64) for name, values in network().items()}
    after = {name: values * (1 + 0.01 * (ratio if "linear1" in name else 1.0)) for name, values in state.items()}
    states(seen, state, after)
    assert ("vanishing gradients" in found(seen)) is is_named


@pytest.mark.parametrize(("copies", "is_named"), [(19, True), (18, False)])
@pytest.mark.parametrize("split", ["val", "test"])
def test_more_than_one_in_twenty_samples_that_are_trained_on_as_well_are_a_leak(
    tmp_path: Path, split: str, copies: int, is_named: bool
):
    facts = {"val_samples": 360, "test_samples": 360, f"{split}_in_train": copies}
    path = write(tmp_path / "run", rows(LEARNS), facts=facts)
    name = {"val": "leakage into validation", "test": "leakage into test"}[split]
    assert list(found(path)) == ([name] if is_named else [])


@pytest.mark.parametrize("why", [{"steps": 19}, {"train_samples": 49}])
def test_of_a_run_that_has_hardly_begun_the_history_says_nothing(tmp_path: Path, why: dict[str, int]):
    losses = [2.3] * 10
    assert "nothing learned" in found(write(tmp_path / "long", rows(losses, 0.1)))
    assert found(write(tmp_path / "short", rows(losses, 0.1), facts=why)) == {}
    assert found(write(tmp_path / "smoke", rows(losses, 0.1), settings={"smoke": True})) == {}


def test_a_run_that_was_cut_has_no_facts_yet_and_is_judged_by_its_rows(tmp_path: Path):
    for name, made in (("learns", rows(LEARNS)), ("nothing", rows([2.3] * 10, 0.1))):
        path = write(tmp_path / name, made, status="interrupted")
        (path / "facts.json").unlink()
        assert list(found(path)) == (["nothing learned"] if name == "nothing" else [])


@pytest.mark.parametrize("value", [None, "x", [], {}, True, 10**400, float("nan")])
def test_facts_that_are_no_numbers_are_passed_over(tmp_path: Path, value: Any):
    names = (*FACTS, "dead_share", "dead_units", "val_in_train", "gradient_ratio_first_last")
    assert found(write(tmp_path / "run", rows(LEARNS), facts=dict.fromkeys(names, value))) == {}
