"""A network is trained on features only where that is the same as training it."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from labrunner import deep
from labrunner.deep.parting import why_not
from tests.data.settings import config

SHAPE = (3, 8, 8)


class Whole(nn.Module):
    """Head behind backbone."""

    def __init__(self, input_shape, num_classes):
        super().__init__()
        self.backbone = nn.Sequential(
            nn.Conv2d(input_shape[0], 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten()
        )
        self.head = nn.Linear(24, num_classes)

    def forward(self, x):
        return self.head(self.backbone(x))


class Deep(Whole):
    """A head of several layers, with dropout and batch norm of its own."""

    def __init__(self, input_shape, num_classes):
        super().__init__(input_shape, num_classes)
        self.head = nn.Sequential(
            nn.Dropout(0.5), nn.Linear(24, 7), nn.BatchNorm1d(7), nn.ReLU(), nn.Linear(7, num_classes)
        )


class Scoring(Whole):
    """What lies between is in a method that can be called."""

    def forward(self, x):
        return self.score(self.backbone(x))

    def score(self, features):
        return self.head(functional.dropout(features, 0.5, self.training))


class Maps(Whole):
    """Features are maps; the head pools them."""

    def __init__(self, input_shape, num_classes):
        super().__init__(input_shape, num_classes)
        self.backbone = nn.Conv2d(input_shape[0], 24, 3)
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, num_classes))


class Dropping(Whole):
    def forward(self, x):
        return self.head(functional.dropout(self.backbone(x), 0.5, self.training))


class Around(Whole):
    """A path around the backbone that begins with a weight of zero."""

    def __init__(self, input_shape, num_classes):
        super().__init__(input_shape, num_classes)
        self.gate = nn.Parameter(torch.zeros(num_classes))

    def forward(self, x):
        return self.head(self.backbone(x)) + self.gate * x.mean((1, 2, 3))[:, None]


class Normed(Whole):
    """A batch norm between the two, which has seen nothing so far."""

    def __init__(self, input_shape, num_classes):
        super().__init__(input_shape, num_classes)
        self.norm = nn.BatchNorm1d(24, eps=0.0)

    def forward(self, x):
        return self.head(self.norm(self.backbone(x)))


class Flattening(Whole):
    def __init__(self, input_shape, num_classes):
        super().__init__(input_shape, num_classes)
        self.backbone = self.backbone[:-1]

    def forward(self, x):
        return self.head(self.backbone(x).flatten(1))


class Noisy(Whole):
    def __init__(self, input_shape, num_classes):
        super().__init__(input_shape, num_classes)
        self.backbone.append(Noise())


class Noise(nn.Module):
    def forward(self, x):
        return x + torch.randn(x.shape, dtype=x.dtype)


class Crowded(Whole):
    """Batch norm that has no running means takes the batch's, in evaluation mode too."""

    def __init__(self, input_shape, num_classes):
        super().__init__(input_shape, num_classes)
        self.backbone[1] = nn.BatchNorm2d(6, track_running_stats=False)


class Pair(Whole):
    def __init__(self, input_shape, num_classes):
        super().__init__(input_shape, num_classes)
        self.backbone.append(Twice())

    def forward(self, x):
        return self.head(self.backbone(x)[0])


class Twice(nn.Module):
    def forward(self, x):
        return x, x


def learner_of(kind, precision="float32"):
    settings = {"model": {"_target_": "own.Own"}, "freeze": {"name": "backbone"}, "precision": precision}
    return deep.make(config(**settings), SHAPE, 4, kind)


def inputs_of(learner, count=6):
    return learner.array(torch.randn(count, *SHAPE, generator=torch.Generator().manual_seed(0)).numpy())


@pytest.mark.parametrize("precision", ["float32", "float64", "bf16"])
@pytest.mark.parametrize("kind", [Whole, Deep, Scoring, Maps])
def test_a_head_behind_a_backbone_can_be_trained_alone(kind, precision):
    learner = learner_of(kind, precision)
    assert why_not(learner, inputs_of(learner)) is None


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (Dropping, "not head(backbone(inputs))"),
        (Around, "not head(backbone(inputs))"),
        (Normed, "not head(backbone(inputs))"),
        (Flattening, "cannot be called one after the other"),
        (Noisy, "draws at random"),
        (Crowded, "depends on the others in its batch"),
        (Pair, "no tensor"),
    ],
)
def test_where_it_would_be_another_network_the_reason_is_said(kind, said):
    learner = learner_of(kind)
    why = why_not(learner, inputs_of(learner))
    assert why is not None
    assert said in why
    assert kind.__name__ in why


@pytest.mark.parametrize("kind", [Whole, Deep, Dropping, Around, Noisy, Flattening])
def test_looking_moves_nothing(kind):
    learner = learner_of(kind)
    inputs, before, random = inputs_of(learner), learner.state(), torch.get_rng_state()
    why_not(learner, inputs)
    after = learner.state()
    assert all(before[name].tobytes() == after[name].tobytes() for name in before)
    assert torch.equal(torch.get_rng_state(), random)
    assert not learner.network.backbone.training


def test_one_sample_is_enough_where_nothing_asks_for_two():
    learner = learner_of(Whole)
    assert why_not(learner, inputs_of(learner, 1)) is None
