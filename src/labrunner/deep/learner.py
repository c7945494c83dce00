"""A torch network with its loss and optimizer, behind the contract of `labrunner.learner`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from labrunner.deep import freeze
from labrunner.deep.gradcam import ClassMaps, class_maps
from labrunner.deep.losses import LOSSES
from labrunner.deep.modes import untouched_buffers, untouched_randomness
from labrunner.deep.optimizers import Optimizer, check_names
from labrunner.deep.stages import NORMS, stages
from labrunner.deep.summary import layer_outputs, passed, summarize
from labrunner.learner import ANY, Batch, BatchOut, Origin, Tally, Wants
from labrunner.seeding import numbers


class Features(NamedTuple):
    """Inputs that have been through the backbone already."""

    values: torch.Tensor  # (N, …) as the backbone gives them out, in its number type


def to_numpy(tensor: torch.Tensor) -> np.ndarray:
    """A copy in C order, whatever the tensor's device and memory format."""
    tensor = tensor.detach().cpu()
    if tensor.dtype == torch.bfloat16:  # which NumPy does not have
        tensor = tensor.float()
    return np.array(tensor.numpy(), order="C", copy=True)


class TorchLearner:
    """Any `nn.Module` that maps (N, *input_shape) to scores (N, K), with its loss and optimizer.

    Parameters
    ----------
    network : on its device, in its precision, with its starting weights
    optimizer : made for the network's parameters
    input_shape : shape of one sample
    seed : the run's seed, for dropout and the like
    loss : a key of `labrunner.deep.losses.LOSSES`
    label_smoothing : share of each training target that is spread over all classes
    bf16 : compute products in bf16 by autocast, where torch thinks it safe, while weights and loss stay as they are
    wants : what the inputs have been made to be
    strategy : what trains, epoch by epoch; None trains all that the network's maker did not freeze
    parts : the network's stages, as `labrunner.deep.stages.stages` has them; None asks there
    origin : where the starting weights are from; None where they were drawn
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: Optimizer,
        input_shape: tuple[int, ...],
        seed: int,
        loss: str = "cross_entropy",
        label_smoothing: float = 0.0,
        bf16: bool = False,
        wants: Wants = ANY,
        strategy: freeze.Strategy | None = None,
        parts: Mapping[str, Sequence[str]] | None = None,
        origin: Origin | None = None,
    ) -> None:
        self.network, self.optimizer = network, optimizer
        self.input_shape, self.wants, self.bf16, self.origin = input_shape, wants, bf16, origin
        self._seeds = numbers(seed, "layers")
        first = next(network.parameters())
        self._device, self._dtype = first.device, first.dtype
        self._named = dict(network.named_parameters())
        self._loss, self._training_loss = LOSSES[loss](0.0), LOSSES[loss](label_smoothing)
        found = passed(network, torch.zeros(1, *input_shape, device=self._device, dtype=self._dtype))
        self.work, self.feature_shape = sum(found.work.values()), found.features
        self.head_work = sum(work for name, work in found.work.items() if name.partition(".")[0] != "backbone")
        self._stages = {name: list(names) for name, names in (stages(network) if parts is None else parts).items()}
        self._strategy = strategy or freeze.make(freeze.NONE, network, self._stages)
        self._training: bool | None = None  # unknown: modes are set anew
        # functions of what trains, which seldom changes
        self._frozen = cache(partial(freeze.frozen_tensors, network))
        self._standing = cache(partial(freeze.standing, network))
        self._thaw(1)

    # arrays in and out

    def array(self, values: np.ndarray) -> torch.Tensor:
        # a copy: torch's own memory is aligned, NumPy's need not be, and sums may depend on it
        tensor = torch.tensor(values)
        if tensor.is_floating_point():
            tensor = tensor.to(self._dtype)
        return tensor.to(self._device)

    def probabilities(self, scores: Sequence[torch.Tensor]) -> np.ndarray:
        # in float64, where few scores saturate into ties
        # on the processor: not every device has float64
        return torch.cat(list(scores)).cpu().double().softmax(dim=1).numpy()

    # training

    def stages(self) -> dict[str, list[str]]:
        return {name: list(names) for name, names in self._stages.items()}

    def frozen(self, epoch: int) -> frozenset[str]:
        return self._frozen(self._strategy.trains(max(1, epoch)))

    def turns(self) -> tuple[int, ...]:
        return self._strategy.turns

    def _thaw(self, epoch: int) -> None:
        """Let what trains in an epoch train, and nothing else."""
        trains = self._strategy.trains(max(1, epoch))
        for name, parameter in self._named.items():
            parameter.requires_grad_(name in trains)
        self.optimizer.leave_out(self._named.keys() - trains)
        self._still = self._standing(trains).values()
        self._training = None

    def start_epoch(self, epoch: int) -> dict[str, float]:
        self._thaw(epoch)
        trainable = sum(parameter.numel() for parameter in self.network.parameters() if parameter.requires_grad)
        return {"parameters_trainable": float(trainable)}

    def train_batch(self, batch: Batch, lr: float) -> BatchOut:
        self._set_mode(training=True)
        self._seed_layers(batch.step)
        scores = self._forward(batch.inputs)
        loss = self._training_loss(scores, batch.targets)
        self.optimizer.clear()
        loss.backward()
        self.optimizer.step(lr)
        return BatchOut(loss.detach(), scores.detach())

    def _forward(self, inputs: torch.Tensor | Features) -> torch.Tensor:
        if not self.bf16:
            return self._scored(inputs)
        with torch.autocast(self._device.type, torch.bfloat16):
            scores = self._scored(inputs)
        return scores.to(self._dtype)

    def _scored(self, inputs: torch.Tensor | Features) -> torch.Tensor:
        if not isinstance(inputs, Features):
            return self.network(inputs)
        score: Any = getattr(self.network, "score", None) or self.network.head
        return score(inputs.values)

    def tally(self, outs: Sequence[BatchOut], targets: Sequence[torch.Tensor]) -> Tally:
        losses = torch.stack([out.loss for out in outs]).tolist()
        if targets[0].ndim == 2:  # weights of several classes: there is no hit and no miss
            return Tally(losses, None)
        scores = torch.cat([out.scores for out in outs])
        hits = (scores.argmax(dim=1) == torch.cat(list(targets))).sum()
        return Tally(losses, int(hits))

    def _set_mode(self, training: bool) -> None:
        if self._training is not training:  # walking all modules each batch would cost more than a small layer
            self.network.train(training)
            for module in self._still:  # train() reaches them, too
                module.eval()
            self._training = training

    def _seed_layers(self, step: int) -> None:
        """Dropout and the like can only draw from torch's own generator: it begins anew in each batch."""
        seed = self._seeds(step)
        torch.default_generator.manual_seed(seed)
        if self._device.type == "cuda":
            torch.cuda.manual_seed(seed)
        elif self._device.type == "mps":
            torch.mps.manual_seed(seed)

    # evaluation

    def eval_batch(self, batch: Batch) -> BatchOut:
        self._set_mode(training=False)
        with torch.inference_mode():
            scores = self._forward(batch.inputs)
            return BatchOut(self._loss(scores, batch.targets), scores)

    def features(self, inputs: torch.Tensor) -> torch.Tensor:
        """(N, …): what the backbone makes of inputs, in evaluation mode, as the head gets it; moves nothing."""
        self._set_mode(training=False)
        with torch.inference_mode(), torch.autocast(self._device.type, torch.bfloat16, enabled=self.bf16):
            return self.network.backbone(inputs)  # type: ignore[operator, union-attr]

    @property
    def device(self) -> torch.device:
        return self._device

    @property
    def feature_bytes(self) -> int:
        """What the features of one sample take; 0 without a backbone."""
        each = 2 if self.bf16 else self._dtype.itemsize
        return 0 if self.feature_shape is None else each * math.prod(self.feature_shape)

    def rest(self) -> None:
        """All modules in evaluation mode, until the next training batch."""
        self._set_mode(training=False)

    def seen(self, inputs: torch.Tensor | Features, training: bool) -> torch.Tensor:
        """Scores in either mode, with the draws of the first training batch; buffers move as in training."""
        self._set_mode(training)
        self._seed_layers(0)
        return self._forward(inputs)

    def scores(self, inputs: torch.Tensor | Features) -> torch.Tensor:
        self._set_mode(training=False)
        with torch.inference_mode():
            return self._forward(inputs)

    def activations(self, inputs: torch.Tensor) -> dict[str, np.ndarray]:
        outputs = layer_outputs(self.network, lambda: self.scores(inputs))
        return {name: to_numpy(output) for name, output in outputs.items()}

    def class_maps(self, inputs: torch.Tensor, classes: np.ndarray) -> ClassMaps | None:
        """Grad-CAM of a class (N,) for each of the inputs (N, C, H, W), in evaluation mode; moves nothing."""
        self._set_mode(training=False)
        return class_maps(self.network, lambda: self._forward(inputs), classes)

    def gradients(self, batch: Batch) -> dict[str, np.ndarray]:
        self._set_mode(training=True)
        trainable = {name: parameter for name, parameter in self._named.items() if parameter.requires_grad}
        with untouched_randomness(), untouched_buffers(self.network):
            self._seed_layers(batch.step)
            loss = self._training_loss(self._forward(batch.inputs), batch.targets)
            found = torch.autograd.grad(loss, list(trainable.values()), allow_unused=True)
        return {
            name: to_numpy(torch.zeros_like(trainable[name]) if gradient is None else gradient)
            for name, gradient in zip(trainable, found, strict=True)
        }

    # state

    def weights(self) -> dict[str, np.ndarray]:
        return {name: to_numpy(tensor) for name, tensor in self.network.state_dict().items()}

    def state(self) -> dict[str, np.ndarray]:
        state = {f"weights/{name}": values for name, values in self.weights().items()}
        for name, slots in self.optimizer.kept().items():
            state.update({f"optim/{name}/{slot}": to_numpy(value) for slot, value in slots.items()})
        return state

    def load(self, state: Mapping[str, np.ndarray]) -> None:
        own = self.network.state_dict()
        strangers = sorted(name for name in state if not name.startswith(("weights/", "optim/")))
        if strangers:
            raise ValueError(f"no place in a learner for {', '.join(strangers[:3])}")
        given = {name.removeprefix("weights/"): values for name, values in state.items() if name.startswith("weights/")}
        check_names(given, {name: tuple(tensor.shape) for name, tensor in own.items()})
        kept: dict[str, dict[str, np.ndarray]] = {}
        for name, values in state.items():
            if name.startswith("optim/"):
                parameter, slot = name.removeprefix("optim/").rsplit("/", 1)
                if parameter not in self._named:
                    raise ValueError(f"the state of the optimizer names {parameter}, which the model does not have")
                kept.setdefault(parameter, {})[slot] = values
        slots = self.optimizer.restored(kept)
        with torch.no_grad():
            for name, tensor in own.items():
                tensor.copy_(torch.from_numpy(given[name]))
        self.optimizer.take(slots)

    def parameters(self) -> dict[str, tuple[int, bool]]:
        return {name: (parameter.numel(), parameter.requires_grad) for name, parameter in self._named.items()}

    def summary(self) -> str:
        return summarize(self.network, self.input_shape)


def decaying(network: nn.Module, decay_all: bool) -> list[str]:
    """Names of the parameters that weight decay pulls at: not biases and norm parameters, unless `decay_all`."""
    spared: set[int] = set()
    if not decay_all:
        for module in network.modules():
            for name, parameter in module.named_parameters(recurse=False):
                if isinstance(module, NORMS) or "bias" in name:  # as in in_proj_bias
                    spared.add(id(parameter))
    return [name for name, parameter in network.named_parameters() if id(parameter) not in spared]
