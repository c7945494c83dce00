"""Optimizers: how a gradient becomes a step. Formulas, slot names and order of operations are torch's.

Everything happens in place: the parameters are the network's own arrays, and no step allocates another.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from labrunner.errors import RequestError
from labrunner.reg import NONE, Reg


class Optimizer:
    """What the optimizers share: the parameters, what is done to a gradient beforehand, slots that outlive a step.

    Parameters
    ----------
    parameters : name -> array, updated in place
    reg : what is done to a gradient beforehand

    Attributes
    ----------
    slots : parameter -> slot -> array; a parameter is absent until its first step
    """

    def __init__(self, parameters: Mapping[str, np.ndarray], reg: Reg = NONE) -> None:
        weight_decay, decayed, l1, clip_norm = reg
        unknown = sorted(set(decayed) - set(parameters))
        if unknown:
            raise ValueError(f"no parameter to decay is called {', '.join(unknown)}; there are {', '.join(parameters)}")
        self.parameters = dict(parameters)
        self.weight_decay, self.l1, self.clip_norm = weight_decay, l1, clip_norm
        self.slots: dict[str, dict[str, np.ndarray]] = {}
        self._work = {name: np.empty_like(w) for name, w in self.parameters.items()}
        self._decayed = frozenset(decayed if weight_decay != 0.0 else ())
        self._sparse = frozenset(decayed if l1 != 0.0 else ())
        # the caller's gradients are left as they are: what changes is a copy
        changed = self.parameters if clip_norm is not None else self._decayed | self._sparse
        self._copies = {name: np.empty_like(self.parameters[name]) for name in changed}

    def step(self, gradients: Mapping[str, np.ndarray], lr: float) -> None:
        """Move every parameter once, with learning rate `lr`; leaves the gradients as they are."""
        for name, g in self._copies.items():
            np.copyto(g, gradients[name])
        for name in self._sparse:
            sign = np.sign(self.parameters[name], out=self._work[name])
            self._copies[name] += np.multiply(sign, self.l1, out=sign)
        if self.clip_norm is not None:
            self._clip(self.clip_norm)
        for name, w in self.parameters.items():
            g = self._copies.get(name, gradients[name])
            if name in self._decayed:
                self.decay(name, g, lr)
            if name not in self.slots:
                self.slots[name] = self.blank(name)
            w -= self.update(name, g, lr)

    def decay(self, name: str, g: np.ndarray, lr: float) -> None:
        """Weight decay, as a part of the gradient `g`."""
        g += np.multiply(self.parameters[name], self.weight_decay, out=self._work[name])  # g + lambda w

    def update(self, name: str, g: np.ndarray, lr: float) -> np.ndarray:
        """What to subtract from the parameter, given its gradient; in a buffer that the next call overwrites."""
        raise NotImplementedError

    def blank(self, name: str) -> dict[str, np.ndarray]:
        """The slots of a parameter before its first step."""
        raise NotImplementedError

    def _clip(self, longest: float) -> None:
        norm = math.hypot(*(float(np.linalg.norm(g)) for g in self._copies.values()))
        # a length that is no number ends in weights that are none: 0 * inf would leave the run standing still unseen
        scale = longest / (norm + 1e-6) if math.isfinite(norm) else math.nan
        if not scale >= 1.0:
            for g in self._copies.values():
                g *= scale


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
        reg: Reg = NONE,
    ) -> None:
        super().__init__(parameters, reg)
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
        reg: Reg = NONE,
    ) -> None:
        super().__init__(parameters, reg)
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


class AdamW(Adam):
    """Adam with decoupled weight decay: w <- w - lr * lambda * w first, then Adam's step (Loshchilov & Hutter 2019).

    The decay is not part of the gradient, so the running means do not scale it.
    """

    def decay(self, name: str, g: np.ndarray, lr: float) -> None:
        self.parameters[name] *= 1.0 - lr * self.weight_decay


class RMSprop(Optimizer):
    """Steps scaled by a running mean of the gradient's square (Tieleman & Hinton 2012).

    v <- a v + (1 - a) g^2;  d = g / (sqrt(v) + eps);  w <- w - lr d, or with momentum b <- m b + d; w <- w - lr b.
    """

    def __init__(
        self,
        parameters: Mapping[str, np.ndarray],
        alpha: float = 0.99,
        eps: float = 1e-8,
        momentum: float = 0.0,
        reg: Reg = NONE,
    ) -> None:
        super().__init__(parameters, reg)
        self.alpha, self.eps, self.momentum = alpha, eps, momentum

    def update(self, name: str, g: np.ndarray, lr: float) -> np.ndarray:
        slots, work = self.slots[name], self._work[name]
        v = slots["square_avg"]
        slots["step"] += 1

        np.multiply(g, g, out=work)
        work *= 1.0 - self.alpha
        v *= self.alpha
        v += work  # a v + (1 - a) g^2

        np.sqrt(v, out=work)
        work += self.eps
        np.divide(g, work, out=work)  # g / (sqrt(v) + eps)
        if self.momentum > 0.0:
            b = slots["momentum_buffer"]
            b *= self.momentum
            b += work  # m b + d
            np.copyto(work, b)
        work *= lr
        return work

    def blank(self, name: str) -> dict[str, np.ndarray]:
        w = self.parameters[name]
        slots = {"step": np.zeros((), np.int64), "square_avg": np.zeros_like(w)}
        return slots | ({"momentum_buffer": np.zeros_like(w)} if self.momentum > 0.0 else {})


class Adagrad(Optimizer):
    """Steps scaled by the sum of all squared gradients so far, so that they only shrink (Duchi et al. 2011).

    s <- s + g^2;  w <- w - lr * g / (sqrt(s) + eps)
    """

    def __init__(
        self,
        parameters: Mapping[str, np.ndarray],
        eps: float = 1e-10,
        reg: Reg = NONE,
    ) -> None:
        super().__init__(parameters, reg)
        self.eps = eps

    def update(self, name: str, g: np.ndarray, lr: float) -> np.ndarray:
        slots, work = self.slots[name], self._work[name]
        s = slots["sum"]
        slots["step"] += 1

        s += np.multiply(g, g, out=work)  # s + g^2
        np.sqrt(s, out=work)
        work += self.eps
        np.divide(g, work, out=work)  # g / (sqrt(s) + eps)
        work *= lr
        return work

    def blank(self, name: str) -> dict[str, np.ndarray]:
        return {"step": np.zeros((), np.int64), "sum": np.zeros_like(self.parameters[name])}


KINDS: dict[str, type[Optimizer]] = {
    "sgd": SGD,
    "lms": SGD,
    "adam": Adam,
    "adamw": AdamW,
    "rmsprop": RMSprop,
    "adagrad": Adagrad,
}


def make(
    parameters: Mapping[str, np.ndarray], options: Mapping[str, Any], reg: Mapping[str, Any], decayed: Collection[str]
) -> Optimizer:
    """The optimizer of the composed `optim` and `reg` groups.

    Parameters
    ----------
    parameters : name -> array, updated in place
    options : name, and the keys of that optimizer
    reg : weight_decay, l1 and clip_norm
    decayed : names of the parameters that weight decay and l1 pull at

    Raises
    ------
    RequestError
        when there is no optimizer of that name here.
    """
    name = options["name"]
    if name not in KINDS:
        raise RequestError(f"optim={name}: there is no such optimizer; try one of {', '.join(KINDS)}")
    settings = {key: value for key, value in options.items() if key not in ("name", "lr")}
    return KINDS[name](parameters, **settings, reg=Reg.of(reg, decayed))
