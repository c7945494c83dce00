"""Whether a network is its head behind its backbone and nothing else: of one of the user's that has to be seen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from labrunner.deep.extraction import alike
from labrunner.deep.learner import Features, TorchLearner
from labrunner.deep.modes import untouched_buffers, untouched_randomness
from labrunner.seeding import number

SAMPLES = 4  # that are looked at


def why_not(learner: TorchLearner, inputs: torch.Tensor) -> str | None:
    """Why training the head on features of the backbone would not be training the network; None where it is the same.

    The scores of the network and of its head are compared to the bit, in evaluation mode and, with all weights outside
    the backbone moved, in training mode: a dropout between the two would be lost, and so would a path around the
    backbone, even one that begins with a weight of zero.

    Parameters
    ----------
    learner : its backbone stands still; it is left as it was
    inputs : (N, …) of a training batch, of which a few are looked at
    """
    inputs = inputs[:SAMPLES]
    name = type(learner.network).__name__
    try:
        with untouched_randomness(), untouched_buffers(learner.network):
            torch.default_generator.manual_seed(number(0, "parting"))
            features = learner.features(inputs)
            if not isinstance(features, torch.Tensor) or len(features) != len(inputs):
                return f"the backbone of {name} gives out no tensor with a row for each sample"
            torch.default_generator.manual_seed(number(1, "parting"))
            if not _same(features, learner.features(inputs)):
                return f"the backbone of {name} draws at random in evaluation mode"
            if not alike(features[:1], learner.features(inputs[:1])):
                return f"what the backbone of {name} makes of a sample depends on the others in its batch"
            values = Features(features.clone())  # a tensor of inference mode cannot be trained on
            with torch.no_grad(), _moved(learner):
                same = all(
                    _same(learner.seen(inputs, training), learner.seen(values, training)) for training in (False, True)
                )
    except Exception as error:  # it may be anything
        said = f"{type(error).__name__}: {error}".splitlines()[0]
        return f"the parts of {name} cannot be called one after the other: {said}"
    if not same:
        return (
            f"the scores of {name} are not head(backbone(inputs)); "
            "what lies between the two belongs into one of them, or into a method score(features)"
        )
    return None


def _same(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.shape == other.shape and torch.allclose(one, other, rtol=0.0, atol=0.0, equal_nan=True)


@contextmanager
def _moved(learner: TorchLearner) -> Iterator[None]:
    """Weights outside the backbone are somewhat different inside: none is zero by chance."""
    outside = [each for name, each in learner.network.named_parameters() if not name.startswith("backbone.")]
    before = [each.detach().clone() for each in outside]
    generator = torch.Generator().manual_seed(number(2, "parting"))
    try:
        with torch.no_grad():
            for each in outside:
                noise = torch.randn(each.shape, generator=generator, dtype=torch.float64).to(each.device, each.dtype)
                each.add_(0.1 * noise * (each.abs() + 0.1))
        yield
    finally:
        with torch.no_grad():
            for each, values in zip(outside, before, strict=True):
                each.copy_(values)
