"""A network as an ONNX model that takes inputs as they lie in a file: the normalization is inside, and the softmax."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

OUTPUTS = ("scores", "probabilities")
MOST_BYTES = 2**31 - 2**24  # of weights: a protobuf message holds 2 GiB with all that is around them

THEIRS = ("torch", "torchvision", "labrunner")  # packages whose networks do without

Session = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


class Unexportable(Exception):
    """torch cannot make an ONNX model of a network; says why in one line."""


class Whole(nn.Module):
    """A network with what a run does in front of it and behind: raw inputs -> scores and probabilities.

    Parameters
    ----------
    network : normalized inputs (N, …) -> scores (N, K)
    scale, shift : of the normalization; shapes that broadcast against (N, …), three channels against one as well
    offsets : (D,) float64 that are subtracted from raw inputs, then float64; None of inputs in float32
    """

    scale: torch.Tensor
    shift: torch.Tensor
    offsets: torch.Tensor | None

    def __init__(
        self, network: nn.Module, scale: np.ndarray, shift: np.ndarray, offsets: np.ndarray | None = None
    ) -> None:
        super().__init__()
        self.network: nn.Module = network
        for name, values in (("scale", scale), ("shift", shift)):
            self.register_buffer(name, torch.tensor(values, dtype=torch.float32))
        self.register_buffer("offsets", None if offsets is None else torch.tensor(offsets, dtype=torch.float64))

    def forward(self, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if self.offsets is not None:
            inputs = (inputs - self.offsets).float()  # in float64, which float32 would blur
        scores = self.network(inputs * self.scale + self.shift)
        return scores, scores.softmax(dim=1)


def encode(whole: Whole, input_name: str, input_shape: Sequence[int], metadata: Mapping[str, str]) -> bytes:
    """The ONNX model of a network, whole in one file, for batches of any size.

    Parameters
    ----------
    whole : its network on the processor and in evaluation mode; one of float64 is written in float32
    input_name : what its input is called; its outputs are `OUTPUTS`
    input_shape : of one sample
    metadata : key -> text, kept in the file

    Raises
    ------
    Unexportable
        with the reason in one line.
    """
    import onnx

    whole = whole.eval()
    if any(each.dtype == torch.float64 for each in whole.network.parameters()):
        whole.network = copy.deepcopy(whole.network).float()
    size = sum(each.numel() * each.element_size() for each in (*whole.parameters(), *whole.buffers()))
    if size > MOST_BYTES:
        raise Unexportable(f"its weights take {size / 1e9:.1f} GB, and an ONNX file in one piece holds 2")
    kind = torch.float32 if whole.offsets is None else torch.float64
    example = torch.rand(2, *input_shape, dtype=kind)  # of two: torch takes a size of one for a constant
    try:
        with silence(), symbolic_lengths(whole), torch.no_grad():
            program = torch.onnx.export(
                whole,
                (example,),
                dynamo=True,
                external_data=False,
                verbose=False,
                input_names=[input_name],
                output_names=list(OUTPUTS),
                dynamic_shapes=({0: torch.export.Dim("batch")},),
            )
            assert program is not None
            model = program.model_proto
    except Exception as error:  # it may be anything
        raise Unexportable(reason(error)) from error
    if not model.graph.input[0].type.tensor_type.shape.dim[0].dim_param:
        raise Unexportable("its forward() makes a constant of the size of a batch, as a loop over samples does")
    tidy(model)
    onnx.helper.set_model_props(model, dict(metadata))
    content: bytes = model.SerializeToString()
    return content


def reason(error: BaseException) -> str:
    """What went wrong in one line: torch wraps the error of a network in pages of advice."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


@contextlib.contextmanager
def symbolic_lengths(network: nn.Module) -> Iterator[None]:
    """Inside, `len` of a tensor is its first size in the modules of the network's classes.

    The built-in makes a number of a size that torch has a symbol for, and the graph would take that number alone:
    ``inputs.reshape(len(inputs), -1)`` is what people write.
    """

    def length(of: Any) -> Any:
        return of.shape[0] if isinstance(of, torch.Tensor) and of.ndim else len(of)

    names = {type(module).__module__ for module in network.modules()}
    homes = [sys.modules[name] for name in names if name in sys.modules and name.partition(".")[0] not in THEIRS]
    homes = [home for home in homes if "len" not in vars(home)]
    try:
        for home in homes:
            home.len = length  # type: ignore[attr-defined]
        yield
    finally:
        for home in homes:
            del home.len


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Nothing that exporters and the networks in them print, warn of or log is seen."""
    before = logging.root.manager.disable
    try:
        logging.disable(logging.CRITICAL)
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def tidy(model: Any) -> None:
    """Take out what the exporter notes of where code lies: paths of the machine that it ran on."""
    for graph in (model.graph, *model.functions):
        del graph.metadata_props[:]
        graph.doc_string = ""
        for part in (*graph.node, *graph.value_info, *(getattr(graph, "initializer", ()))):
            del part.metadata_props[:]
            part.doc_string = ""
    for part in (*model.graph.input, *model.graph.output):
        del part.metadata_props[:]


def opened(content: bytes, threads: int) -> Session:
    """An ONNX model, checked for being one, and ready: raw inputs (N, …) -> scores (N, K) and probabilities (N, K).

    Raises
    ------
    Unexportable
        when it breaks the rules of ONNX, or ONNX Runtime cannot run it.
    """
    import onnx
    import onnxruntime  # type: ignore[import-untyped]

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # fatal: what is an error comes as an exception
    options.intra_op_num_threads = threads
    try:
        onnx.checker.check_model(content, full_check=True)
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise Unexportable(f"what came out is no valid ONNX model: {reason(error)}") from error
    (given,) = session.get_inputs()

    def run(inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        try:
            scores, probabilities = session.run(list(OUTPUTS), {given.name: inputs})
        except Exception as error:
            raise Unexportable(f"ONNX Runtime cannot run it on a batch of {len(inputs)}: {reason(error)}") from error
        return scores, probabilities

    return run
