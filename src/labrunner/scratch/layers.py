"""Layers: what each computes, and how a gradient passes back through it.

A layer maps inputs x to outputs y. Given dL/dy, the gradient of the loss with respect to its outputs, it knows dL/dx
for the layer before and dL/dw for its own parameters: the chain rule, one link at a time.
"""

from __future__ import annotations

import math

import numpy as np


class Layer:
    """One link of the chain. A forward call in training keeps what backward needs; one in evaluation keeps nothing.

    Attributes
    ----------
    parameters : short name (``weight``, ``bias``) -> array, changed in place by whoever trains
    buffers : the same of what is measured and not trained, as running means
    gradients : the same names -> dL/dparameter of the last backward call, in buffers that the next one overwrites
    """

    def __init__(self) -> None:
        self.parameters: dict[str, np.ndarray] = {}
        self.buffers: dict[str, np.ndarray] = {}
        self.gradients: dict[str, np.ndarray] = {}

    def forward(self, x: np.ndarray, training: bool = False, rng: np.random.Generator | None = None) -> np.ndarray:
        """Outputs for the inputs x, first axis N; `rng` is what a random layer draws from in training."""
        raise NotImplementedError

    def fill_gradients(self, grad: np.ndarray) -> None:
        """Write dL/dparameter into `gradients`, given grad = dL/dy of the last forward call in training."""

    def input_gradient(self, grad: np.ndarray) -> np.ndarray:
        """dL/dx, given grad = dL/dy of the last forward call in training; leaves `grad` as it is."""
        raise NotImplementedError

    def backward(self, grad: np.ndarray) -> np.ndarray:
        """Fill the gradients of the parameters and return dL/dx."""
        self.fill_gradients(grad)
        return self.input_gradient(grad)


class Linear(Layer):
    """y = x W^T + b with x (N, in), W (out, in), b (out,) if there is one, y (N, out). Starts from zeros."""

    def __init__(self, inputs: int, outputs: int, dtype: type[np.floating], bias: bool = True) -> None:
        super().__init__()
        self.weight = np.zeros((outputs, inputs), dtype)
        self.bias = np.zeros(outputs, dtype) if bias else None
        self.parameters = {"weight": self.weight}
        if self.bias is not None:
            self.parameters["bias"] = self.bias
        self.gradients = {name: np.zeros_like(value) for name, value in self.parameters.items()}

    def forward(self, x: np.ndarray, training: bool = False, rng: np.random.Generator | None = None) -> np.ndarray:
        if training:
            self._x = x
        y = x @ self.weight.T  # y = x W^T + b
        if self.bias is not None:
            y += self.bias
        return y

    def fill_gradients(self, grad: np.ndarray) -> None:
        np.matmul(grad.T, self._x, out=self.gradients["weight"])  # dL/dW = (dL/dy)^T x
        if self.bias is not None:
            np.sum(grad, axis=0, out=self.gradients["bias"])  # dL/db = sum over the batch of dL/dy

    def input_gradient(self, grad: np.ndarray) -> np.ndarray:
        return grad @ self.weight  # dL/dx = dL/dy W


class BatchNorm(Layer):
    """y = g (x - m) / sqrt(v + eps) + b with the batch's own mean m and variance v of a unit (Ioffe & Szegedy 2015).

    In evaluation m and v are running means over the training batches; the running variance is the unbiased one. Names,
    eps and momentum are those of `torch.nn.BatchNorm1d`.
    """

    EPS = 1e-5
    MOMENTUM = 0.1  # share of the new batch in the running means

    def __init__(self, units: int, dtype: type[np.floating]) -> None:
        super().__init__()
        self.parameters = {"weight": np.ones(units, dtype), "bias": np.zeros(units, dtype)}
        self.gradients = {name: np.zeros_like(value) for name, value in self.parameters.items()}
        self.buffers = {
            "running_mean": np.zeros(units, dtype),
            "running_var": np.ones(units, dtype),
            "num_batches_tracked": np.zeros((), np.int64),
        }

    def forward(self, x: np.ndarray, training: bool = False, rng: np.random.Generator | None = None) -> np.ndarray:
        mean, variance = self.buffers["running_mean"], self.buffers["running_var"]
        if training:
            mean, variance = x.mean(axis=0), x.var(axis=0)
            self._track(mean, variance, len(x))
        deviation = np.sqrt(variance + x.dtype.type(self.EPS))
        normalized = (x - mean) / deviation
        if training:
            self._normalized, self._deviation = normalized, deviation
        return normalized * self.parameters["weight"] + self.parameters["bias"]

    def _track(self, mean: np.ndarray, variance: np.ndarray, n: int) -> None:
        """Move the running means towards the batch's: r <- 0.9 r + 0.1 batch, with v n / (n - 1) for the variance."""
        for name, value in (("running_mean", mean), ("running_var", variance * (n / max(1, n - 1)))):
            running = self.buffers[name]
            running *= 1.0 - self.MOMENTUM
            running += self.MOMENTUM * value
        self.buffers["num_batches_tracked"] += 1

    def fill_gradients(self, grad: np.ndarray) -> None:
        np.sum(grad * self._normalized, axis=0, out=self.gradients["weight"])  # dL/dg = sum over the batch of dL/dy x^
        np.sum(grad, axis=0, out=self.gradients["bias"])  # dL/db = sum over the batch of dL/dy

    def input_gradient(self, grad: np.ndarray) -> np.ndarray:
        # each x moves the mean and the variance of the whole batch: with d = dL/dx^ = g dL/dy,
        # dL/dx = (d - mean(d) - x^ mean(d x^)) / sqrt(v + eps)
        d = grad * self.parameters["weight"]
        along = (d * self._normalized).mean(axis=0)
        return (d - d.mean(axis=0) - self._normalized * along) / self._deviation


class Flatten(Layer):
    """(N, C, H, W) -> (N, C*H*W); (N, F) stays."""

    def forward(self, x: np.ndarray, training: bool = False, rng: np.random.Generator | None = None) -> np.ndarray:
        if training:
            self._shape = x.shape
        return x.reshape(len(x), math.prod(x.shape[1:]))

    def input_gradient(self, grad: np.ndarray) -> np.ndarray:
        return grad.reshape(self._shape)


class Dropout(Layer):
    """Inverted dropout: y = x * m / (1 - p) with m = 0 at chance p, else 1, so that E[y] = x (Srivastava 2014).

    In evaluation y = x. The draws are float32 whatever the precision: both precisions leave out the same units.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        if not 0.0 <= p < 1.0:
            raise ValueError(f"the chance of dropout must lie in [0, 1), not {p}")
        self.p = p

    def forward(self, x: np.ndarray, training: bool = False, rng: np.random.Generator | None = None) -> np.ndarray:
        if not training:
            return x
        if rng is None:
            raise ValueError("dropout in training needs a generator to draw from")
        kept = rng.random(x.shape, dtype=np.float32) >= self.p
        self._scale = np.multiply(kept, 1.0 / (1.0 - self.p), dtype=x.dtype)  # m / (1 - p)
        return x * self._scale

    def input_gradient(self, grad: np.ndarray) -> np.ndarray:
        return grad * self._scale  # dL/dx = dL/dy * m / (1 - p)


class Activation(Layer):
    """A nonlinearity y = f(x), unit by unit, on arrays of any shape.

    A new one is a class with `value` and `slope`, and a line in `ACTIVATIONS`.
    """

    def value(self, x: np.ndarray) -> np.ndarray:
        """f(x) in a new array of x's shape and type."""
        raise NotImplementedError

    def slope(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """f'(x), from x or from y = f(x), whichever is easier; may be boolean."""
        raise NotImplementedError

    def forward(self, x: np.ndarray, training: bool = False, rng: np.random.Generator | None = None) -> np.ndarray:
        y = self.value(x)
        if training:
            self._x, self._y = x, y
        return y

    def input_gradient(self, grad: np.ndarray) -> np.ndarray:
        return grad * self.slope(self._x, self._y)  # dL/dx = dL/dy * f'(x)


class ReLU(Activation):
    """f(x) = max(x, 0); the slope at 0, where there is none, is taken as 0."""

    def value(self, x: np.ndarray) -> np.ndarray:
        return np.maximum(x, 0.0)

    def slope(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return y > 0.0


class LeakyReLU(Activation):
    """f(x) = x above 0, and x / 100 below, so that no unit is ever dead (Maas 2013); torch's slope."""

    SLOPE = 0.01

    def value(self, x: np.ndarray) -> np.ndarray:
        return np.where(x > 0.0, x, x.dtype.type(self.SLOPE) * x)

    def slope(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.where(x > 0.0, x.dtype.type(1.0), x.dtype.type(self.SLOPE))


class ELU(Activation):
    """f(x) = x above 0, and exp(x) - 1 below (Clevert 2016)."""

    def value(self, x: np.ndarray) -> np.ndarray:
        return np.where(x > 0.0, x, np.expm1(np.minimum(x, 0.0)))

    def slope(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.where(x > 0.0, x.dtype.type(1.0), y + x.dtype.type(1.0))  # e^x = f + 1


class GELU(Activation):
    """f(x) = x P(x) with P the distribution function of the normal distribution (Hendrycks & Gimpel 2016)."""

    def value(self, x: np.ndarray) -> np.ndarray:
        return x * _normal_cdf(x)

    def slope(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        density = np.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi)
        return _normal_cdf(x) + x * density  # f' = P + x P'


def _normal_cdf(x: np.ndarray) -> np.ndarray:
    from scipy.special import erf  # NumPy has none

    return 0.5 * (1.0 + erf(x / math.sqrt(2.0)))


class Tanh(Activation):
    """f(x) = tanh(x)."""

    def value(self, x: np.ndarray) -> np.ndarray:
        return np.tanh(x)

    def slope(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return 1.0 - y * y  # tanh' = 1 - tanh^2


class Sigmoid(Activation):
    """f(x) = 1 / (1 + exp(-x))."""

    def value(self, x: np.ndarray) -> np.ndarray:
        return sigmoid(x)

    def slope(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return y * (1.0 - y)  # f' = f (1 - f)


class SiLU(Activation):
    """f(x) = x s(x) with s the sigmoid, also called swish (Elfwing 2018)."""

    def value(self, x: np.ndarray) -> np.ndarray:
        return x * sigmoid(x)

    def slope(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return y + sigmoid(x) * (1.0 - y)  # f' = s + x s (1 - s) = f + s (1 - f)


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)), of x's shape and type."""
    z = np.exp(-np.abs(x))  # in (0, 1]: exp never overflows, and small values keep all their digits
    return np.where(x >= 0.0, 1.0, z) / (1.0 + z)  # 1 / (1 + e^-x) = e^x / (1 + e^x)


ACTIVATIONS: dict[str, type[Activation]] = {
    "relu": ReLU,
    "leaky_relu": LeakyReLU,
    "elu": ELU,
    "gelu": GELU,
    "silu": SiLU,
    "tanh": Tanh,
    "sigmoid": Sigmoid,
}
