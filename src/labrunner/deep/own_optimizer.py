"""An optimizer of the user's own, a `torch.optim.Optimizer`, in the place of a shipped one."""

from __future__ import annotations

import hashlib
import inspect
import io
import pickle
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from labrunner.deep.optimizers import Optimizer, Slots
from labrunner.errors import RequestError, RunError
from labrunner.own import TRACEBACK, called, misfit, named, said
from labrunner.reg import NONE, Reg

OURS = ("params", "lr", "weight_decay")  # of a group, what is set here
GROUP = "group."  # in front of the name of what a group keeps from step to step, beside its first parameter's state
# behind the name of a slot that is no tensor: a checkpoint holds arrays
KINDS: dict[str, tuple[type, torch.dtype]] = {
    "bool": (bool, torch.bool),
    "int": (int, torch.int64),
    "float": (float, torch.float64),
    "none": (type(None), torch.bool),
}
TORCHS = (  # attributes that torch itself counts or notes in
    "_step_count",
    "_opt_called",
    "_need_device_dtype_check_for_fused",
    "_warned_capturable_if_run_uncaptured",
)
WATCHED = 3  # steps at the start in which nothing may change that no checkpoint holds
BF16 = "bfloat16"  # which NumPy does not have: written as float32


class UsersOwn(Optimizer):
    """Calls an optimizer of the user's with what labrunner decides: learning rate, decay, what trains.

    Parameters
    ----------
    parameters : name -> parameter, updated in place
    target : the dotted name of its class
    lr : to begin with; each step has its own
    settings : the other keys of its YAML
    reg, factors : as of `labrunner.deep.optimizers.Optimizer`

    Raises
    ------
    RequestError
        when it cannot be made, or does not do what is asked of it.
    """

    def __init__(
        self,
        parameters: Mapping[str, nn.Parameter],
        target: str,
        lr: float,
        settings: Mapping[str, Any],
        reg: Reg = NONE,
        factors: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(parameters, reg, factors)
        self.target = target
        self._names = [list(names) for _, names in self._groups]
        self._factors = [factor for (_, factor), _ in self._groups]
        self._own = made(target, lr, settings, [[self.parameters[name] for name in names] for names in self._names])
        takes_decay = "weight_decay" in self._own.defaults
        if reg.weight_decay > 0.0 and not takes_decay:
            raise RequestError(
                f"reg.weight_decay={reg.weight_decay}: {target} has no weight_decay among its defaults\n"
                "nothing would decay: try reg.weight_decay=0, or teach it: docs/extending.md"
            )
        for group, ((weight_decay, _), _) in zip(self._own.param_groups, self._groups, strict=True):
            if takes_decay:
                group["weight_decay"] = weight_decay
        self._begun = [
            {key: value for key, value in group.items() if key not in OURS} for group in self._own.param_groups
        ]
        self._stepped = 0  # steps so far, up to WATCHED

    def leave_out(self, names: Collection[str]) -> None:
        for name in names:
            self.parameters[name].grad = None
            self._own.state.pop(self.parameters[name], None)

    def move(self, lr: float) -> None:
        for group, names, factor in zip(self._own.param_groups, self._names, self._factors, strict=True):
            # what does not train it need not know
            group["params"] = [p for name in names if (p := self.parameters[name]).grad is not None]
            group["lr"] = lr * factor
        if self._stepped >= WATCHED:
            self._own.step()
            return
        self._stepped += 1
        before = _attributes(self._own)
        self._own.step()
        moved = [key for key, value in _attributes(self._own).items() if before.get(key) != value]
        if moved:
            raise RunError(
                f"{self.target} changes self.{moved[0]} in a step, which no checkpoint keeps\n"
                "a run that was cut would go on otherwise; keep it in self.state[p], or in the group"
            )

    # what outlives a step

    def kept(self) -> dict[str, Slots]:
        found: dict[str, Slots] = {}
        for name, parameter in self.parameters.items():
            state = self._own.state.get(parameter)
            if state:
                found[name] = {}
                for key, value in state.items():
                    if not isinstance(key, str) or "/" in key or ":" in key or key.startswith(GROUP):
                        raise RunError(f"{self.target}: self.state[p] has a key {key!r}; give it a plain name")
                    slot, tensor = self._told(key, value)
                    found[name][slot] = tensor
        for group, names, begun in zip(self._own.param_groups, self._names, self._begun, strict=True):
            for key, value in group.items():
                if key not in OURS and (isinstance(value, torch.Tensor) or begun.get(key, group) != value):
                    slot, tensor = self._told(key, value)
                    found.setdefault(names[0], {})[f"{GROUP}{slot}"] = tensor
        return found

    def _told(self, key: str, value: Any) -> tuple[str, torch.Tensor]:
        """A slot's name and its value as a tensor."""
        if isinstance(value, torch.Tensor):
            return (f"{key}:{BF16}" if value.dtype == torch.bfloat16 else key), value
        for word, (kind, dtype) in KINDS.items():
            if type(value) is kind:
                return f"{key}:{word}", torch.tensor(False if value is None else value, dtype=dtype)
        raise RunError(
            f"{self.target} keeps {key!r} of type {type(value).__name__} from step to step, and a checkpoint holds "
            "tensors, numbers and None"
        )

    def restored(self, kept: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, Slots]:
        found: dict[str, Slots] = {}
        for name, slots in kept.items():
            found[name] = {}
            for slot, values in slots.items():
                word = slot.partition(":")[2]
                wanted = KINDS.get(word)
                if (word and wanted is None and word != BF16) or (wanted is not None and values.shape != ()):
                    raise ValueError(f"the optimizer's slot {name}/{slot} is nothing that an optimizer keeps")
                tensor = torch.from_numpy(values)
                if wanted is not None and tensor.dtype != wanted[1]:
                    raise ValueError(f"the optimizer's slot {name}/{slot} is of type {tensor.dtype}")
                dtype = torch.bfloat16 if word == BF16 else tensor.dtype
                parameter = self.parameters[name]
                if values.shape == tuple(parameter.shape):  # in its memory format and on its device
                    found[name][slot] = torch.empty_like(parameter, dtype=dtype, requires_grad=False).copy_(tensor)
                else:  # counts stay on the processor, as torch's own do
                    device = parameter.device if values.ndim else "cpu"
                    found[name][slot] = tensor.to(device, dtype, copy=True)
        return found

    def take(self, slots: dict[str, Slots]) -> None:
        self._own.state.clear()
        for group, begun in zip(self._own.param_groups, self._begun, strict=True):
            for key in [key for key in group if key not in OURS]:
                del group[key]
            group.update(begun)
        first = {names[0]: group for names, group in zip(self._names, self._own.param_groups, strict=True)}
        for name, kept in slots.items():
            for slot, tensor in kept.items():
                key, _, word = slot.partition(":")
                value = KINDS[word][0](tensor.item()) if word in KINDS and word != "none" else tensor
                value = None if word == "none" else value
                if key.startswith(GROUP):
                    first[name][key.removeprefix(GROUP)] = value
                else:
                    self._own.state[self.parameters[name]][key] = value


def make(
    parameters: Mapping[str, nn.Parameter],
    options: Mapping[str, Any],
    reg: Mapping[str, Any],
    decayed: Collection[str],
    factors: Mapping[str, float] | None = None,
) -> UsersOwn:
    """As `labrunner.deep.optimizers.make`, of an `optim` group with a ``_target_``."""
    settings = {key: value for key, value in options.items() if key not in ("_target_", "lr")}
    return UsersOwn(parameters, str(options["_target_"]), options["lr"], settings, Reg.of(reg, decayed), factors)


def made(
    target: str, lr: float, settings: Mapping[str, Any], groups: list[list[nn.Parameter]]
) -> torch.optim.Optimizer:
    """The user's optimizer, for groups of parameters."""
    make: Callable[..., Any] = named(target, "an optimizer", "optim._target_")
    try:
        own = make([{"params": list(group)} for group in groups], lr=lr, **settings)
    except (Exception, SystemExit) as error:
        given = {"lr": lr, **settings}
        hint = f"{misfit(make, 'optim', given)}\nit is called with the parameters, {called(given)}; {TRACEBACK}"
        raise RequestError(f"{target} cannot be made: {said(error)}{hint}") from error
    if not isinstance(own, torch.optim.Optimizer):
        raise RequestError(f"{target} gives a {type(own).__name__}, which is no torch.optim.Optimizer")
    if "lr" not in own.defaults:
        raise RequestError(
            f"{target} has no lr among its defaults, so no schedule would reach it; "
            'its __init__ calls super().__init__(params, {"lr": lr, …})'
        )
    if [[id(p) for p in group["params"]] for group in own.param_groups] != [[id(p) for p in each] for each in groups]:
        raise RequestError(f"{target} has other parameters, or groups, than it was given: pass params on as they come")
    if inspect.unwrap(type(own).step) is inspect.unwrap(torch.optim.Optimizer.step):  # torch wraps it for its profiler
        raise RequestError(f"{target} has no step(), which moves the weights: docs/extending.md shows one")
    needed = [
        name
        for name, each in inspect.signature(own.step).parameters.items()
        if each.default is each.empty and each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
    ]
    if needed:
        raise RequestError(f"{target}.step needs {needed[0]}, and labrunner calls step() without; choose another")
    return own


def _attributes(own: torch.optim.Optimizer) -> dict[str, bytes | None]:
    """What an optimizer holds beside its state and its groups, as bytes that change with it; None where it has none.

    Of its classes' attributes as well, down to torch's: one that stands in a class body belongs to every instance.
    """
    found: dict[str, Any] = {}
    for each in reversed(type(own).__mro__):
        if not each.__module__.startswith("torch.") and each is not object:
            found |= {key: value for key, value in vars(each).items() if not key.startswith("__")}
    found |= vars(own)
    return {key: _bytes(own, value) for key, value in found.items() if key not in (*TORCHS, "state", "param_groups")}


def _bytes(own: torch.optim.Optimizer, value: Any) -> bytes | None:
    written = io.BytesIO()
    try:
        _Content(written, own).dump(value)
    except Exception:  # a lock, an open file, a lambda: nothing that counts
        return None
    return written.getvalue()


class _Content(pickle.Pickler):
    """Writes what an attribute holds, never to be read: a tensor by its values, weights and what is kept by name."""

    def __init__(self, file: io.BytesIO, own: torch.optim.Optimizer) -> None:
        super().__init__(file)
        self.fast = True  # equal contents, equal bytes: whether two names share an object is no matter
        self._kept = {id(own), id(own.state), id(own.param_groups)}
        self._kept |= {id(each) for group in own.param_groups for each in (group, group["params"])}

    def persistent_id(self, each: Any) -> Any:
        if id(each) in self._kept or isinstance(each, nn.Parameter):
            return str(id(each))
        if isinstance(each, torch.Tensor):
            values = each.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
            return f"{each.dtype} {tuple(each.shape)} {hashlib.sha256(values.data).hexdigest()}"
        return None
