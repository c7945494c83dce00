"""Optimizers of the torch side: torch's own updates, with the state under the parameters' names.

The arithmetic is that of `torch.optim`, through its functional interface: ``torch.optim.Optimizer.step`` itself costs
some 100 us a call on a processor (measured with torch 2.14), a fifth of a small network's training step.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim.adagrad import adagrad
from torch.optim.adam import adam
from torch.optim.adamw import adamw
from torch.optim.rmsprop import rmsprop
from torch.optim.sgd import sgd

from labrunner.errors import RequestError
from labrunner.reg import NONE, Reg

FUSED = ("cpu", "cuda", "mps")  # devices on which a step over all parameters is one call

Slots = dict[str, torch.Tensor]


class Optimizer:
    """What the optimizers share: the parameters, what is done to a gradient beforehand, slots that outlive a step.

    Parameters
    ----------
    parameters : name -> parameter, updated in place
    reg : what is done to a gradient beforehand
    factors : name -> how many times the learning rate it moves by; 1 where it is missing

    Attributes
    ----------
    slots : parameter -> slot -> tensor; a parameter is absent until its first step
    """

    def __init__(
        self, parameters: Mapping[str, nn.Parameter], reg: Reg = NONE, factors: Mapping[str, float] | None = None
    ) -> None:
        weight_decay, decayed, l1, clip_norm = reg
        self.parameters = dict(parameters)
        self.l1, self.clip_norm = l1, clip_norm
        self._sparse = [self.parameters[name] for name in decayed] if l1 != 0.0 else []
        self.slots: dict[str, Slots] = {}
        rates = {name: weight_decay if name in decayed else 0.0 for name in self.parameters}
        # a call of torch's has one rate of decay and one of learning: most runs have one group
        alike: dict[tuple[float, float], list[str]] = {}
        for name in self.parameters:
            alike.setdefault((rates[name], (factors or {}).get(name, 1.0)), []).append(name)
        self._groups = sorted(alike.items())
        self.fused = all(p.device.type in FUSED and is_dense(p) for p in self.parameters.values())

    def clear(self) -> None:
        """Forget the gradients; a parameter without one stands still, and so does its state."""
        for parameter in self.parameters.values():
            parameter.grad = None

    def leave_out(self, names: Collection[str]) -> None:
        """Forget gradients and slots of some parameters: they stand still, and begin afresh if they move again."""
        for name in names:
            self.parameters[name].grad = None
            self.slots.pop(name, None)

    def step(self, lr: float) -> None:
        """Move every parameter that has a gradient, with learning rate `lr`; l1 and clipping change the gradients."""
        with torch.no_grad():
            for parameter in self._sparse:
                if parameter.grad is not None:
                    parameter.grad.add_(parameter.sign(), alpha=self.l1)
            if self.clip_norm is not None:
                self._clip(self.clip_norm)
            self.move(lr)

    def move(self, lr: float) -> None:
        """The step itself, once the gradients are what they are to be."""
        for (weight_decay, factor), names in self._groups:
            moving = [name for name in names if self.parameters[name].grad is not None]
            for name in moving:
                if name not in self.slots:
                    self.slots[name] = self.blank(name)
            if moving:
                parameters = [self.parameters[name] for name in moving]
                self.update(parameters, [self.slots[name] for name in moving], weight_decay, lr * factor)

    def kept(self) -> dict[str, Slots]:
        """All that outlives a step: parameter -> slot -> tensor."""
        return self.slots

    def take(self, slots: dict[str, Slots]) -> None:
        """Go on from what `restored` gave."""
        self.slots = slots

    def restored(self, kept: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, Slots]:
        """Slots, parameter by parameter, with the values that a checkpoint has of them; nothing has changed yet.

        Raises
        ------
        ValueError
            when they are not this optimizer's.
        """
        found = {parameter: self.blank(parameter) for parameter in kept}
        for parameter, blank in found.items():
            wanted = {f"{parameter}/{slot}": tuple(tensor.shape) for slot, tensor in blank.items()}
            check_names({f"{parameter}/{slot}": v for slot, v in kept[parameter].items()}, wanted, "optimizer's slots")
            for slot, tensor in blank.items():
                tensor.copy_(torch.from_numpy(kept[parameter][slot]))
        return found

    def update(
        self, parameters: Sequence[nn.Parameter], slots: Sequence[Slots], weight_decay: float, lr: float
    ) -> None:
        """One call of torch's update, in place."""
        raise NotImplementedError

    def blank(self, name: str) -> Slots:
        """The slots of a parameter before its first step, in its type and memory format.

        A slot in another format than its weight makes fused steps wrong without a word.
        """
        raise NotImplementedError

    def _clip(self, longest: float) -> None:
        found = gradients(list(self.parameters.values()))
        if not found:
            return
        norm = nn.utils.get_total_norm(found)
        # norm - norm is 0, or nan for a length that is no number: that ends in weights that are none, where torch's
        # factor of 0 could leave the run standing still unseen
        nn.utils.clip_grads_with_norm_(self.parameters.values(), longest, norm + (norm - norm))

    def _counter(self, name: str, fused: bool) -> torch.Tensor:
        """A count of steps, where torch wants it: a fused update reads it on the parameter's device."""
        device = self.parameters[name].device if fused else "cpu"
        return torch.zeros((), dtype=torch.float32, device=device)


def check_names(given: Mapping[str, np.ndarray], own: Mapping[str, tuple[int, ...]], kind: str = "weights") -> None:
    """Refuse arrays that are not exactly the expected ones: ValueError names up to three that differ."""
    missing, foreign = sorted(own.keys() - given.keys()), sorted(given.keys() - own.keys())
    if missing or foreign:
        said = [
            f"{what} {', '.join(names[:3])}" for what, names in (("missing", missing), ("unknown", foreign)) if names
        ]
        raise ValueError(f"the {kind} are not this model's: {'; '.join(said)}")
    for name, shape in own.items():
        if given[name].shape != shape:
            raise ValueError(f"{name} has shape {given[name].shape}, the model's is {shape}")


def is_dense(parameter: torch.Tensor) -> bool:
    """Whether a parameter fills its memory, as a view of every second row does not: fused steps go wrong there."""
    return torch.empty_like(parameter).stride() == parameter.stride()


def gradients(parameters: Sequence[nn.Parameter]) -> list[torch.Tensor]:
    return [parameter.grad for parameter in parameters if parameter.grad is not None]


class SGD(Optimizer):
    """`torch.optim.SGD`. From a buffer of zeros, the first step has v = g."""

    def __init__(
        self,
        parameters: Mapping[str, nn.Parameter],
        momentum: float = 0.0,
        nesterov: bool = False,
        reg: Reg = NONE,
        factors: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(parameters, reg, factors)
        self.momentum, self.nesterov = momentum, nesterov

    def update(
        self, parameters: Sequence[nn.Parameter], slots: Sequence[Slots], weight_decay: float, lr: float
    ) -> None:
        sgd(
            list(parameters),
            gradients(parameters),
            [slot.get("momentum_buffer") for slot in slots],
            weight_decay=weight_decay,
            momentum=self.momentum,
            lr=lr,
            dampening=0.0,
            nesterov=self.nesterov,
            maximize=False,
            fused=self.fused,
        )

    def blank(self, name: str) -> Slots:
        return {"momentum_buffer": torch.zeros_like(self.parameters[name])} if self.momentum > 0.0 else {}


class Adam(Optimizer):
    """`torch.optim.Adam`."""

    function: Callable[..., None] = staticmethod(adam)

    def __init__(
        self,
        parameters: Mapping[str, nn.Parameter],
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        reg: Reg = NONE,
        factors: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(parameters, reg, factors)
        self.betas, self.eps = betas, eps

    def update(
        self, parameters: Sequence[nn.Parameter], slots: Sequence[Slots], weight_decay: float, lr: float
    ) -> None:
        self.function(
            list(parameters),
            gradients(parameters),
            [slot["exp_avg"] for slot in slots],
            [slot["exp_avg_sq"] for slot in slots],
            [],
            [slot["step"] for slot in slots],
            fused=self.fused,
            amsgrad=False,
            beta1=self.betas[0],
            beta2=self.betas[1],
            lr=lr,
            weight_decay=weight_decay,
            eps=self.eps,
            maximize=False,
        )

    def blank(self, name: str) -> Slots:
        parameter = self.parameters[name]
        return {
            "step": self._counter(name, self.fused),
            "exp_avg": torch.zeros_like(parameter),
            "exp_avg_sq": torch.zeros_like(parameter),
        }


class AdamW(Adam):
    """`torch.optim.AdamW`: weight decay shrinks the weights and is no part of the gradient."""

    function = staticmethod(adamw)


class RMSprop(Optimizer):
    """`torch.optim.RMSprop`, not centered."""

    def __init__(
        self,
        parameters: Mapping[str, nn.Parameter],
        alpha: float = 0.99,
        eps: float = 1e-8,
        momentum: float = 0.0,
        reg: Reg = NONE,
        factors: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(parameters, reg, factors)
        self.alpha, self.eps, self.momentum = alpha, eps, momentum

    def update(
        self, parameters: Sequence[nn.Parameter], slots: Sequence[Slots], weight_decay: float, lr: float
    ) -> None:
        rmsprop(
            list(parameters),
            gradients(parameters),
            [slot["square_avg"] for slot in slots],
            [],
            [slot["momentum_buffer"] for slot in slots] if self.momentum > 0.0 else [],
            [slot["step"] for slot in slots],
            foreach=True,  # there is no fused one; measured on a processor, this takes a tenth to a quarter less
            lr=lr,
            alpha=self.alpha,
            eps=self.eps,
            weight_decay=weight_decay,
            momentum=self.momentum,
            centered=False,
        )

    def blank(self, name: str) -> Slots:
        parameter = self.parameters[name]
        slots = {"step": self._counter(name, fused=False), "square_avg": torch.zeros_like(parameter)}
        return slots | ({"momentum_buffer": torch.zeros_like(parameter)} if self.momentum > 0.0 else {})


class Adagrad(Optimizer):
    """`torch.optim.Adagrad`, without a decay of its learning rate."""

    def __init__(
        self,
        parameters: Mapping[str, nn.Parameter],
        eps: float = 1e-10,
        reg: Reg = NONE,
        factors: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(parameters, reg, factors)
        self.eps = eps
        self.fused = self.fused and all(p.device.type == "cpu" for p in self.parameters.values())  # nowhere else

    def update(
        self, parameters: Sequence[nn.Parameter], slots: Sequence[Slots], weight_decay: float, lr: float
    ) -> None:
        adagrad(
            list(parameters),
            gradients(parameters),
            [slot["sum"] for slot in slots],
            [slot["step"] for slot in slots],
            fused=self.fused,
            lr=lr,
            weight_decay=weight_decay,
            lr_decay=0.0,
            eps=self.eps,
            maximize=False,
        )

    def blank(self, name: str) -> Slots:
        return {"step": self._counter(name, self.fused), "sum": torch.zeros_like(self.parameters[name])}


KINDS: dict[str, type[Optimizer]] = {
    "sgd": SGD,
    "lms": SGD,
    "adam": Adam,
    "adamw": AdamW,
    "rmsprop": RMSprop,
    "adagrad": Adagrad,
}


def make(
    parameters: Mapping[str, nn.Parameter],
    options: Mapping[str, Any],
    reg: Mapping[str, Any],
    decayed: Collection[str],
    factors: Mapping[str, float] | None = None,
) -> Optimizer:
    """The optimizer of the composed `optim` and `reg` groups.

    Parameters
    ----------
    parameters : name -> parameter, updated in place
    options : name, and the keys of that optimizer
    reg : weight_decay, l1 and clip_norm
    decayed : names of the parameters that weight decay and l1 pull at
    factors : name -> how many times the learning rate it moves by; 1 where it is missing

    Raises
    ------
    RequestError
        when there is no optimizer of that name here.
    """
    name = options["name"]
    if name not in KINDS:
        raise RequestError(f"optim={name}: there is no such optimizer; try one of {', '.join(KINDS)}")
    settings = {key: value for key, value in options.items() if key not in ("name", "lr")}
    return KINDS[name](parameters, **settings, reg=Reg.of(reg, decayed), factors=factors)
