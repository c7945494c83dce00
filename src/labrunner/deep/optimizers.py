"""Optimizers of the torch side: torch's own updates, with the state under the parameters' names.

The arithmetic is that of `torch.optim`, through its functional interface: ``torch.optim.Optimizer.step`` itself costs
some 100 us a call on a processor (measured with torch 2.14), a fifth of a small network's training step.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import torch
from torch import nn
from torch.optim.adam import adam
from torch.optim.sgd import sgd

FUSED = ("cpu", "cuda", "mps")  # devices on which a step over all parameters is one call

Slots = dict[str, torch.Tensor]


class Optimizer:
    """What the optimizers share: the parameters, weight decay, and slots that outlive a step.

    Parameters
    ----------
    parameters : name -> parameter, updated in place
    weight_decay : adds weight_decay * w to the gradient of w, before anything else looks at it
    decayed : names of the parameters that decay

    Attributes
    ----------
    slots : parameter -> slot -> tensor; a parameter is absent until its first step
    """

    def __init__(
        self, parameters: Mapping[str, nn.Parameter], weight_decay: float = 0.0, decayed: Collection[str] = ()
    ) -> None:
        self.parameters = dict(parameters)
        self.slots: dict[str, Slots] = {}
        rates = {name: weight_decay if name in decayed else 0.0 for name in self.parameters}
        # a call of torch's has one rate of decay: most runs have one group, and none has more than two
        self._groups = [
            (rate, [name for name in self.parameters if rates[name] == rate]) for rate in sorted(set(rates.values()))
        ]
        self.fused = all(parameter.device.type in FUSED for parameter in self.parameters.values())

    def clear(self) -> None:
        """Forget the gradients; a parameter without one stands still, and so does its state."""
        for parameter in self.parameters.values():
            parameter.grad = None

    def step(self, lr: float) -> None:
        """Move every parameter that has a gradient, with learning rate `lr`."""
        with torch.no_grad():
            for weight_decay, names in self._groups:
                moving = [name for name in names if self.parameters[name].grad is not None]
                for name in moving:
                    if name not in self.slots:
                        self.slots[name] = self.blank(name)
                if moving:
                    parameters = [self.parameters[name] for name in moving]
                    self.update(parameters, [self.slots[name] for name in moving], weight_decay, lr)

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


def gradients(parameters: Sequence[nn.Parameter]) -> list[torch.Tensor]:
    return [parameter.grad for parameter in parameters if parameter.grad is not None]


class SGD(Optimizer):
    """`torch.optim.SGD`. From a buffer of zeros, the first step has v = g."""

    def __init__(
        self,
        parameters: Mapping[str, nn.Parameter],
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        decayed: Collection[str] = (),
    ) -> None:
        super().__init__(parameters, weight_decay, decayed)
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

    def __init__(
        self,
        parameters: Mapping[str, nn.Parameter],
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decayed: Collection[str] = (),
    ) -> None:
        super().__init__(parameters, weight_decay, decayed)
        self.betas, self.eps = betas, eps

    def update(
        self, parameters: Sequence[nn.Parameter], slots: Sequence[Slots], weight_decay: float, lr: float
    ) -> None:
        adam(
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
            "step": torch.zeros((), dtype=torch.float32, device=parameter.device if self.fused else "cpu"),
            "exp_avg": torch.zeros_like(parameter),
            "exp_avg_sq": torch.zeros_like(parameter),
        }
