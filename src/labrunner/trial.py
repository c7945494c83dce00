"""A network of the user's own, tried on its first training batch: what could not train is refused before a folder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from labrunner.errors import RequestError
from labrunner.own import TRACEBACK, name_of, said
from labrunner.remarks import FEW

if TYPE_CHECKING:
    from labrunner.data import Data
    from labrunner.learner import Batch, Learner


def failure(learner: Learner, batch: Batch) -> str | None:
    """What a network raises when it is trained on a batch; None if it does not."""
    try:
        learner.gradients(batch)
    except Exception as error:  # it may be anything
        return said(error)
    return None


def refuse_untrainable(config: Mapping[str, Any], data: Data, learner: Learner) -> None:
    """Refuse a network that cannot take a training step, or begins with a weight that is no number.

    Shipped networks have tests for that. A resumed network has got further already.

    Raises
    ------
    RequestError
    """
    model = config["model"]
    if "_target_" not in model or data.samples.listed:  # a plan reads names of image files, and no file
        return
    name = name_of(model)
    for weight, values in learner.weights().items():
        wrong = values.size and np.issubdtype(values.dtype, np.floating) and not np.isfinite(values).all()
        if wrong:
            value = values[~np.isfinite(values)].flat[0]
            raise RequestError(
                f"{name} begins with {weight} that holds {value}, and no step makes a number of it\n"
                "draw it, as torch.nn.init does; what is no weight: register_buffer(…, persistent=False)"
            )
    try:
        batch = next(data.train.batches(1))
        learner.gradients(batch._replace(inputs=batch.inputs[:FEW], targets=batch.targets[:FEW]))
    except (Exception, SystemExit) as error:
        raise RequestError(f"{name} cannot be trained: its first batch raises {said(error)}\n{TRACEBACK}") from error
