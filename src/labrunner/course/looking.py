"""One submission, held against all that is asked for: which run is taken for what, and what speaks against it."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from labrunner.checks import Subject, evaluate
from labrunner.course import crowd
from labrunner.course import wanted as asked
from labrunner.course.evidence import copies, files, sweeps
from labrunner.course.evidence.numbers import Evaluated, evaluated
from labrunner.course.manifest import Manifest
from labrunner.course.submissions import ARCHIVE, Effect, Handed, Reason, Submission
from labrunner.course.verdicts import MOST_ALIKE, ORDER, Attempt, Graded, Student, listed, told_once
from labrunner.course.wanted import Required, Wanted
from labrunner.errors import LabrunnerError, RequestError
from labrunner.facts import Facts
from labrunner.helping import Catalogue
from labrunner.relations import RELATIONS

MISSING, VERSION, DIVERGED, UNREACHED, CHECK, SEED = (
    *("missing run", "other version", "diverged run", "not reached"),
    *("check failed", "no seed assigned"),
)
MOST_TOLD = 6  # keys in which the nearest run differs


@dataclass(frozen=True)
class Course:
    """What every submission is held against."""

    manifest: Manifest
    wanted: Sequence[Wanted]
    known: Catalogue
    code: Path | None = None
    trust: bool = False
    handed_out: Sequence[Path] = ()  # folders of runs that the lecturer gave to all

    def seed_of(self, student: str) -> int | Literal["any"] | None:
        """The seed that was assigned to a student, who may be called by more of the path than the manifest says.

        `any` of one to whom none was; None where the manifest assigns none at all.
        """
        seeds = self.manifest.seeds
        if seeds is None:
            return None
        return next((seeds[name] for name in (student, *reversed(student.split("/"))) if name in seeds), "any")

    def unseen(self, students: Collection[str]) -> list[str]:
        """Those that have a seed, and whose folder is not among the others."""
        parts = {part for student in students for part in (student, *student.split("/"))}
        return [name for name in self.manifest.seeds or {} if name not in parts]


class Looked:
    """A submission whose runs are held against all that is asked for, each evaluated once."""

    def __init__(self, course: Course, submission: Submission) -> None:
        self.course, self.submission = course, submission
        self.student = submission.student
        self._evaluated: dict[Path, Evaluated] = {}
        self._further: dict[Path, list[Reason]] = {}
        self._fits: dict[tuple[str, str, Path], bool] = {}
        self._shared: dict[Any, Any] = {}
        self._told: set[Path] = set()  # runs that cannot be read and were told of with an experiment
        for handed in submission.runs:
            files.look_at(handed, course.known, course.code, course.trust)

    def several_students(self) -> str | None:
        """What is said where this is no student's folder, but looks like one of several students'."""

        def is_whole(wanted: Wanted, runs: Sequence[Handed]) -> bool:
            asked_for = [required for required in wanted.runs if required.config is not None]
            return all(any(self._is_fit(wanted, required, each) for each in runs) for required in asked_for)

        return crowd.told(self.submission, self.course.wanted, self.course.manifest.seeds or {}, is_whole)

    def evaluate(self, shared: dict[Any, Any]) -> None:
        """Evaluate each run that may be one that is asked for; `shared` keeps samples for the whole class."""
        self._shared = shared
        for wanted in self.course.wanted:
            for required in wanted.runs:
                for handed in self._fitting(wanted, required):
                    self._evaluate(handed, required, wanted.experiment.replay)

    def traces(self) -> Iterator[copies.Trace]:
        for handed in self.submission.runs:
            if handed.config is not None:
                known = self._evaluated.get(handed.path)
                is_sound = all(reason.effect != "look" for reason in self._reasons(handed))
                yield copies.trace(self.student, handed, {} if known is None else known.weights, is_sound)

    def blame(self, handed: Handed, reason: Reason) -> None:
        """Add what is only seen beside other submissions."""
        reasons = self._further.setdefault(handed.path, [])
        if reason not in reasons:
            reasons.append(reason)

    def judge(self, student: Student) -> None:
        """Come to a verdict on each experiment."""
        fitting = {
            handed.path
            for wanted in self.course.wanted
            for required in wanted.runs
            for handed in self._fitting(wanted, required)
        }
        student.experiments = [self._graded(wanted, fitting) for wanted in self.course.wanted]
        attempts = [attempt for graded in student.experiments for attempt in graded.attempts]
        used = {each.handed.path for each in attempts if each.handed}
        is_whole = bool(attempts) and all(each.handed is not None for each in attempts)
        beside: dict[tuple[str, Effect], list[tuple[str, Reason]]] = {}
        others = [replace(each, effect="note") if each.name == ARCHIVE and is_whole else each for each in self._found()]
        for handed in self.submission.runs:
            if handed.path not in used and handed.path not in self._told:
                is_wanted = handed.config is None and not is_whole  # it may be what was asked for
                for reason in self._reasons(handed):
                    key = reason.name, _of_others(reason, is_wanted)
                    beside.setdefault(key, []).append((handed.shown, reason))
        for (name, effect), several in beside.items():
            runs = list(dict.fromkeys(run for run, _ in several))
            if len(runs) > MOST_ALIKE:
                several = [(f"{runs[0]} and {len(runs) - 1} more runs", several[0][1])]
            others += [Reason(name, f"{run}: {reason.evidence}", effect) for run, reason in several]
        student.reasons = told_once(others)

    def _found(self) -> list[Reason]:
        """What was found outside of runs."""
        return [*self.submission.reasons, *sweeps.look_at(self.submission)]

    # one experiment

    def _graded(self, wanted: Wanted, fitting: set[Path]) -> Graded:
        attempts: list[Attempt] = []
        runs = list(wanted.runs)
        graded = Graded(wanted, attempts)
        taken: set[Path] = set()
        for place in range(len(runs)):
            if runs[place].config is None:
                try:
                    runs = self._settled(wanted, attempts)
                except RequestError as error:
                    graded.reasons.append(Reason(MISSING, str(error).splitlines()[0], "failed"))
                    break
            attempts.append(self._attempt(wanted, runs[place], fitting, taken))
        if not self.submission.runs:
            for attempt in attempts:
                attempt.reasons = []
            graded.reasons = [Reason(MISSING, "no run was handed in", "failed")]
            return graded
        graded.reasons += self._expected(graded)
        if any(attempt.handed is None for attempt in attempts):
            graded.reasons += self._unread(wanted)
        _sum_up(graded)
        return graded

    def _subjects(self, wanted: Wanted, attempts: Sequence[Attempt]) -> tuple[list[Subject], list[Subject]]:
        """The runs that are done, and those that are over, diverged ones as well; without the first of a sweep."""
        done, over = {}, {}
        for place, attempt in enumerate(attempts):
            handed, values = attempt.handed, attempt.required.values
            if handed is None or handed.config is None or (wanted.swept and not values):
                continue
            try:
                facts: Mapping[str, float] = ChainMap(dict(attempt.facts), Facts(handed.run))  # type: ignore[arg-type]
            except (LabrunnerError, ValueError, KeyError, TypeError):
                continue
            subject = Subject(facts, values, handed.run)
            if handed.run.status in ("done", "diverged"):
                over[place] = subject
            if handed.run.status == "done" and attempt.facts:
                done[place] = subject
        dropped = [] if wanted.plan is None else wanted.plan.dropped
        twins = [replace(over[number], values=values) for values, number in dropped if number in over]
        return list(done.values()), [*over.values(), *twins]

    def _settled(self, wanted: Wanted, attempts: Sequence[Attempt]) -> list[Required]:
        first = attempts[0]
        if first.handed is None or not first.handed.can_be_read:
            raise RequestError("the first run, from whose facts the others take values, is missing")
        return wanted.settled(ChainMap(dict(first.facts), Facts(first.handed.run)))  # type: ignore[arg-type]

    def _attempt(self, wanted: Wanted, required: Required, fitting: set[Path], taken: set[Path]) -> Attempt:
        """The run that is taken for one that is asked for."""
        found = []
        for handed in self._fitting(wanted, required):
            self._evaluate(handed, required, wanted.experiment.replay)
            known = self._evaluated[handed.path]
            reasons = [*self._reasons(handed), *self._of_run(wanted, required, handed)]
            found.append(Attempt(required, handed, reasons, known.facts))
        if found:
            best = min(found, key=lambda each: (ORDER.index(each.verdict), not _is_named(wanted, each.handed)))
            taken.add(best.handed.path)  # type: ignore[union-attr]
            more = [each.handed.shown for each in found if each is not best and each.handed is not None]
            if more:
                fit = "fits" if len(more) == 1 else "fit"
                said = f"{best.handed.shown if best.handed else ''} is graded; {listed(more)} {fit} as well"
                best.reasons.append(Reason("several runs", said, "note"))
            return best
        return self._nearest(wanted, required, fitting | taken, taken)

    def _nearest(self, wanted: Wanted, required: Required, others: set[Path], taken: set[Path]) -> Attempt:
        """What is said where no run fits: how the run that was meant differs."""
        assert required.config is not None
        candidates: list[tuple[int, Handed, list[asked.Difference]]] = []
        for handed in self.submission.runs:
            if handed.path in others:
                continue
            is_named = _is_named(wanted, handed) or (len(self.course.wanted) == 1 and len(self.submission.runs) == 1)
            if handed.config is None:
                if is_named and wanted.plan is None:
                    candidates.append((-1, handed, []))
                continue
            is_alike = all(
                handed.config[group].get("name") == required.config[group].get("name") for group in ("model", "dataset")
            )
            if is_named or is_alike:
                differences = wanted.differences(required, handed.config, self.course.seed_of(self.student))
                candidates.append((len(differences) - 1000 * is_named, handed, differences))
        if not candidates:
            return Attempt(required, None, self._without(required))
        _, handed, differences = min(candidates, key=lambda each: each[0])
        if wanted.plan is not None and any(each.key in wanted.swept for each in differences):
            # it may be any of the sweep's runs that is missing: nobody knows which was meant
            said = f"no run with {required.label}; the nearest is {handed.shown}: {_several(differences)}"
            return Attempt(required, None, [Reason(MISSING, said, "failed")])
        taken.add(handed.path)
        reasons = list(self._reasons(handed))
        for name in dict.fromkeys(each.name for each in differences):
            told = _several([each for each in differences if each.name == name])
            where = "" if handed.shown == wanted.name else f"{handed.shown}: "
            reasons.append(Reason(name, f"{where}{told}", "failed"))
        return Attempt(required, handed, [*reasons, *self._of_run(wanted, required, handed)])

    def _without(self, required: Required) -> list[Reason]:
        """What is said where there is nothing like the run that is asked for."""
        said = f"no run with {required.label}" if required.label else "no run is made of what is asked for"
        return [Reason(MISSING, said, "failed")]

    def _unread(self, wanted: Wanted) -> Iterator[Reason]:
        """Runs that cannot be read, of which one may be what is missing; what is behind it is told once."""
        unread = [each for each in self.submission.runs if each.config is None and not self._is_anothers(wanted, each)]
        for handed in unread:
            if _is_named(wanted, handed) or len(self.course.wanted) == 1:
                self._told.add(handed.path)
                yield from (Reason(each.name, f"{handed.shown}: {each.evidence}", "look") for each in handed.reasons)
        if others := [handed.shown for handed in unread if handed.path not in self._told]:
            said = "is not read, and may be the one" if len(others) == 1 else "are not read, and may be those"
            yield Reason(files.DAMAGED, f"{listed(others)} {said}; see other files", "look")

    def _is_anothers(self, wanted: Wanted, handed: Handed) -> bool:
        """Whether a run lies in the folder of another experiment."""
        names = [each for each in self.course.wanted if _is_named(each, handed)]
        return bool(names) and wanted not in names

    def _fitting(self, wanted: Wanted, required: Required) -> list[Handed]:
        """The runs that are what is asked for; two experiments may ask for the same, and each has its own."""
        if required.config is None:
            return []
        found = [handed for handed in self.submission.runs if self._is_fit(wanted, required, handed)]
        return [handed for handed in found if not self._is_anothers(wanted, handed)] or found

    def _is_fit(self, wanted: Wanted, required: Required, handed: Handed) -> bool:
        if handed.config is None:
            return False
        key = (wanted.name, required.label, handed.path)
        if key not in self._fits:
            self._fits[key] = not wanted.differences(required, handed.config, self.course.seed_of(self.student))
        return self._fits[key]

    def _evaluate(self, handed: Handed, required: Required, replay: bool) -> None:
        assert required.config is not None
        if handed.path not in self._evaluated:
            self._evaluated[handed.path] = (
                evaluated(handed, required.config, self._shared, self.course.code, replay)
                if any(handed.path.glob("checkpoints/*.safetensors"))
                else Evaluated()
            )

    def _reasons(self, handed: Handed) -> list[Reason]:
        """All that was found of a run."""
        known = self._evaluated.get(handed.path)
        found = [*handed.reasons, *(known.reasons if known is not None else []), *self._further.get(handed.path, [])]
        return told_once(found)

    def _of_run(self, wanted: Wanted, required: Required, handed: Handed) -> Iterator[Reason]:
        """What the manifest says of every run."""
        if handed.config is None:
            return
        if self.course.manifest.labrunner is not None and "environment.json" not in handed.missing:
            yield from _version(handed, self.course.manifest.labrunner)
        if handed.run.status == "diverged":
            effect: Literal["note", "failed"] = "note" if wanted.plan is not None else "failed"
            yield Reason(DIVERGED, f"after {handed.run.epochs} epochs", effect)
        reads, resumed = (handed.run.test or {}).get("reads"), handed.run.environment.get("resumed")
        if type(reads) is int and reads > 1 + (len(resumed) if isinstance(resumed, list) else 0):
            yield Reason("test split read again", f"{reads} times (test.json)", "note")
        if self.course.seed_of(self.student) == "any" and wanted.takes_seed(required):
            yield Reason(SEED, f"the seeds of the manifest do not name {self.student}", "look")

    def _expected(self, graded: Graded) -> Iterator[Reason]:
        """Whether facts are what the manifest, which is noted, and the experiment's own checks expect."""
        wanted, attempts = graded.wanted, graded.attempts
        done, over = self._subjects(wanted, attempts)
        is_whole = all(attempt.handed is not None for attempt in attempts)
        asked_of = ((wanted.expect, done, UNREACHED), (wanted.checks if is_whole else [], over, CHECK))
        for checks, subjects, name in asked_of:
            for verdict in evaluate(checks, subjects) if subjects else ():
                if name == UNREACHED:
                    graded.measured.append(verdict)
                if not verdict.passed:
                    found = "not known" if verdict.found is None else f"{verdict.found:.6g}"
                    most = "?" if verdict.expected is None else f"{verdict.expected:.6g}"
                    recorded = "" if _is_computed(verdict.fact, attempts) else ", as the run recorded it"
                    said = f"{verdict.fact} is {found}{recorded}, expected {RELATIONS[verdict.relation]} {most}"
                    yield Reason(name, said if name == UNREACHED else f"{verdict.check}: {said}", "failed")


def _is_named(wanted: Wanted, handed: Handed | None) -> bool:
    """Whether a run lies in the folder of an experiment."""
    return handed is not None and wanted.name in Path(handed.shown).parts


def _sum_up(graded: Graded) -> None:
    """Say once which runs of a sweep are missing, where they are many."""
    attempts = graded.attempts
    missing = [each for each in attempts if each.handed is None]
    if len(missing) <= MOST_ALIKE:
        return
    named = "; ".join(each.label for each in missing[:MOST_ALIKE])
    said = f"{len(missing)} of {len(attempts)} runs: {named}; and {len(missing) - MOST_ALIKE} more"
    for attempt in missing:
        attempt.reasons = [reason for reason in attempt.reasons if reason.name != MISSING]
    graded.reasons.insert(0, Reason(MISSING, said, "failed"))


def _of_others(reason: Reason, is_wanted: bool) -> Effect:
    """Of a run that nobody asked for only a copy from somebody else is a matter; how it stands is not."""
    return "look" if reason.name == copies.COPIED or (is_wanted and reason.effect == "look") else "note"


def _is_computed(fact: str, attempts: Sequence[Attempt]) -> bool:
    """Whether a fact was computed here, and not read from the submission."""
    return any(fact.rpartition(" ")[2] in attempt.facts for attempt in attempts)


def _several(differences: Sequence[asked.Difference]) -> str:
    more = len(differences) - MOST_TOLD
    return "; ".join(map(str, differences[:MOST_TOLD])) + (f"; and {more} more keys" if more > 0 else "")


def _version(handed: Handed, specifier: str) -> Iterator[Reason]:
    from packaging.specifiers import SpecifierSet
    from packaging.version import InvalidVersion, Version

    environment = handed.run.environment
    listed = environment.get("resumed")
    resumed = [each.get("labrunner") for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    for version in dict.fromkeys(str(each) for each in (environment.get("labrunner"), *resumed)):
        try:
            fits = SpecifierSet(specifier).contains(Version(version), prereleases=True)
        except InvalidVersion:
            fits = False
        if not fits:
            yield Reason(VERSION, f"made by labrunner {version}, asked for is {specifier}", "failed")
