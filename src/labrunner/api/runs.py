"""A run in Python: the reader of its folder, its figures, its model, and what it says of other inputs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labrunner import records
from labrunner.api.pictures import Figures
from labrunner.api.session import Told, as_new, newest, session
from labrunner.machine import command_line

if TYPE_CHECKING:
    import pandas as pd

    from labrunner.api.inputs import Inputs
    from labrunner.loading import Loaded
    from labrunner.running import Result


class Run(records.Run):
    """What a run folder holds, each file read when it is first asked for; None where the run did not get that far.

    ``path status error`` say what it is; ``config choices overrides environment`` how it was made; ``rows timing`` are
    DataFrames with a row per epoch, ``chosen`` the epoch that was tested; ``test per_class confusion predictions`` what
    the test split said; ``facts checks`` and ``probe(name)`` what was measured beside. docs/run-folder.md explains all
    columns.
    """

    def __init__(self, path: Path, *, trust: bool = False, config_dir: str | None = None) -> None:
        super().__init__(path)
        self._trust, self._config_dir = trust, config_dir
        self._loaded: dict[str | None, Loaded] = {}  # by the device that was asked for

    @cached_property
    def figures(self) -> Figures:
        """Name -> figure, which shows itself in a notebook: ``run.figures["curves"]``."""
        return Figures(self.path / "figures", "run", self)

    @property
    def model(self) -> Any:
        """The network with the weights of the chosen epoch, in evaluation mode.

        A `torch.nn.Module` that maps normalized inputs (N, *shape) to scores (N, K); of models that are written in
        NumPy their own network (`labrunner.scratch`). `predict` takes inputs as they lie in a data set, and normalizes
        them itself.

        Raises
        ------
        RequestError, RunError
            as `predict`.
        """
        from labrunner.api.inputs import evaluating

        with session(progress=False) as told:
            return evaluating(self._load(told, None).learner)

    def predict(self, inputs: Inputs, *, device: str | None = None) -> pd.DataFrame:
        """What the model says of other inputs, prepared as the run's own samples were.

        Parameters
        ----------
        inputs : of a run that learned from images, paths of image files, folders and patterns, one or a list; of one
            that learned from a table, the path of a CSV, or a DataFrame with its columns. Or an array in the units of
            the run's own data set: images (N, C, H, W), grey ones (N, H, W) too, of pixels from 0 to its white; rows
            (N, D) with the features in their order.
        device : where it is computed; None where the run was

        Returns
        -------
        A row for each input: ``predicted`` (the name of a class), its ``probability``, and ``p_<class>`` of all. Rows
        of files go by their name, those of a DataFrame by its index. Files that cannot be read are left out, and warned
        of.

        Raises
        ------
        RequestError
            for inputs that the model cannot take, a run without a finished epoch, and one whose config names code that
            is not to be trusted.
        RunError
            when its weights cannot be read.
        """
        from labrunner.api.inputs import predicted

        with session(progress=False) as told, as_new():
            return predicted(self._load(told, device), inputs, told)

    def resume(self, *changes: str, epochs: int | None = None, progress: bool = True) -> Run:
        """Go on with a run that was cut, or extend a finished one, as ``labrunner resume RUN CHANGES`` does.

        Parameters
        ----------
        changes : of what a resume may change, as ``"figures=few"``
        epochs : how many it is to have in the end; None leaves it at what was asked for
        progress : as `labrunner.run` takes it

        Returns
        -------
        This run, which from here on says what its folder holds now.

        Raises
        ------
        as `labrunner.run`
        """
        from labrunner.verbs.resume import gone_on, read_changes

        typed = [*changes, *([] if epochs is None else [f"epochs={epochs}"])]
        with session(progress) as told:
            try:
                with newest([self.config]):
                    end = gone_on(
                        self.path,
                        read_changes(typed),
                        command_line(["resume", str(self.path), *typed]),
                        told.shared,
                        trust=self._trust,
                        config_dir=self._config_dir,
                        say=told.say,
                    )
            finally:
                self._forget()
            return self if end.result is None else ended(self, end.result, told)

    def _load(self, told: Told, device: str | None) -> Loaded:
        if device not in self._loaded:
            from labrunner import loading

            changes, _ = loading.changes_in([] if device is None else [f"device={device}"])
            with newest([self.config]), as_new():
                self._loaded[device] = loading.load(
                    self.path, changes, trust=self._trust, config_dir=self._config_dir, say=told.say
                )
        return self._loaded[device]

    def _forget(self) -> None:
        """What has been read: the folder holds something else now."""
        kept = ("path", "_trust", "_config_dir")
        for name in [name for name in vars(self) if name not in kept]:
            del self.__dict__[name]
        self._loaded = {}

    def _repr_html_(self) -> str:
        from labrunner.api.shown import of_run

        return of_run(self)

    def __repr__(self) -> str:
        return f"labrunner.Run({str(self.path)!r}, status={self.status!r})"


def ended(run: Run, result: Result, told: Told) -> Run:
    """A run that came to its end, with a warning where that is not a good one."""
    if result.status == "diverged":
        told.warn(f"the run diverged: {result.error}; what it got to is in {result.folder}")
        return run
    config: Mapping[str, Any] = run.config
    failed = [verdict.check for verdict in result.verdicts if not verdict.passed]
    if config.get("strict") and not config.get("smoke") and failed:
        told.warn(f"{len(failed)} of {len(result.verdicts)} checks failed: {', '.join(failed)}")
    return run
