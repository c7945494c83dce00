"""What the torch learner promises beyond the contract: memory formats, resumed fused steps, buffers, arrays."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch

from labrunner import deep
from labrunner.learner import Batch
from tests.data.settings import ADAM, CNN, MOMENTUM, SGD, config
from tests.deep.odd import Odd

SHAPE = (3, 8, 8)
WIDE = {**CNN, "channels": [8, 16]}


def batch(learner, step: int = 0, n: int = 16, shape: tuple[int, ...] = SHAPE) -> Batch:
    rng = np.random.default_rng(step)
    return Batch(learner.array(rng.normal(size=(n, *shape))), learner.array(rng.integers(0, 5, size=n)), step)


def bytes_of(state) -> dict[str, bytes]:
    return {name: values.tobytes() for name, values in state.items()}


def random_state() -> bytes:
    return torch.get_rng_state().numpy().tobytes()


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("optim", [MOMENTUM, ADAM], ids=["momentum", "adam"])
def test_loaded_slots_have_the_memory_format_of_their_weights(optim, precision):
    settings = config(model=WIDE, optim=optim, precision=precision)
    trained, resumed = (deep.make(settings, SHAPE, 5) for _ in range(2))
    trained.train_batch(batch(trained), 0.01)
    resumed.load(trained.state())
    formats = 0
    for name, parameter in resumed.network.named_parameters():
        slots = resumed.optimizer.slots[name]
        assert slots
        for slot, values in slots.items():
            if values.ndim:
                assert values.stride() == parameter.stride(), slot
                assert values.dtype == parameter.dtype
                formats += not values.is_contiguous()
    assert formats, "no convolution is in channels_last here"


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("own", [None, Odd], ids=["cnn", "own"])
@pytest.mark.parametrize("optim", [SGD, MOMENTUM, ADAM], ids=["sgd", "momentum", "adam"])
def test_a_resumed_step_equals_the_uninterrupted_one_to_the_byte(optim, own, precision):
    settings = config(model=WIDE, optim=optim, precision=precision, reg={"dropout": 0.3, "weight_decay": 0.01})
    through = deep.make(settings, SHAPE, 5, own)
    for step in range(12):
        through.train_batch(batch(through, step), 0.02)
        if step == 4:
            resumed = deep.make({**settings, "seed": 0}, SHAPE, 5, own)
            resumed.load(through.state())
        if step > 4:
            resumed.train_batch(batch(resumed, step), 0.02)
            assert bytes_of(resumed.state()) == bytes_of(through.state()), f"at step {step}"


def test_gradients_leave_running_means_and_randomness_alone():
    learner = deep.make(config(model=WIDE, reg={"dropout": 0.5}), SHAPE, 5)
    learner.train_batch(batch(learner), 0.01)
    weights, randomness = bytes_of(learner.weights()), random_state()
    assert any("running_mean" in name for name in weights)
    gradients = learner.gradients(batch(learner, 1))
    assert bytes_of(learner.weights()) == weights
    assert random_state() == randomness
    assert all(parameter.grad is None or parameter.grad.isfinite().all() for parameter in learner.network.parameters())
    assert any(np.abs(gradient).max() > 0 for gradient in gradients.values())


def test_gradients_are_those_that_the_next_step_takes():
    learner = deep.make(config(model=WIDE, reg={"dropout": 0.5}), SHAPE, 5)
    gradients, before = learner.gradients(batch(learner, 3)), learner.weights()
    learner.train_batch(batch(learner, 3), 0.5)
    for name, gradient in gradients.items():
        np.testing.assert_allclose(learner.weights()[name], before[name] - 0.5 * gradient, rtol=1e-12, atol=1e-14)


def test_a_frozen_parameter_does_not_move():
    trains = {"name": "patterns", "train": [{"epoch": 1, "train": ["*.bias", "backbone.linear2", "head"]}]}
    learner = deep.make(config(optim=MOMENTUM, reg={"weight_decay": 0.1}, freeze=trains), SHAPE, 5)
    before = learner.weights()
    for step in range(3):
        learner.train_batch(batch(learner, step), 0.1)
    moved = {name for name, values in learner.weights().items() if (values != before[name]).any()}
    assert moved == set(before) - {"backbone.linear1.weight"}
    assert "backbone.linear1.weight" not in learner.gradients(batch(learner))
    assert learner.start_epoch(1) == {"parameters_trainable": sum(v.size for n, v in before.items() if n in moved)}


def test_evaluation_uses_running_means_and_training_the_batch():
    learner = deep.make(config(model=CNN), SHAPE, 5)
    first, second = batch(learner, 0), batch(learner, 1)
    mixed = Batch(torch.cat([first.inputs, second.inputs]), torch.cat([first.targets, second.targets]), 0)
    alone = learner.scores(first.inputs)
    np.testing.assert_allclose(learner.scores(mixed.inputs)[:16], alone, rtol=1e-12)
    in_training = learner.train_batch(mixed, 0.0).scores[:16]
    assert not torch.allclose(in_training, alone)


def test_probabilities_are_the_softmax_in_float64():
    learner = deep.make(config(precision="float32"), SHAPE, 3)
    scores = [torch.tensor([[0.0, 40.0, 80.0]]), torch.log(torch.tensor([[1.0, 2.0, 5.0]]))]
    expected = [[math.exp(-80), math.exp(-40), 1.0], [0.125, 0.25, 0.625]]
    np.testing.assert_allclose(learner.probabilities(scores), expected, rtol=1e-6)


def test_arrays_are_copies_that_keep_pixels_as_they_are():
    learner = deep.make(config(model=CNN), SHAPE, 5)
    pixels = np.arange(2 * 3 * 8 * 8, dtype=np.uint8).reshape(2, *SHAPE)
    tensor = learner.array(pixels)
    np.testing.assert_array_equal(tensor.numpy(), pixels)
    assert tensor.dtype == torch.uint8
    assert not np.shares_memory(tensor.numpy(), pixels)


def test_activations_hold_each_layer_and_end_in_the_scores():
    learner = deep.make(config(model={**CNN, "channels": [4]}, reg={"dropout": 0.5}), SHAPE, 5)
    inputs = batch(learner).inputs
    activations = learner.activations(inputs)
    block = [f"backbone.block1.{name}" for name in ("conv", "norm", "act", "pool", "drop")]
    assert list(activations) == [*block, "backbone.flatten", "head"]
    np.testing.assert_array_equal(activations["head"], learner.scores(inputs).numpy())
    np.testing.assert_array_equal(activations[block[2]], np.maximum(activations[block[1]], 0.0))
    assert (activations[block[1]] < 0).any()


def test_what_the_state_of_another_optimizer_holds_is_refused():
    adam, momentum = (deep.make(config(optim=optim), SHAPE, 5) for optim in (ADAM, MOMENTUM))
    for learner in (adam, momentum):
        learner.train_batch(batch(learner), 0.01)
    with pytest.raises(ValueError, match="exp_avg"):
        deep.make(config(optim=MOMENTUM), SHAPE, 5).load(adam.state())
    with pytest.raises(ValueError, match="momentum_buffer"):
        deep.make(config(optim=ADAM), SHAPE, 5).load(momentum.state())


def test_a_state_with_some_slots_of_a_parameter_missing_is_refused():
    learner = deep.make(config(optim=ADAM), SHAPE, 5)
    learner.train_batch(batch(learner), 0.01)
    state = learner.state()
    del state["optim/head.weight/exp_avg"]
    before = bytes_of(learner.state())
    with pytest.raises(ValueError, match=r"head\.weight"):
        learner.load(state)
    assert bytes_of(learner.state()) == before


def test_a_run_that_diverges_says_so_by_its_loss_alone():
    learner = deep.make(config(precision="float32", model={"activation": "relu"}), SHAPE, 5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        losses = [float(learner.train_batch(batch(learner, step), 1e30).loss) for step in range(5)]
        assert not math.isfinite(losses[-1])
        assert not math.isfinite(float(learner.eval_batch(batch(learner)).loss))


def test_half_precision_rounds_products_and_keeps_weights_and_loss_in_float32():
    exact, half = (deep.make(config(model=WIDE, precision=word), SHAPE, 5) for word in ("float32", "bf16"))
    assert bytes_of(exact.weights()) == bytes_of(half.weights())
    scores, rounded = (learner.scores(batch(learner).inputs) for learner in (exact, half))
    assert rounded.dtype == torch.float32
    assert not torch.equal(scores, rounded)
    # eight bits of precision, through three layers
    torch.testing.assert_close(rounded, scores, rtol=0.05, atol=0.05)
    out = half.train_batch(batch(half), 0.1)
    assert out.loss.dtype == torch.float32
    assert {str(values.dtype) for values in half.state().values()} <= {"float32", "int64"}
    assert all(values.dtype == np.float32 for values in half.activations(batch(half).inputs).values())


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_label_smoothing_is_in_the_training_loss_alone(loss):
    model = {**WIDE, "loss": loss}
    plain, smooth = (deep.make(config(model=model, reg={"label_smoothing": s}), SHAPE, 5) for s in (0.0, 0.3))
    assert float(plain.eval_batch(batch(plain)).loss) == float(smooth.eval_batch(batch(smooth)).loss)
    assert float(plain.train_batch(batch(plain), 0.0).loss) != float(smooth.train_batch(batch(smooth), 0.0).loss)
