"""The contract of `labrunner.learner.Learner` as checks that any learner can be put through, also one of your own.

With pytest, one test a check::

    data = kit.Data(inputs, targets, lr=0.1)

    @pytest.mark.parametrize("check", kit.CHECKS, ids=kit.name_of)
    def test_my_learner_keeps_the_contract(check):
        check(make_my_learner, data)

Without pytest, all in a row: ``kit.check_learner(make_my_learner, inputs, targets)``.

A check takes a function that makes the same fresh learner each time it is called, and raises AssertionError when a
promise is broken. Checks compare bytes where the contract says that nothing moves or that two runs agree, and never
look inside what a learner's own library computes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from labrunner.learner import Batch, Learner, Wants

MakeLearner = Callable[[], Learner]
EPOCHS = (1, 2, 3, 4)  # that freezing is looked at in


class Data(NamedTuple):
    """What the learner is tried on.

    inputs : (N, ...) floats, already normalized; N of 8 or more
    targets : (N,) integers in [0, K)
    lr : a learning rate at which this learner makes progress on these data
    smooth : whether `check_gradients_agree_with_finite_differences` may run: float64, and a loss in training mode that
        is differentiable and equal to that in evaluation mode (no dropout, no batch statistics)
    """

    inputs: np.ndarray
    targets: np.ndarray
    lr: float = 0.1
    smooth: bool = False


def check_learner(
    make_learner: MakeLearner, inputs: np.ndarray, targets: np.ndarray, lr: float = 0.1, smooth: bool = False
) -> None:
    """Run every check; the AssertionError of the first broken promise names the check."""
    data = Data(inputs, targets, lr, smooth)
    for check in CHECKS:
        try:
            check(make_learner, data)
        except AssertionError as error:
            raise AssertionError(f"{name_of(check)}: {error}") from error


def name_of(check: Callable[..., None]) -> str:
    """A check's name as words, for pytest's `ids`."""
    return check.__name__.removeprefix("check_")


def check_every_method_is_present(make_learner: MakeLearner, data: Data) -> None:
    learner = make_learner()
    missing = [name for name in dir(Learner) if not name.startswith("_") and not hasattr(learner, name)]
    assert not missing, f"the learner lacks {', '.join(missing)}"
    assert isinstance(learner, Learner)
    assert isinstance(learner.wants, Wants)
    assert isinstance(learner.work, int), "work counts multiply-adds"
    assert learner.work > 0, "work counts multiply-adds"


def check_arrays_keep_values_and_integer_types(make_learner: MakeLearner, data: Data) -> None:
    learner = make_learner()
    assert len(learner.array(data.inputs)) == len(data.inputs)
    for dtype in (np.uint8, np.int64):
        values = learner.array(data.targets.astype(dtype))
        assert dtype.__name__ in str(values.dtype), f"{dtype.__name__} became {values.dtype}"
        assert [int(value) for value in values] == data.targets.tolist()


def check_facts_of_an_epoch_are_floats(make_learner: MakeLearner, data: Data) -> None:
    facts = make_learner().start_epoch(1)
    assert isinstance(facts, dict)
    assert all(isinstance(name, str) and type(value) is float for name, value in facts.items()), facts


def check_parameters_and_weights_name_the_same_things(make_learner: MakeLearner, data: Data) -> None:
    learner = _started(make_learner)
    weights, parameters, state = learner.weights(), learner.parameters(), learner.state()
    assert parameters, "a learner has parameters"
    assert all(isinstance(value, np.ndarray) for value in [*weights.values(), *state.values()])
    assert parameters.keys() <= weights.keys()
    for name, (count, trains) in parameters.items():
        assert weights[name].size == count, f"{name} has {weights[name].size} values, not {count}"
        assert isinstance(trains, bool)
    assert _inner(state, "weights/") == _bytes(weights), "state() holds what weights() returns"
    strangers = [key for key in state if not key.startswith(("weights/", "optim/"))]
    assert not strangers, f"no place in a state for {strangers}"
    _train(learner, data, steps=1)
    slots = _slots(learner)
    assert all(key.split("/", 1)[1].rsplit("/", 1)[0] in parameters for key in slots), slots


def check_a_batch_gives_a_scalar_loss_and_a_score_for_each_class(make_learner: MakeLearner, data: Data) -> None:
    learner = _started(make_learner)
    batch = _batch(learner, data, 0)
    classes = int(data.targets.max()) + 1
    for out in (learner.eval_batch(batch), learner.train_batch(batch, data.lr)):
        assert tuple(getattr(out.loss, "shape", ())) == ()
        assert np.isfinite(float(out.loss))
        assert len(out.scores.shape) == 2
        assert out.scores.shape[0] == len(batch.targets)
        assert out.scores.shape[1] >= classes
    assert tuple(learner.scores(batch.inputs).shape) == tuple(out.scores.shape)


def check_the_loss_is_the_mean_over_the_batch(make_learner: MakeLearner, data: Data) -> None:
    learner = _started(make_learner)
    inputs, targets = learner.array(data.inputs), learner.array(data.targets)
    cut = len(data.targets) // 3
    parts = [slice(0, cut), slice(cut, None)]
    total = sum(
        float(learner.eval_batch(Batch(inputs[part], targets[part], 0)).loss) * len(data.targets[part])
        for part in parts
    )
    whole = float(learner.eval_batch(Batch(inputs, targets, 0)).loss)
    assert np.isclose(total / len(data.targets), whole, rtol=1e-4), f"{total / len(data.targets)} is not {whole}"


def check_a_tally_counts_the_targets_with_the_highest_score(make_learner: MakeLearner, data: Data) -> None:
    learner = _started(make_learner)
    batches = [_batch(learner, data, step) for step in range(3)]
    outs = [learner.train_batch(batch, data.lr) for batch in batches]
    tally = learner.tally(outs, [batch.targets for batch in batches])
    assert tally.losses == [float(out.loss) for out in outs]
    assert all(type(loss) is float for loss in tally.losses)
    hits = 0
    for step, out in enumerate(outs):
        rows = np.random.default_rng(step).permutation(len(data.inputs))[: len(data.inputs) // 2]
        hits += int((learner.probabilities([out.scores]).argmax(axis=1) == data.targets[rows]).sum())
    assert tally.hits == hits, f"{tally.hits} hits are told, the probabilities have {hits}"


def check_targets_may_be_weights_of_the_classes(make_learner: MakeLearner, data: Data) -> None:
    """As under mixup: all of the weight on one class says what the label says."""
    learner = _started(make_learner)
    inputs, targets = learner.array(data.inputs), learner.array(data.targets)
    scores = learner.eval_batch(Batch(inputs, targets, 0)).scores
    certain = np.eye(scores.shape[1])[data.targets]
    labelled = float(learner.eval_batch(Batch(inputs, targets, 0)).loss)
    weighted = float(learner.eval_batch(Batch(inputs, learner.array(certain), 0)).loss)
    assert np.isclose(weighted, labelled, rtol=1e-5), f"{weighted} with weights, {labelled} with labels"
    first = learner.array(certain[: len(certain) // 2])
    out = learner.train_batch(Batch(inputs[: len(first)], first, 0), data.lr)
    assert np.isfinite(float(out.loss))
    assert learner.tally([out], [first]).hits is None, "weights have no hits and no misses"


def check_probabilities_are_float64_rows_that_sum_to_one(make_learner: MakeLearner, data: Data) -> None:
    learner = _started(make_learner)
    p = learner.probabilities([learner.scores(learner.array(data.inputs))])
    assert isinstance(p, np.ndarray)
    assert p.dtype == np.float64
    assert len(p) == len(data.inputs)
    assert (p >= 0).all()
    assert np.abs(p.sum(axis=1) - 1.0).max() < 1e-12


def check_batches_of_any_size_give_the_same_probabilities(make_learner: MakeLearner, data: Data) -> None:
    learner = _started(make_learner)
    inputs = learner.array(data.inputs)
    whole = learner.probabilities([learner.scores(inputs)])
    parts = learner.probabilities([learner.scores(inputs[part]) for part in (slice(0, 1), slice(1, 4), slice(4, None))])
    assert whole.shape == parts.shape
    assert np.abs(whole - parts).max() < 1e-5
    scored = learner.probabilities([learner.eval_batch(Batch(inputs, learner.array(data.targets), 0)).scores])
    assert np.abs(whole - scored).max() < 1e-5, "eval_batch and scores agree"


def check_activations_are_named_arrays_with_a_row_for_each_sample(make_learner: MakeLearner, data: Data) -> None:
    activations = _activations(_started(make_learner), data)
    assert activations
    for name, values in activations.items():
        assert isinstance(values, np.ndarray), name
        assert len(values) == len(data.inputs), name


def check_gradients_have_the_shapes_of_the_parameters_that_train(make_learner: MakeLearner, data: Data) -> None:
    learner = _started(make_learner)
    gradients = learner.gradients(_batch(learner, data, 0))
    weights = learner.weights()
    training = {name for name, (_, trains) in learner.parameters().items() if trains}
    assert training == gradients.keys(), "of all that trains, and of nothing else"
    for name, gradient in gradients.items():
        assert isinstance(gradient, np.ndarray), name
        assert gradient.shape == weights[name].shape, name
        assert np.isfinite(gradient).all(), name


def check_gradients_agree_with_finite_differences(make_learner: MakeLearner, data: Data) -> None:
    """Only for data said to be `smooth`: a few weights of each parameter, moved through load, seen by eval_batch."""
    if not data.smooth:
        return
    learner = _started(make_learner)
    _train(learner, data, steps=2)
    batch = Batch(learner.array(data.inputs), learner.array(data.targets), 2)
    gradients, state = learner.gradients(batch), learner.state()
    rng = np.random.default_rng(0)

    def loss_at(name: str, index: int, shift: float) -> float:
        moved = {key: value.copy() for key, value in state.items()}
        moved[f"weights/{name}"].flat[index] += shift
        learner.load(moved)
        return float(learner.eval_batch(batch).loss)

    h = 1e-5
    for name, gradient in gradients.items():
        for index in rng.choice(gradient.size, size=min(3, gradient.size), replace=False):
            numeric = (loss_at(name, index, h) - loss_at(name, index, -h)) / (2 * h)
            exact = float(gradient.flat[index])
            assert abs(numeric - exact) <= 1e-6 * abs(exact) + 1e-9, f"{name}[{index}]: {exact} is not {numeric}"


def check_looking_moves_nothing(make_learner: MakeLearner, data: Data) -> None:
    """eval_batch, scores, activations, gradients, summary: same state, and the next steps as if nobody had looked."""
    undisturbed, watched = _started(make_learner), _started(make_learner)
    _train(undisturbed, data, steps=2)
    _train(watched, data, steps=2)
    for name, look in _LOOKS.items():
        before = _bytes(watched.state())
        look(watched, data)
        assert _bytes(watched.state()) == before, f"{name} changes the state"
    for step in range(2, 5):
        batch = _batch(undisturbed, data, step)
        expected = _out_bytes(undisturbed, batch, data.lr)
        for look in _LOOKS.values():
            look(watched, data)
        assert _out_bytes(watched, _batch(watched, data, step), data.lr) == expected, "looking changes a later batch"
    assert _bytes(watched.state()) == _bytes(undisturbed.state()), "looking changes later training"


def check_what_was_handed_out_stays_as_it_was(make_learner: MakeLearner, data: Data) -> None:
    """A pass keeps scores and losses of all its batches: they are not buffers that the next batch overwrites."""
    learner = _started(make_learner)
    first, second = _batch(learner, data, 0), _batch(learner, data, 1)
    kept = [learner.eval_batch(first), learner.train_batch(first, data.lr)]
    scores = [out.scores for out in kept] + [learner.scores(first.inputs)]
    arrays = [learner.gradients(first), learner.activations(first.inputs), learner.weights(), learner.state()]
    before = [float(out.loss) for out in kept], [learner.probabilities([s]).tobytes() for s in scores]
    bytes_before = [_bytes(a) for a in arrays]
    learner.train_batch(second, data.lr)
    learner.eval_batch(second)
    learner.scores(second.inputs)
    learner.gradients(second)
    learner.activations(second.inputs)
    assert ([float(out.loss) for out in kept], [learner.probabilities([s]).tobytes() for s in scores]) == before
    assert [_bytes(a) for a in arrays] == bytes_before


def check_two_fresh_learners_train_alike_to_the_byte(make_learner: MakeLearner, data: Data) -> None:
    one, other = _started(make_learner), _started(make_learner)
    assert _bytes(one.state()) == _bytes(other.state()), "they start alike"
    for step in range(4):
        of_one = _out_bytes(one, _batch(one, data, step), data.lr)
        assert of_one == _out_bytes(other, _batch(other, data, step), data.lr), f"they differ at step {step}"
        assert _bytes(one.state()) == _bytes(other.state()), f"they differ after step {step}"


def check_states_and_weights_are_copies(make_learner: MakeLearner, data: Data) -> None:
    learner = _started(make_learner)
    _train(learner, data, steps=2)
    before = _bytes(learner.state())
    for copies in (learner.state(), learner.weights()):
        for value in copies.values():
            value[...] = 7
    assert _bytes(learner.state()) == before


def check_loading_takes_copies(make_learner: MakeLearner, data: Data) -> None:
    source, learner = _started(make_learner), _started(make_learner)
    _train(source, data, steps=2)
    state = source.state()
    given = _bytes(state)
    learner.load(state)
    _train(learner, data, first=2, steps=2)
    assert _bytes(state) == given, "training writes into the arrays that were loaded"
    before = _bytes(learner.state())
    for value in state.values():
        value[...] = 7
    assert _bytes(learner.state()) == before, "the learner still reads the arrays that were loaded"


def check_a_resumed_learner_continues_to_the_byte(make_learner: MakeLearner, data: Data) -> None:
    """Also from before the first step, when the optimizer has no slots yet, and into a learner that has trained."""
    for done in (0, 3):
        whole = _started(make_learner)
        _train(whole, data, steps=done)
        state = whole.state()
        fresh, used = _started(make_learner), _started(make_learner)
        _train(used, data, first=50, steps=2)
        for resumed in (fresh, used):
            resumed.load(state)
            assert _bytes(resumed.state()) == _bytes(state), "a loaded state is the state"
        for step in range(done, done + 3):
            expected = _out_bytes(whole, _batch(whole, data, step), data.lr)
            for word, resumed in (("fresh", fresh), ("used", used)):
                found = _out_bytes(resumed, _batch(resumed, data, step), data.lr)
                assert found == expected, f"a {word} learner that took over after {done} steps differs at step {step}"
        for resumed in (fresh, used):
            assert _bytes(resumed.state()) == _bytes(whole.state())


def check_a_learner_resumed_where_something_thaws_continues_to_the_byte(make_learner: MakeLearner, data: Data) -> None:
    """At the end of each epoch and in its middle, whatever trains there; into a learner that never began an epoch."""
    whole, states = make_learner(), []
    for epoch in EPOCHS:
        whole.start_epoch(epoch)
        for part in range(2):
            _train(whole, data, first=4 * epoch + 2 * part, steps=2)
            states.append(whole.state())
    for place, state in enumerate(states[:-1], start=1):
        resumed = make_learner()
        resumed.load(state)
        resumed.start_epoch(EPOCHS[place // 2])
        _train(resumed, data, first=4 * EPOCHS[place // 2] + 2 * (place % 2), steps=2)
        assert _bytes(resumed.state()) == _bytes(states[place]), f"it goes another way after {place / 2} epochs"


def check_stages_hold_every_tensor_once(make_learner: MakeLearner, data: Data) -> None:
    learner = make_learner()
    stages, weights = learner.stages(), learner.weights()
    assert stages, "a learner has stages"
    named = [name for names in stages.values() for name in names]
    assert sorted(named) == sorted(weights), "each tensor is in one stage"
    before = {stage: list(names) for stage, names in stages.items()}
    _train(_started(lambda: learner), data, steps=1)
    assert learner.stages() == before, "stages change"


def check_what_is_frozen_is_a_function_of_the_epoch(make_learner: MakeLearner, data: Data) -> None:
    learner, other = make_learner(), make_learner()
    weights = learner.weights()
    for epoch in reversed(EPOCHS):
        frozen = learner.frozen(epoch)
        assert isinstance(frozen, frozenset)
        assert frozen <= weights.keys(), f"there are no tensors {sorted(frozen - weights.keys())[:3]}"
        turns = epoch > 1 and frozen != learner.frozen(epoch - 1)
        assert turns == (epoch in learner.turns()), f"turns() and frozen() disagree in epoch {epoch}"
    for epoch in EPOCHS:
        learner.start_epoch(epoch)
        _train(learner, data, first=epoch, steps=1)
        assert [learner.frozen(each) for each in EPOCHS] == [other.frozen(each) for each in EPOCHS], (
            "training changes what is frozen when"
        )
        trains = {name for name, (_, trains) in learner.parameters().items() if trains}
        assert trains == learner.parameters().keys() - learner.frozen(epoch), f"they disagree in epoch {epoch}"
        assert trains, f"nothing trains in epoch {epoch}"


def check_what_is_frozen_stands_still_and_has_no_gradient_and_no_slots(make_learner: MakeLearner, data: Data) -> None:
    """Momentum and weight decay from an epoch in which it trained among what may not move it."""
    learner = make_learner()
    for epoch in EPOCHS:
        facts = learner.start_epoch(epoch)
        frozen, before = learner.frozen(epoch), learner.weights()
        counts = {name: count for name, (count, trains) in learner.parameters().items() if trains}
        assert facts.get("parameters_trainable", sum(counts.values())) == sum(counts.values()), "the fact of the epoch"
        for step in range(4 * epoch, 4 * epoch + 3):
            learner.train_batch(_batch(learner, data, step), data.lr)
            assert not frozen & learner.gradients(_batch(learner, data, step)).keys(), "a gradient of what is frozen"
        after, slots = learner.weights(), {key.split("/", 1)[1].rsplit("/", 1)[0] for key in _slots(learner)}
        moved = sorted(name for name in frozen if before[name].tobytes() != after[name].tobytes())
        assert not moved, f"{', '.join(moved[:3])} moved in epoch {epoch}, though frozen"
        assert not frozen & slots, f"{', '.join(sorted(frozen & slots)[:3])} has slots in epoch {epoch}, though frozen"


def check_a_state_that_does_not_fit_is_refused(make_learner: MakeLearner, data: Data) -> None:
    learner = _started(make_learner)
    _train(learner, data, steps=1)
    state = learner.state()
    before = _bytes(state)
    key = next(f"weights/{name}" for name in learner.parameters())
    value = state[key]
    without = {k: v for k, v in state.items() if k != key}
    wrong = {
        "a missing weight": without,
        "an unexpected weight": {**state, "weights/no_such_layer.weight": value},
        "an unexpected slot": {**state, "optim/no_such_layer.weight/momentum_buffer": value},
        "an unexpected kind": {**state, "no_such_kind/weight": value},
        "a longer weight": {**state, key: np.concatenate([value, value])},
        "a weight with an axis more": {**state, key: value[None]},
    }
    for word, misfit in wrong.items():
        try:
            learner.load(misfit)
        except ValueError as error:
            message = str(error)
        else:
            raise AssertionError(f"{word} is taken without a ValueError")
        name = key.removeprefix("weights/")
        assert name in message or "no_such" in message, f"{word}: the message names nothing: {message}"
        assert _bytes(learner.state()) == before, f"{word}: a refused load changes the learner"


def check_a_learning_rate_of_zero_moves_no_parameter(make_learner: MakeLearner, data: Data) -> None:
    learner = _started(make_learner)
    before = _parameters(learner)
    for step in range(2):
        learner.train_batch(_batch(learner, data, step), 0.0)
    assert _parameters(learner) == before


def check_training_lowers_the_loss(make_learner: MakeLearner, data: Data) -> None:
    learner = _started(make_learner)
    whole = Batch(learner.array(data.inputs), learner.array(data.targets), 0)
    before = float(learner.eval_batch(whole).loss)
    for step in range(40):
        learner.train_batch(whole._replace(step=step), data.lr)
    after = float(learner.eval_batch(whole).loss)
    assert after < before, f"from {before} to {after}"


def check_the_summary_ends_with_the_exact_count_of_parameters(make_learner: MakeLearner, data: Data) -> None:
    learner = _started(make_learner)
    text = learner.summary()
    total = sum(count for count, _ in learner.parameters().values())
    assert f"{total:,}" in text, f"{total:,} is not in\n{text}"
    assert text == text.rstrip(), "no trailing newline"


CHECKS: list[Callable[[MakeLearner, Data], None]] = [
    value for name, value in list(globals().items()) if name.startswith("check_") and name != "check_learner"
]

_LOOKS: dict[str, Callable[[Learner, Data], Any]] = {
    "eval_batch": lambda learner, data: learner.eval_batch(_batch(learner, data, 1)),
    "scores": lambda learner, data: learner.scores(_batch(learner, data, 1).inputs),
    "activations": lambda learner, data: _activations(learner, data),
    "gradients": lambda learner, data: learner.gradients(_batch(learner, data, 1)),
    "summary": lambda learner, data: learner.summary(),
    "weights": lambda learner, data: learner.weights(),
    "parameters": lambda learner, data: learner.parameters(),
}


def _started(make_learner: MakeLearner) -> Learner:
    learner = make_learner()
    learner.start_epoch(1)
    return learner


def _batch(learner: Learner, data: Data, step: int) -> Batch:
    """Half of the data, another half at each step."""
    rows = np.random.default_rng(step).permutation(len(data.inputs))[: len(data.inputs) // 2]
    return Batch(learner.array(data.inputs[rows]), learner.array(data.targets[rows]), step)


def _train(learner: Learner, data: Data, steps: int, first: int = 0) -> None:
    for step in range(first, first + steps):
        learner.train_batch(_batch(learner, data, step), data.lr)


def _slots(learner: Learner) -> list[str]:
    return [key for key in learner.state() if key.startswith("optim/")]


def _activations(learner: Learner, data: Data) -> dict[str, np.ndarray]:
    return learner.activations(learner.array(data.inputs))


def _bytes(arrays: Mapping[str, np.ndarray]) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    return {name: (value.dtype.str, value.shape, value.tobytes()) for name, value in arrays.items()}


def _inner(state: Mapping[str, np.ndarray], prefix: str) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    return _bytes({key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)})


def _parameters(learner: Learner) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    names = learner.parameters()
    return _bytes({name: value for name, value in learner.weights().items() if name in names})


def _out_bytes(learner: Learner, batch: Batch, lr: float) -> tuple[float, bytes]:
    """A training batch's loss and probabilities; unlike scores, both are comparable in any library."""
    out = learner.train_batch(batch, lr)
    return float(out.loss), learner.probabilities([out.scores]).tobytes()
