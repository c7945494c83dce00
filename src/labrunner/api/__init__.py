"""The command from Python: a run, a sweep, and what a folder of either holds.

What is asked for is written as on the command line, ``run("model=cnn", "optim.lr=0.01")``, lands in the same folders
and is refused for the same reasons; a refusal is a `RequestError` here and no exit code. Nothing is printed as a
result: it is what the functions return. docs/python.md is the manual.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from labrunner.api.runs import Run, ended
from labrunner.api.session import LabrunnerWarning, newest, session
from labrunner.api.sweeps import Sweep, swept
from labrunner.api.words import refuse_keywords
from labrunner.compose import Composed, request
from labrunner.errors import RequestError
from labrunner.machine import command_line
from labrunner.records import is_sweep_folder
from labrunner.verbs.sweeps import flags

__all__ = ["LabrunnerWarning", "Run", "Sweep", "load_run", "load_sweep", "run", "sweep"]

Overrides = str | Iterable[str]
Place = str | Path


def run(
    *overrides: Overrides,
    folder: Place | None = None,
    config_dir: Place | None = None,
    progress: bool = True,
    **keys: Any,
) -> Run:
    """Carry out one run, as ``labrunner OVERRIDES`` does.

    Parameters
    ----------
    overrides : ``"model=cnn"``, ``"optim.lr=0.01"``, one by one or in lists; without any, a first run on digits
    folder : of the run, new or empty; None makes one in ``outputs/runs``, below the current folder
    config_dir : a folder of options beside ``./conf``
    progress : whether what the command says on the way goes to stderr, with a bar on a terminal and in a notebook
    keys : none; ``run(epochs=3)`` is refused with how it is written, ``run("epochs=3")``

    Returns
    -------
    Run, also one that diverged: its status says so, and a `LabrunnerWarning`.

    Raises
    ------
    RequestError
        when the request cannot be carried out; nothing has been written.
    RunError
        when the run failed on the way; the status and the log in its folder say why.
    KeyboardInterrupt
        when it was interrupted; ``load_run(folder).resume()`` goes on from the batch where it stood.
    """
    from labrunner.verbs.train import catalogue, made

    refuse_keywords("run", keys, ("folder", "config_dir", "progress"))
    typed, where = texts(overrides, "hydra.run.dir", folder), None if config_dir is None else str(config_dir)
    with session(progress) as told:
        asked = request(typed, catalogue(where, told.say), multirun=False)
        if not isinstance(asked, Composed):
            raise RequestError(
                "this asks for a sweep of several runs: labrunner.sweep(…) makes it\n"
                "hydra.mode=RUN makes a single run of such an experiment, with none of the sweep's values"
            )
        with newest([asked.config]):
            result = made(asked, command_line([*flags(where), *typed]), told.shared)
        return ended(Run(result.folder, config_dir=where), result, told)


def sweep(
    *overrides: Overrides,
    jobs: int | None = None,
    folder: Place | None = None,
    config_dir: Place | None = None,
    progress: bool = True,
    **keys: Any,
) -> Sweep:
    """Make a run for each combination of values, as ``labrunner -m OVERRIDES`` does.

    Parameters
    ----------
    overrides : ``"optim.lr=0.001,0.01"``, ``"seed=range(3)"``, ``"experiment=learning_rates"``, one by one or in lists
    jobs : how many processes make runs side by side, which never changes what comes out; None is the config's, 1
    folder : of the sweep, new, empty, or that of a sweep which is gone on with; None makes one in ``outputs/sweeps``
    config_dir, progress, keys : as `run` takes them

    Returns
    -------
    Sweep, also of runs that diverged or failed: its table says so, and a `LabrunnerWarning`.

    Raises
    ------
    RequestError
        when the request cannot be carried out; nothing has been written.
    RunError
        when the runs have nothing to start from, since the first one did not come to its end.
    KeyboardInterrupt
        when it was interrupted; the same call with that folder goes on, and so does ``load_sweep(folder).resume()``.
    """
    from labrunner.verbs.train import catalogue

    refuse_keywords("sweep", keys, ("jobs", "folder", "config_dir", "progress"), several=True)
    typed, where = texts(overrides, "hydra.sweep.dir", folder), None if config_dir is None else str(config_dir)
    if jobs is not None:
        if any(text.partition("=")[0] == "jobs" for text in typed):
            raise RequestError(f"jobs is given twice, as jobs={jobs} and among the overrides; leave one of them out")
        typed.append(f"jobs={jobs}")
    with session(progress) as told:
        asked = request(typed, catalogue(where, told.say), multirun=True)
        assert not isinstance(asked, Composed)
        return swept(asked, asked.sweep_dir, command_line([*flags(where), "-m", *typed]), told, where)


def load_run(path: Place, *, trust: bool = False, config_dir: Place | None = None) -> Run:
    """What the folder of a run holds.

    Parameters
    ----------
    path : of the folder; it may be a stranger's: reading it executes nothing
    trust : whether its config may name code outside the current folder, which `Run.predict` and `Run.model` execute
    config_dir : a folder of options beside ``./conf``, which the run's model was chosen from

    Raises
    ------
    RequestError
        when it is no run folder.
    """
    from labrunner import records

    folder = Path(path)
    if is_sweep_folder(folder):
        raise RequestError(f"{folder} is a sweep: labrunner.load_sweep reads it; one of its runs is in {folder / '0'}")
    records.load_run(folder)
    return Run(folder, trust=trust, config_dir=None if config_dir is None else str(config_dir))


def load_sweep(path: Place, *, trust: bool = False, config_dir: Place | None = None) -> Sweep:
    """What the folder of a sweep, or of a comparison, holds; parameters and errors as those of `load_run`."""
    return Sweep(Path(path), trust=trust, config_dir=None if config_dir is None else str(config_dir))


def texts(overrides: Iterable[Overrides], key: str, folder: Place | None) -> list[str]:
    """Overrides that came one by one or in lists, and that of the folder, as they would be typed.

    Raises
    ------
    RequestError
        for what is no text, and for a folder that is given twice.
    """
    typed: list[str] = []
    for each in overrides:
        if not isinstance(each, (str, list, tuple)):
            raise RequestError(f'an override is a text, as "optim.lr=0.01", and not {each!r}')
        typed += [each] if isinstance(each, str) else each
    for text in typed:
        if not isinstance(text, str):
            raise RequestError(f'an override is a text, as "optim.lr=0.01", and not {text!r}')
    if folder is not None:
        if any(text.partition("=")[0] == key for text in typed):
            raise RequestError(f"the folder is given twice, as folder={folder} and as {key}; leave one of them out")
        typed.append(f"{key}={folder}")
    return typed
