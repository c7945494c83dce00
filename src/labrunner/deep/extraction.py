"""What a backbone that stands still makes of many inputs, computed as quickly as can be.

Batch norm goes into the weights of the convolution in front of it, memory is channels_last, and inputs come in parts
that are small enough for a processor's cache. Threads share the parts and not the arithmetic of one: torch's own way of
dividing a convolution among threads changes its last digits, and so features depend on the parts alone.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from queue import SimpleQueue
from typing import Any

import numpy as np
import torch
from torch import fx, nn

from labrunner.deep.learner import TorchLearner, to_numpy
from labrunner.machine import arithmetic

Run = Callable[[torch.Tensor], torch.Tensor]

PART = 8 * 3 * 224 * 224  # numbers in the inputs of a part: eight photographs
MOST, MOST_ON_A_DEVICE = 128, 256  # samples in a part
TRIED = 2  # samples on which a quick way has to give what the backbone gives
NEAR = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 1e-5}  # as a share of the largest feature
ALIKE = {
    torch.float64: 1e-9,
    torch.float32: 1e-3,
    torch.bfloat16: 2e-2,
}  # the same but for rounding, however it adds up
CONVOLUTIONS: dict[type[nn.Module], type[nn.Module]] = {
    nn.Conv1d: nn.BatchNorm1d,
    nn.Conv2d: nn.BatchNorm2d,
    nn.Conv3d: nn.BatchNorm3d,
}


def part_size(learner: TorchLearner) -> int:
    """Samples in a part."""
    values = max(1, int(np.prod(learner.input_shape)))
    if learner.device.type != "cpu":
        return max(1, min(MOST_ON_A_DEVICE, 4 * PART // values))
    return max(1, min(MOST, PART // values))


def alike(found: torch.Tensor, expected: torch.Tensor) -> bool:
    """Whether features are the same but for rounding; False where one is no number."""
    if found.shape != expected.shape or found.dtype != expected.dtype:
        return False
    one, other = found.double(), expected.double()
    return bool((one - other).abs().max() <= ALIKE.get(expected.dtype, 0.0) * other.abs().max())


def arithmetic_of(learner: TorchLearner) -> str:
    """What the last digits of features depend on beside backbone and inputs."""
    device = learner.device
    kind = torch.cuda.get_device_name(device) if device.type == "cuda" else torch.backends.cpu.get_cpu_capability()
    number_type = next(learner.network.parameters()).dtype
    return f"{number_type} {'bf16' if learner.bf16 else ''} {device.type} {kind} torch {torch.__version__}"


class Extraction:
    """A learner's backbone as it is now, for many inputs.

    Parameters
    ----------
    learner : its backbone stands still
    sample : a few inputs, as the learner takes them. A way that is quicker than the backbone's own is taken where it
        gives the same features of these, to rounding.
    """

    def __init__(self, learner: TorchLearner, sample: torch.Tensor) -> None:
        self._learner = learner
        backbone = learner.network.get_submodule("backbone")
        sample = sample[:TRIED]
        expected = learner.features(sample)
        self._ways: list[nn.Module] = [backbone]
        self._layout = torch.preserve_format
        with arithmetic(1):
            for way in _quicker(backbone, fold=not learner.bf16):  # in bf16, weights that are folded are rounded anew
                for layout in (torch.channels_last, torch.preserve_format):
                    if _agrees(lambda inputs: self._run(way, inputs, layout), sample, expected):  # noqa: B023
                        self._ways, self._layout = [way], layout
                        return

    def _run(self, way: nn.Module, inputs: torch.Tensor, layout: torch.memory_format) -> torch.Tensor:
        learner = self._learner
        if inputs.ndim == 4 and layout is torch.channels_last:
            inputs = inputs.contiguous(memory_format=layout)
        # both are modes of the thread
        with torch.inference_mode(), torch.autocast(learner.device.type, torch.bfloat16, enabled=learner.bf16):
            return way(inputs)

    def __call__(self, parts: Iterable[Callable[[], torch.Tensor]], threads: int = 1) -> Generator[np.ndarray]:
        """The features of each part, in their order, as `stored`.

        Parameters
        ----------
        parts : each gives its inputs when called, in whatever thread
        threads : parts that are worked on at a time, on the processor
        """
        self._learner.rest()
        with arithmetic(1):
            ways = self._of_each(threads if self._learner.device.type == "cpu" else 1)
            if ways.qsize() == 1:
                for part in parts:
                    yield self._part(ways, part)
                return
            with ThreadPoolExecutor(ways.qsize()) as pool:
                begun: deque[Future[np.ndarray]] = deque()
                try:
                    for part in parts:
                        begun.append(pool.submit(self._part, ways, part))
                        if len(begun) > 2 * ways.qsize() + 1:  # what is finished is not kept waiting in memory
                            yield begun.popleft().result()
                    while begun:
                        yield begun.popleft().result()
                finally:
                    for future in begun:
                        future.cancel()

    def _part(self, ways: SimpleQueue[nn.Module], part: Callable[[], torch.Tensor]) -> np.ndarray:
        way = ways.get()
        try:
            return stored(self._run(way, part(), self._layout))
        finally:
            ways.put(way)

    def _of_each(self, threads: int) -> SimpleQueue[nn.Module]:
        """A way for each thread; a module of somebody's may keep something while it computes, and is copied."""
        way = self._ways[0]
        if not isinstance(way, fx.GraphModule):
            with suppress(Exception):  # what cannot be copied works alone
                while len(self._ways) < threads:
                    self._ways.append(copy.deepcopy(way))
        ways: SimpleQueue[nn.Module] = SimpleQueue()
        for number in range(threads):
            if isinstance(way, fx.GraphModule):
                ways.put(way)
            elif number < len(self._ways):
                ways.put(self._ways[number])
        return ways


def _quicker(backbone: nn.Module, fold: bool) -> Iterator[nn.Module]:
    """The quickest way first; each may turn out not to work."""
    for change in (folded, lambda graph: graph) if fold else (lambda graph: graph,):
        with suppress(Exception):  # control flow that depends on the inputs, say, or a module that cannot be copied
            # of a copy: what a module keeps for itself while it computes would be a trace's placeholders
            yield change(fx.symbolic_trace(copy.deepcopy(backbone)))
    yield backbone


def _agrees(run: Run, sample: torch.Tensor, expected: torch.Tensor) -> bool:
    try:
        found = run(sample)
        if found.shape != expected.shape or found.dtype != expected.dtype:
            return False
        room = NEAR.get(expected.dtype, 0.0) * float(expected.abs().max())
        return bool((found - expected).abs().max() <= room)
    except Exception:  # a quick way that fails is none
        return False


def folded(graph: fx.GraphModule) -> fx.GraphModule:
    """Each batch norm in evaluation mode that alone follows a convolution, taken into the convolution's weights.

    The modules of the network that was traced stay as they are. A module with hooks is left alone, since they may look
    at what is between the two.
    """
    modules = dict(graph.named_modules())
    calls: dict[str, int] = {}
    for node in graph.graph.nodes:
        if node.op == "call_module":
            calls[str(node.target)] = calls.get(str(node.target), 0) + 1
    for node in list(graph.graph.nodes):
        before = node.args[0] if node.args else None
        if node.op != "call_module" or not isinstance(before, fx.Node) or before.op != "call_module":
            continue
        place = str(before.target)
        convolution, norm = modules[place], modules[str(node.target)]
        if type(norm) is not CONVOLUTIONS.get(type(convolution)) or len(before.users) > 1 or calls[place] > 1:
            continue
        if norm.training or norm.running_mean is None or norm.running_var is None:  # it takes the batch's own moments
            continue
        if any(module._forward_hooks or module._forward_pre_hooks for module in (convolution, norm)):
            continue
        parent, _, name = place.rpartition(".")
        setattr(graph.get_submodule(parent), name, _fused(convolution, norm))
        node.replace_all_uses_with(before)
        graph.graph.erase_node(node)
    graph.recompile()
    return graph


def _fused(convolution: Any, norm: Any) -> nn.Module:
    """The convolution that does what a convolution and the batch norm behind it do."""
    fused = copy.deepcopy(convolution)
    with torch.no_grad():
        # (w * x + b - mean) / sqrt(var + eps) gamma + beta, in float64, and rounded once
        scale = 1.0 / torch.sqrt(norm.running_var.double() + norm.eps)
        if norm.weight is not None:
            scale = scale * norm.weight.double()
        shift = -norm.running_mean.double() * scale
        if convolution.bias is not None:
            shift = shift + convolution.bias.double() * scale
        if norm.bias is not None:
            shift = shift + norm.bias.double()
        weight = convolution.weight
        scaled = weight.double() * scale.reshape(-1, *(1,) * (weight.ndim - 1))
        fused.weight = nn.Parameter(torch.empty_like(weight).copy_(scaled), requires_grad=False)
        fused.bias = nn.Parameter(shift.to(weight.dtype), requires_grad=False)
    return fused


# features as arrays

BITS = np.dtype("<i2")  # the bits of bf16, which NumPy does not have


def stored(features: torch.Tensor) -> np.ndarray:
    """Features as an array, (N, …): of their own number type, those of bf16 as their bits."""
    if features.dtype == torch.bfloat16:
        return np.array(features.cpu().contiguous().view(torch.int16).numpy(), order="C", dtype=BITS)
    return to_numpy(features)


def restored(values: np.ndarray, learner: TorchLearner) -> torch.Tensor:
    """What `stored` had, where the learner computes."""
    if values.dtype == BITS:
        return torch.tensor(values).view(torch.bfloat16).to(learner.device)
    return learner.array(values)
