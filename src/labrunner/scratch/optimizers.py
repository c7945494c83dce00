"""Optimizers: how a gradient becomes a step. Formulas, slot names and order of operations are torch's.

Everything happens in place: the parameters are the network's own arrays, and no step allocates memory.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

import numpy as np


class Optimizer:
    """What the optimizers share: the parameters, weight decay, and slots that outlive a step.

    Parameters
    ----------
    parameters : name -> array, updated in place
    weight_decay : adds weight_decay * w to the gradient of w, before anything else looks at it
    decayed : names of the parameters that decay

    Attributes
    ----------
    slots : parameter -> slot -> array; a parameter is absent until its first step
    """

    def __init__(
        self, parameters: Mapping[str, np.ndarray], weight_decay: float = 0.0, decayed: Collection[str] = ()
    ) -> None:
        unknown = sorted(set(decayed) - set(parameters))
        if unknown:
            raise ValueError(f"no parameter to decay is called {', '.join(unknown)}; there are {', '.join(parameters)}")
        self.parameters = dict(parameters)
        self.weight_decay = weight_decay
        self.slots: dict[str, dict[str, np.ndarray]] = {}
        self._work = {name: np.empty_like(w) for name, w in self.parameters.items()}
        names = decayed if weight_decay != 0.0 else ()
        self._decayed = {name: np.empty_like(self.parameters[name]) for name in names}

    def step(self, gradients: Mapping[str, np.ndarray], lr: float) -> None:
        """Move every parameter once, with learning rate `lr`; leaves the gradients as they are."""
        for name, w in self.parameters.items():
            g = gradients[name]
            if name in self._decayed:
                g = np.multiply(w, self.weight_decay, out=self._decayed[name])
                g += gradients[name]  # g + lambda w
            if name not in self.slots:
                self.slots[name] = self.blank(name)
            w -= self.update(name, g, lr)

    def update(self, name: str, g: np.ndarray, lr: float) -> np.ndarray:
        """What to subtract from the parameter, given its gradient; in a buffer that the next call overwrites."""
        raise NotImplementedError

    def blank(self, name: str) -> dict[str, np.ndarray]:
        """The slots of a parameter before its first step."""
        raise NotImplementedError


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum if asked (Sutskever 2013).

    v <- momentum * v + g;  w <- w - lr * v, or with nesterov w <- w - lr * (g + momentum * v).
    From v = 0 the first step has v = g, as in torch.
    """

    def __init__(
        self,
        parameters: Mapping[str, np.ndarray],
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        decayed: Collection[str] = (),
    ) -> None:
        super().__init__(parameters, weight_decay, decayed)
        if nesterov and momentum <= 0.0:
            raise ValueError("nesterov looks ahead by the momentum and needs one above 0")
        self.momentum = momentum
        self.nesterov = nesterov

    def update(self, name: str, g: np.ndarray, lr: float) -> np.ndarray:
        work = self._work[name]
        if self.momentum == 0.0:
            return np.multiply(g, lr, out=work)
        v = self.slots[name]["momentum_buffer"]
        v *= self.momentum
        v += g  # v = m v + g
        if not self.nesterov:
            return np.multiply(v, lr, out=work)
        np.multiply(v, self.momentum, out=work)
        work += g  # g + m v
        work *= lr
        return work

    def blank(self, name: str) -> dict[str, np.ndarray]:
        if self.momentum == 0.0:
            return {}
        return {"momentum_buffer": np.zeros_like(self.parameters[name])}


class Adam(Optimizer):
    """Steps scaled by running means of the gradient and of its square, both freed of their start at 0.

    m <- b1 m + (1 - b1) g;  v <- b2 v + (1 - b2) g^2;
    w <- w - lr / (1 - b1^t) * m / (sqrt(v) / sqrt(1 - b2^t) + eps)      (Kingma & Ba 2015, algorithm 1)
    """

    def __init__(
        self,
        parameters: Mapping[str, np.ndarray],
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decayed: Collection[str] = (),
    ) -> None:
        super().__init__(parameters, weight_decay, decayed)
        self.betas = betas
        self.eps = eps

    def update(self, name: str, g: np.ndarray, lr: float) -> np.ndarray:
        beta1, beta2 = self.betas
        slots = self.slots[name]
        m, v, work = slots["exp_avg"], slots["exp_avg_sq"], self._work[name]
        slots["step"] += 1
        t = int(slots["step"])

        np.subtract(g, m, out=work)
        work *= 1.0 - beta1
        m += work  # m + (1 - b1) (g - m) = b1 m + (1 - b1) g
        np.multiply(g, g, out=work)
        work *= 1.0 - beta2
        v *= beta2
        v += work  # b2 v + (1 - b2) g^2

        np.sqrt(v, out=work)
        work /= math.sqrt(1.0 - beta2**t)
        work += self.eps  # sqrt(v) / sqrt(1 - b2^t) + eps
        np.divide(m, work, out=work)
        work *= lr / (1.0 - beta1**t)
        return work

    def blank(self, name: str) -> dict[str, np.ndarray]:
        w = self.parameters[name]
        return {"step": np.zeros((), np.int64), "exp_avg": np.zeros_like(w), "exp_avg_sq": np.zeros_like(w)}
