"""Freeze strategies: which parameters train, epoch by epoch, and how fast, as pure functions of the config.

A parameter that does not train has no gradient and no slots in the optimizer: momentum and weight decay would go on
moving it. A module of which nothing trains is in evaluation mode with all below it: the running means of its batch norm
would drift otherwise, though no parameter of it does. A parameter that goes by several names stands still if one of
them does.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

from torch import nn

from labrunner.deep.stages import HEAD, has_parts
from labrunner.errors import RequestError

NONE = {"name": "none"}  # options of the strategy by which all trains


@dataclass(frozen=True)
class Strategy:
    """What trains in an epoch.

    Attributes
    ----------
    trains : epoch, from 1 -> names of the parameters that train in it
    factors : parameter -> how many times the learning rate it moves by; 1 where it is missing
    turns : the epochs, in order, in which others train than in the one before, were the run ever so long
    """

    trains: Callable[[int], frozenset[str]]
    factors: Mapping[str, float] = field(default_factory=dict)
    turns: tuple[int, ...] = ()


def make(options: Mapping[str, Any], network: nn.Module, stages: Mapping[str, Sequence[str]]) -> Strategy:
    """The strategy of a composed `freeze` group.

    Parameters
    ----------
    options : name, the keys of that strategy, head_factor and stage_factor
    network : as it was built; a parameter that its maker froze never trains
    stages : as `labrunner.deep.stages.stages` has them

    Raises
    ------
    RequestError
        when the network has no backbone to freeze, there are fewer stages than asked for, a pattern matches nothing, or
        nothing is left to train.
    """
    named = _own_names(network)
    willing = frozenset(name for name, parameter in network.named_parameters() if parameter.requires_grad)
    name = options["name"]
    scaled = any(options.get(key, 1.0) != 1.0 for key in ("head_factor", "stage_factor"))
    if (name not in ("none", "patterns") or scaled) and not has_parts(network):
        asked = f"freeze={name}" if name not in ("none", "patterns") else "freeze.head_factor or freeze.stage_factor"
        raise RequestError(
            f"{asked} needs a backbone and a head, and {type(network).__name__} has no modules of these names\n"
            "call its parts self.backbone and self.head, or list what trains with freeze=patterns"
        )
    backbone = [stage for stage, tensors in stages.items() if stage != HEAD and any(each in named for each in tensors)]
    if name not in ("none", "patterns") and not backbone:
        raise RequestError(f"freeze={name}: the model has no weights in front of its head; try freeze=none")
    trains = cache(_trains(options, willing, named, stages, backbone))
    if not trains(1):
        what = "parameter" if name == "none" else "parameter of the head"
        raise RequestError(
            f"freeze={name} leaves nothing to train: each {what} was frozen by its maker, or is shared with what is "
            "frozen"
        )
    turns = (each for each in _possible_turns(options, len(backbone)) if each > 1 and trains(each) != trains(each - 1))
    return Strategy(trains, _factors(options, named, stages, backbone), tuple(turns))


def _own_names(network: nn.Module) -> dict[str, str]:
    """Every name of a parameter -> the first one, by which `named_parameters` has it."""
    first = {id(parameter): name for name, parameter in network.named_parameters()}
    return {name: first[id(parameter)] for name, parameter in network.named_parameters(remove_duplicate=False)}


def _trains(
    options: Mapping[str, Any],
    willing: frozenset[str],
    named: Mapping[str, str],
    stages: Mapping[str, Sequence[str]],
    backbone: Sequence[str],
) -> Callable[[int], frozenset[str]]:
    def upper(count: int) -> frozenset[str]:
        """The head and the last `count` stages."""
        still = {named[name] for stage in backbone[: len(backbone) - count] for name in stages[stage] if name in named}
        return willing - still

    name = options["name"]
    if name == "backbone":
        return lambda epoch: upper(0)
    if name == "partial":
        count = options["stages"]
        if count > len(backbone):
            raise RequestError(
                f"freeze.stages={count}: the backbone has {len(backbone)} stages, {_some(backbone)}; "
                f"try at most {len(backbone)}"
            )
        return lambda epoch: upper(count)
    if name == "gradual":
        return lambda epoch: upper(min(len(backbone), (epoch - 1) // options["every"]))
    if name == "linear_probe_then_finetune":
        return lambda epoch: upper(0) if epoch <= options["probe_epochs"] else willing
    if name == "patterns":
        return _listed(options["train"], willing, named)
    return lambda epoch: willing


def _possible_turns(options: Mapping[str, Any], stages: int) -> list[int]:
    """The epochs, in order, in which what trains may change; it does in no other."""
    if options["name"] == "gradual":
        return [1 + options["every"] * count for count in range(1, stages + 1)]
    if options["name"] == "linear_probe_then_finetune":
        return [1 + options["probe_epochs"]]
    return sorted(entry["epoch"] for entry in options["train"]) if options["name"] == "patterns" else []


def _listed(
    schedule: Sequence[Any], willing: frozenset[str], named: Mapping[str, str]
) -> Callable[[int], frozenset[str]]:
    """What a user lists: from each epoch on, the names that match one of its patterns."""
    found: dict[int, frozenset[str]] = {}
    for number, entry in enumerate(schedule):
        where = f"freeze.train[{number}]"
        if not isinstance(entry, Mapping) or set(entry) != {"epoch", "train"}:
            raise RequestError(f"{where}: it takes an epoch and its patterns, as {{epoch: 1, train: [head]}}")
        epoch, patterns = entry["epoch"], entry["train"]
        if type(epoch) is not int or epoch < 1 or epoch in found:
            raise RequestError(f"{where}.epoch={epoch}: it takes a whole number from 1, each one once")
        if not isinstance(patterns, list) or not patterns or not all(isinstance(each, str) for each in patterns):
            raise RequestError(
                f"{where}.train={patterns}: it takes a list of names with wildcards, as [head, '*.bias']"
            )
        for pattern in patterns:
            if not any(_matches(name, pattern) for name in named):
                raise RequestError(f"{where}: no parameter matches {pattern}\nthere are {_some(list(named))}")
        found[epoch] = willing & {own for name, own in named.items() if any(_matches(name, each) for each in patterns)}
        if not found[epoch]:
            raise RequestError(f"{where}: nothing that matches {', '.join(patterns)} may train: its maker froze it")
    if 1 not in found:
        raise RequestError("freeze.train: it takes an entry with epoch: 1, which says what trains first")
    starts = sorted(found)
    return lambda epoch: found[max(start for start in starts if start <= epoch)]


def _matches(name: str, pattern: str) -> bool:
    """A pattern names parameters, or a module with all that is below it."""
    return fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*")


def _factors(
    options: Mapping[str, Any], named: Mapping[str, str], stages: Mapping[str, Sequence[str]], backbone: Sequence[str]
) -> dict[str, float]:
    head, stage_factor = options.get("head_factor", 1.0), options.get("stage_factor", 1.0)
    found = {named[name]: head for name in stages.get(HEAD, ()) if name in named}
    for depth, stage in enumerate(reversed(backbone)):  # the last stage moves at the full rate
        found |= {named[name]: stage_factor**depth for name in stages[stage] if name in named}
    return {name: factor for name, factor in found.items() if factor != 1.0}


def standing(network: nn.Module, trains: Collection[str]) -> dict[str, nn.Module]:
    """The outermost modules that stand still in evaluation mode, by their names.

    Those are the modules that have parameters of which none trains. A module without parameters, as dropout or batch
    norm without a scale, goes with the module that is registered in front of it in the backbone (at its very front,
    with the one behind it); elsewhere it does so only if it holds buffers. What lies between backbone and head belongs
    to the head.
    """
    training = {id(parameter) for name, parameter in network.named_parameters() if name in trains}
    parts = has_parts(network)

    def stand(parameters: Iterable[nn.Parameter]) -> bool | None:
        """Whether there are parameters and none of them trains; None where there are none."""
        inside = [id(parameter) in training for parameter in parameters]
        return not any(inside) if inside else None

    outside = stand(each for name, each in network.named_parameters() if not name.startswith("backbone."))

    def goes_along(name: str, module: nn.Module, around: Iterable[bool | None]) -> bool:
        """Whether a module without parameters stands, by its neighbours, the one that it goes with first."""
        if parts and "." not in name:
            return outside is True
        if not (parts and name.startswith("backbone.")) and next(module.buffers(), None) is None:
            return False
        return next((stands for stands in around if stands is not None), False)

    def walk(name: str, module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
        children = [(f"{name}.{own}" if name else own, child) for own, child in module.named_children()]
        found = [stand(child.parameters()) for _, child in children]
        for place, (below, child) in enumerate(children):
            if found[place] is False:
                yield from walk(below, child)
            elif found[place] or goes_along(below, child, (*reversed(found[:place]), *found[place + 1 :])):
                yield below, child

    return {"": network} if stand(network.parameters()) else dict(walk("", network))


def frozen_tensors(network: nn.Module, trains: Collection[str]) -> frozenset[str]:
    """Names of the parameters that do not train, and of the buffers of modules that stand still."""
    parameters = dict(network.named_parameters(remove_duplicate=False))  # one that is shared goes by several names
    training = {id(parameters[name]) for name in trains}
    modules = tuple(f"{name}." if name else "" for name in standing(network, trains))
    return frozenset(
        name
        for name in network.state_dict()
        if (id(parameters[name]) not in training if name in parameters else name.startswith(modules))
    )


def _some(names: Sequence[str], most: int = 4) -> str:
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[: most - 1])}, … {names[-1]}"
