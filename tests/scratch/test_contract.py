"""The NumPy learner keeps the contract that every learner keeps, under each optimizer, precision and with dropout."""

from __future__ import annotations

import numpy as np
import pytest

from labrunner import kit
from labrunner.learner import Batch
from labrunner.scratch import NumpyLearner, make
from tests.data.settings import ADALINE, ADAM, MLP_NUMPY, NEURON, PERCEPTRON, SGD, config

PLAIN = config(model=MLP_NUMPY)
NORM = {**MLP_NUMPY, "batch_norm": True}

# the config, the learning rate, and whether finite differences apply
CONFIGS = {
    "sgd": (config(model=MLP_NUMPY), 0.1, True),
    "momentum": (config(model=MLP_NUMPY, optim={**SGD, "momentum": 0.9}), 0.02, True),
    "nesterov_l2": (
        config(
            model=MLP_NUMPY,
            optim={**SGD, "momentum": 0.9, "nesterov": True},
            reg={"weight_decay": 0.01},
            precision="float32",
        ),
        0.02,
        False,
    ),
    "adam": (config(model=MLP_NUMPY, optim=ADAM), 0.01, True),
    "adam_float32_relu": (
        config(optim=ADAM, precision="float32", model={**MLP_NUMPY, "activation": "relu"}),
        0.01,
        False,
    ),
    "adamw": (config(model=MLP_NUMPY, optim={**ADAM, "name": "adamw"}, reg={"weight_decay": 0.1}), 0.01, True),
    "rmsprop": (
        config(model=MLP_NUMPY, optim={"name": "rmsprop", "lr": 0.01, "alpha": 0.9, "eps": 1e-8, "momentum": 0.5}),
        0.005,
        True,
    ),
    "adagrad_l1_clipped": (
        config(
            model=MLP_NUMPY, optim={"name": "adagrad", "lr": 0.01, "eps": 1e-10}, reg={"l1": 1e-3, "clip_norm": 0.5}
        ),
        0.05,
        True,
    ),
    "dropout": (config(model=MLP_NUMPY, reg={"dropout": 0.5}), 0.1, False),
    "dropout_float32_adam": (
        config(model=MLP_NUMPY, reg={"dropout": 0.3}, optim=ADAM, precision="float32"),
        0.01,
        False,
    ),
    "smoothing": (config(model=MLP_NUMPY, reg={"label_smoothing": 0.2}), 0.1, False),
    "batch_norm": (config(model=NORM), 0.1, False),
    "batch_norm_float32_adam": (config(model=NORM, optim=ADAM, precision="float32"), 0.01, False),
    "mse_silu": (config(model={**MLP_NUMPY, "loss": "mse", "activation": "silu"}), 0.02, True),
    "sigmoid_he": (config(model={**MLP_NUMPY, "activation": "sigmoid"}, init={"name": "he"}), 0.1, True),
    "gelu_orthogonal": (config(model={**MLP_NUMPY, "activation": "gelu"}, init={"name": "orthogonal"}), 0.1, True),
    "softmax_regression_xavier": (
        config(model={**MLP_NUMPY, "hidden": []}, init={"name": "xavier"}),
        0.1,
        True,
    ),
    "adaline": (config(model=ADALINE, init={"name": "zeros"}), 0.01, True),
    "adaline_without_bias_adam": (config(model={**ADALINE, "bias": False}, optim=ADAM), 0.01, True),
    # from random weights: at zero the criterion is already at its lowest, and nothing is right
    "perceptron": (config(model=PERCEPTRON, init={"name": "default"}), 0.05, False),
    "perceptron_float32": (config(model=PERCEPTRON, precision="float32"), 0.05, False),
}
OF_TWO = {
    "neuron": (config(model=NEURON), 0.1, True),
    "neuron_mse_momentum": (config(model={**NEURON, "loss": "mse"}, optim={**SGD, "momentum": 0.9}), 0.1, True),
    "adaline_of_one_unit": (config(model=ADALINE), 0.01, True),
    "perceptron_of_one_unit": (config(model=PERCEPTRON), 0.05, False),
}


@pytest.fixture(scope="module")
def samples() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    targets = np.arange(24) % 3
    inputs = rng.normal(size=(24, 1, 3, 4)) + targets[:, None, None, None]
    return inputs, targets


@pytest.mark.parametrize("check", kit.CHECKS, ids=kit.name_of)
@pytest.mark.parametrize("name", CONFIGS)
def test_the_numpy_learner_keeps_the_contract(name, check, samples):
    settings, lr, smooth = CONFIGS[name]
    check(lambda: make(settings, (1, 3, 4), 3), kit.Data(*samples, lr=lr, smooth=smooth))


@pytest.mark.parametrize("check", kit.CHECKS, ids=kit.name_of)
@pytest.mark.parametrize("name", OF_TWO)
def test_the_learners_of_one_unit_keep_the_contract(name, check, samples):
    settings, lr, smooth = OF_TWO[name]
    inputs, targets = samples
    check(lambda: make(settings, (1, 3, 4), 2), kit.Data(inputs, targets % 2, lr=lr, smooth=smooth))


def test_tables_go_through_as_images_do(samples):
    inputs, targets = samples
    kit.check_learner(lambda: make(PLAIN, (12,), 3), inputs.reshape(24, 12), targets, smooth=True)


class _WithAFault(NumpyLearner):
    def __init__(self) -> None:
        sound = make(PLAIN, (1, 3, 4), 3)
        super().__init__(sound.network, sound.loss, sound.optimizer, sound.seed)


class _LearnsWhileEvaluating(_WithAFault):
    def eval_batch(self, batch):
        self.train_batch(batch, 1e-3)
        return super().eval_batch(batch)


class _HandsOutItsOwnArrays(_WithAFault):
    def weights(self):
        return dict(self.network.parameters)


class _ForgetsTheSlots(_WithAFault):
    def __init__(self) -> None:
        super().__init__()
        self.optimizer.momentum = 0.9

    def state(self):
        return {key: value for key, value in super().state().items() if key.startswith("weights/")}


class _SumsTheLoss(_WithAFault):
    def eval_batch(self, batch):
        out = super().eval_batch(batch)
        return out._replace(loss=out.loss * len(batch.targets))


class _CountsItsOwnBatches(_WithAFault):
    calls = 0

    def train_batch(self, batch, lr):
        self.calls += 1
        return super().train_batch(batch, lr / self.calls)


class _GetsTheGradientWrong(_WithAFault):
    def gradients(self, batch):
        return {name: 1.001 * value for name, value in super().gradients(batch).items()}


class _FreezesInWordAlone(_WithAFault):
    _still: frozenset[str] = frozenset()

    def frozen(self, epoch):
        return frozenset({"head.weight"}) if epoch == 3 else frozenset()

    def turns(self):
        return 3, 4

    def start_epoch(self, epoch):
        facts = super().start_epoch(epoch)
        self._still = self.frozen(epoch)
        return facts

    def parameters(self):
        return {name: (w.size, name not in self._still) for name, w in self.network.parameters.items()}


class _LosesATensorAmongItsStages(_WithAFault):
    def stages(self):
        return {stage: names[:1] for stage, names in super().stages().items()}


@pytest.mark.parametrize(
    "faulty",
    [
        _FreezesInWordAlone,
        _LosesATensorAmongItsStages,
        _LearnsWhileEvaluating,
        _HandsOutItsOwnArrays,
        _ForgetsTheSlots,
        _SumsTheLoss,
        _CountsItsOwnBatches,
        _GetsTheGradientWrong,
    ],
)
def test_the_kit_catches_a_learner_with_a_fault(faulty, samples):
    with pytest.raises(AssertionError):
        kit.check_learner(faulty, *samples, smooth=True)


def test_dropout_depends_on_the_step_and_the_seed_alone(samples):
    inputs, targets = samples

    def scores(seed: int, step: int, earlier: int = 0) -> bytes:
        learner = make(config(model=MLP_NUMPY, seed=seed, reg={"dropout": 0.5}), (1, 3, 4), 3)
        learner.load(make(PLAIN, (1, 3, 4), 3).state())  # the same weights whatever the seed
        for _ in range(earlier):
            learner.train_batch(Batch(inputs, targets, 99), 0.0)
        return learner.train_batch(Batch(inputs, targets, step), 0.0).scores.tobytes()

    assert scores(0, 5) == scores(0, 5, earlier=3)
    assert len({scores(0, 5), scores(0, 6), scores(1, 5)}) == 3
