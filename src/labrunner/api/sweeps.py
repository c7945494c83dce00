"""A sweep in Python: its table, its runs, its figures."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labrunner import comparison, records
from labrunner.api.pictures import Figures
from labrunner.api.runs import Run
from labrunner.api.session import Told, newest, session
from labrunner.errors import RequestError
from labrunner.machine import command_line
from labrunner.records.names import odd

if TYPE_CHECKING:
    import pandas as pd

    from labrunner.compose import SweepPlan


class Sweep:
    """What the folder of a sweep, or of a comparison, holds.

    ``path`` is its folder, ``keys`` the swept keys. docs/sweeps.md explains the files, and how runs are compared.
    """

    def __init__(self, path: Path, *, trust: bool = False, config_dir: str | None = None) -> None:
        self.path = path
        self._trust, self._config_dir = trust, config_dir
        _ = self.recorded  # what is none is refused

    @cached_property
    def recorded(self) -> records.Sweep:
        """The list of its runs, as the folder has it."""
        return records.load_sweep(self.path)

    @property
    def keys(self) -> list[str]:
        return self.recorded.keys

    @cached_property
    def table(self) -> pd.DataFrame:
        """A row per run, best first: number, status, swept keys, validation and test metrics, seconds."""
        return self._frame(comparison.table(self.recorded), comparison.columns(self.recorded))

    @cached_property
    def folded(self) -> pd.DataFrame:
        """The table with ``seed`` folded away: for each combination of the other keys the number of runs ``n``, and of
        each metric the mean and, as ``<metric>_sd``, the sample standard deviation."""
        rows = comparison.folded(comparison.table(self.recorded.without_first), self.keys)
        return self._frame(rows, list(rows[0]) if rows else ["n"])

    @cached_property
    def runs(self) -> dict[int, Run]:
        """Number -> run, of those that have begun, by number."""
        found = {}
        for member, _ in self.recorded.runs:
            records.load_run(member.path)  # what cannot be read is refused
            found[member.number] = Run(member.path, trust=self._trust, config_dir=self._config_dir)
        return found

    @property
    def best(self) -> Run | None:
        """The run that is best by the monitored metric at its chosen epoch; None where none is done, or where their
        numbers are of other samples or of losses of different kinds."""
        found = comparison.best_of(self.recorded, comparison.table(self.recorded))
        return None if found is None else self.runs[found[0].number]

    @cached_property
    def figures(self) -> Figures:
        """Name -> figure, which shows itself in a notebook: ``sweep.figures["validation"]``."""
        return Figures(self.path / "figures", "sweep", self.recorded.without_first)

    @property
    def verdict(self) -> pd.DataFrame | None:
        """verdict.csv: what can be said of the runs' differences; None where the folder has none."""
        return self._csv("verdict.csv")

    @property
    def checks(self) -> pd.DataFrame | None:
        """checks.csv: expected relations between the runs, and what was found."""
        return self._csv("checks.csv")

    def resume(self, *changes: str, jobs: int | None = None, progress: bool = True) -> Sweep:
        """Make the runs that are missing, failed or cut, as ``labrunner resume SWEEP CHANGES`` does.

        Parameters
        ----------
        changes : of how it is made, as ``"figures=few"``
        jobs, progress : as `labrunner.sweep` takes them

        Returns
        -------
        This sweep, which from here on says what its folder holds now.

        Raises
        ------
        as `labrunner.sweep`
        """
        from labrunner.verbs.resume import planned_again, vet_saved

        typed = [*changes, *([] if jobs is None else [f"jobs={jobs}"])]
        with session(progress) as told:
            plan = planned_again(self.path, typed, self._config_dir)
            command = command_line(["resume", str(self.path), *typed])
            try:
                swept(plan, self.path, command, told, self._config_dir, vet_saved(self._trust))
            finally:
                self._forget()
        return self

    def _csv(self, name: str) -> pd.DataFrame | None:
        if (said := odd(self.path / name)) is not None:
            raise RequestError(f"{self.path}: {said}")
        return records.Run(self.path)._table(name)

    @staticmethod
    def _frame(rows: list[dict[str, Any]], columns: list[str]) -> pd.DataFrame:
        import pandas as pd

        return pd.DataFrame([[row[name] for name in columns] for row in rows], columns=columns)

    def _forget(self) -> None:
        """What has been read: the folder holds something else now."""
        for name in ("recorded", "table", "folded", "runs", "figures"):
            self.__dict__.pop(name, None)

    def _repr_html_(self) -> str:
        from labrunner.api.shown import of_sweep

        return of_sweep(self)

    def __repr__(self) -> str:
        return f"labrunner.Sweep({str(self.path)!r}, {len(self.recorded.members)} runs)"


def swept(
    plan: SweepPlan,
    folder: Path,
    command: str,
    told: Told,
    config_dir: str | None,
    vet: Callable[[dict[str, Any]], None] = lambda config: None,
) -> Sweep:
    """Carry out what is missing of a sweep, and warn of what did not end well."""
    from labrunner.verbs.sweeps import flags, made

    with newest(run.composed.config for run in plan.runs if run.composed is not None):
        result = made(plan, folder, command, told.shared, flags(config_dir), vet)
    sweep = Sweep(folder, config_dir=config_dir)
    values = {member.number: comparison.values_text(member.values) for member in result.sweep.members}
    for number, cause in sorted(result.failures.items()):
        told.warn(f"run {number} ({values[number]}) failed: {cause.splitlines()[0]}")
    diverged = [member.number for member in result.sweep.members if member.status == "diverged"]
    if diverged:
        which = f"run {diverged[0]}" if len(diverged) == 1 else f"runs {', '.join(map(str, diverged))}"
        told.warn(f"{which} diverged: {'; '.join(values[number] for number in diverged)}")
    return sweep
