"""From submissions and a manifest to verdicts, each with its reasons."""

from __future__ import annotations

import time
from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from labrunner.checks import Subject, evaluate
from labrunner.course import wanted as asked
from labrunner.course.evidence import copies, files
from labrunner.course.evidence.numbers import Evaluated, evaluated
from labrunner.course.manifest import Manifest
from labrunner.course.submissions import Handed, Reason, Submission, found_in
from labrunner.course.wanted import Required, Wanted
from labrunner.errors import LabrunnerError, RequestError
from labrunner.facts import Facts
from labrunner.helping import Catalogue
from labrunner.relations import RELATIONS

Verdict = Literal["passed", "failed", "look"]
ORDER: tuple[Verdict, ...] = ("passed", "look", "failed")  # of several runs of one experiment, which counts
MISSING, VERSION, DIVERGED, UNREACHED, CHECK, SEED = (
    *("missing run", "other version", "diverged run", "not reached"),
    *("check failed", "no seed assigned"),
)
TOLD = ("test_accuracy", "test_loss", "test_f1", "test_auroc", "test_n", "val_accuracy")  # columns of the class table
MOST_ALIKE = 3  # runs of a sweep of which a reason is told one by one
MOST_TOLD = 6  # keys in which the nearest run differs


@dataclass
class Attempt:
    """A run that was taken for one that is asked for; without one it is missing."""

    required: Required
    handed: Handed | None
    reasons: list[Reason] = field(default_factory=list)
    facts: Mapping[str, float] = field(default_factory=dict)

    @property
    def label(self) -> str:
        return self.required.label

    @property
    def verdict(self) -> Verdict:
        return verdict_of(self.reasons)


@dataclass
class Graded:
    """One experiment of one student."""

    wanted: Wanted
    attempts: list[Attempt]
    reasons: list[Reason] = field(default_factory=list)  # about all its runs together

    @property
    def all_reasons(self) -> list[tuple[str, Reason]]:
        """(which run, as far as there are several; reason); what many runs have in common stands once."""
        found = [("", reason) for reason in self.reasons]
        alike: dict[tuple[str, str], list[tuple[str, Reason]]] = {}
        for attempt in self.attempts:
            for reason in attempt.reasons:
                alike.setdefault((reason.name, reason.effect), []).append((attempt.label, reason))
        for several in alike.values():
            labels = list(dict.fromkeys(label for label, _ in several))
            if len(labels) <= MOST_ALIKE:
                found += several
            else:
                found.append((f"{labels[0]} and {len(labels) - 1} more runs", several[0][1]))
        return found

    @property
    def verdict(self) -> Verdict:
        return verdict_of([reason for _, reason in self.all_reasons])

    @property
    def points(self) -> float | None:
        """None where the manifest gives none, and where the lecturer has to look first."""
        most = self.wanted.experiment.points
        if most is None or self.verdict == "look":
            return None
        return most if self.verdict == "passed" else 0.0


@dataclass
class Student:
    """All of one student."""

    name: str
    path: Path
    experiments: list[Graded] = field(default_factory=list)
    reasons: list[Reason] = field(default_factory=list)  # about what no experiment asks for
    runs: int = 0
    seconds: float = 0.0
    trouble: str | None = None  # why nothing could be graded

    @property
    def points(self) -> float | None:
        """The sum so far; None where the manifest gives none."""
        known = [graded.points for graded in self.experiments if graded.wanted.experiment.points is not None]
        return sum(points for points in known if points is not None) if known else None

    @property
    def points_told(self) -> str:
        """The sum in words: ``4 + ?`` where the lecturer has to look before it is known."""
        if self.points is None:
            return "–"
        waits = any(each.verdict == "look" and each.wanted.experiment.points is not None for each in self.experiments)
        return f"{self.points:g}{' + ?' if waits else ''}"

    @property
    def verdict(self) -> Verdict:
        found = {graded.verdict for graded in self.experiments}
        if self.trouble is not None or "look" in found or verdict_of(self.reasons) == "look":
            return "look"
        return "failed" if "failed" in found else "passed"


def verdict_of(reasons: Sequence[Reason]) -> Verdict:
    """What reasons come to: contradictions are for a person to judge, whatever else there is."""
    effects = {reason.effect for reason in reasons}
    return "look" if "look" in effects else "failed" if "failed" in effects else "passed"


@dataclass(frozen=True)
class Course:
    """What every submission is held against."""

    manifest: Manifest
    wanted: Sequence[Wanted]
    known: Catalogue
    code: Path | None = None
    trust: bool = False

    def seed_of(self, student: str) -> int | None:
        return None if self.manifest.seeds is None else self.manifest.seeds.get(student)


def grade(course: Course, folders: Mapping[Path, str], say: Callable[[str], None]) -> list[Student]:
    """Grade the submissions in some folders, each under its student's name.

    All are looked at before any is judged, since a copied run is one that two have. One that cannot be read is told of
    and does not stop the others. `say` is told how each came out.
    """
    students: list[Student] = []
    traces: list[copies.Trace] = []
    looks: dict[str, Looked] = {}
    shared: dict[Any, Any] = {}
    for folder, name in folders.items():
        begin = time.perf_counter()
        student = Student(name, folder)
        students.append(student)
        try:
            submission = found_in(folder, name)
            looked = looks[name] = Looked(course, submission, shared)
            traces += looked.traces()
            student.runs = len(submission.runs)
        except LabrunnerError as error:
            student.trouble = str(error).splitlines()[0]
        except Exception as error:  # a stranger's files may be anything, and the others are to be graded
            student.trouble = f"{type(error).__name__}: {error}".splitlines()[0]
        student.seconds = time.perf_counter() - begin
        said = student.trouble or f"{student.runs} run{'' if student.runs == 1 else 's'} looked at"
        say(f"{name}: {said}, {student.seconds:.1f} s")
    for found, reason in copies.copied(traces):
        looks[found.student].blame(found.handed, reason)
    for student in students:
        if student.trouble is None:
            looks[student.name].judge(student)
    return students


class Looked:
    """A submission whose runs are held against all that is asked for, each evaluated once."""

    def __init__(self, course: Course, submission: Submission, shared: dict[Any, Any]) -> None:
        self.course, self.submission, self.shared = course, submission, shared
        self.student = submission.student
        self._evaluated: dict[Path, Evaluated] = {}
        self._further: dict[Path, list[Reason]] = {}
        self._fits: dict[tuple[str, str, Path], bool] = {}
        for handed in submission.runs:
            files.look_at(handed, course.known, course.code, course.trust)
        for wanted in course.wanted:
            for required in wanted.runs:
                for handed in self._fitting(wanted, required):
                    self._evaluate(handed, required, wanted.experiment.replay)

    def traces(self) -> Iterator[copies.Trace]:
        for handed in self.submission.runs:
            if handed.config is not None:
                known = self._evaluated.get(handed.path)
                yield copies.trace(self.student, handed, {} if known is None else known.weights)

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
        used = {each.handed.path for graded in student.experiments for each in graded.attempts if each.handed}
        student.reasons += self.submission.reasons
        for handed in self.submission.runs:
            is_told = handed.config is None and any(
                attempt.handed is None for graded in student.experiments for attempt in graded.attempts
            )
            if handed.path not in used and not is_told:
                student.reasons += [
                    Reason(reason.name, f"{handed.shown}: {reason.evidence}", _of_others(reason))
                    for reason in self._reasons(handed)
                ]

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
        graded.reasons += self._expected(wanted, attempts)
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
            reasons = [*self._reasons(handed), *self._of_run(wanted, handed)]
            found.append(Attempt(required, handed, reasons, known.facts))
        if found:
            best = min(found, key=lambda each: ORDER.index(each.verdict))
            taken.add(best.handed.path)  # type: ignore[union-attr]
            more = [each.handed.shown for each in found if each is not best and each.handed is not None]
            if more:
                said = f"{best.handed.shown if best.handed else ''} is graded; {', '.join(more)} fit as well"
                best.reasons.append(Reason("several runs", said, "note"))
            return best
        return self._nearest(wanted, required, fitting | taken, taken)

    def _nearest(self, wanted: Wanted, required: Required, others: set[Path], taken: set[Path]) -> Attempt:
        """What is said where no run fits: how the run that was meant differs."""
        assert required.config is not None
        seed = self.course.seed_of(self.student)
        candidates: list[tuple[int, Handed, list[asked.Difference]]] = []
        for handed in self.submission.runs:
            if handed.path in others:
                continue
            parts = Path(handed.shown).parts
            is_named = wanted.name in parts or (len(self.course.wanted) == 1 and len(self.submission.runs) == 1)
            if handed.config is None:
                if is_named and wanted.plan is None:
                    candidates.append((-1, handed, []))
                continue
            is_alike = all(
                handed.config[group].get("name") == required.config[group].get("name") for group in ("model", "dataset")
            )
            if is_named or is_alike:
                differences = wanted.differences(required, handed.config, seed)
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
            reasons.append(Reason(name, f"{handed.shown}: {told}", "failed"))
        return Attempt(required, handed, [*reasons, *self._of_run(wanted, handed)])

    def _without(self, required: Required) -> list[Reason]:
        """What is said where there is nothing like the run that is asked for: it may be one that cannot be read."""
        said = f"no run with {required.label}" if required.label else "no run is made of what is asked for"
        unread = [
            Reason(reason.name, f"{handed.shown}: {reason.evidence}", "look")
            for handed in self.submission.runs
            if handed.config is None
            for reason in handed.reasons
        ]
        return [Reason(MISSING, said, "failed"), *unread]

    def _fitting(self, wanted: Wanted, required: Required) -> list[Handed]:
        if required.config is None:
            return []
        found = [handed for handed in self.submission.runs if self._is_fit(wanted, required, handed)]
        named = [handed for handed in found if wanted.name in Path(handed.shown).parts]
        return named or found  # two experiments may ask for the same run

    def _is_fit(self, wanted: Wanted, required: Required, handed: Handed) -> bool:
        if handed.config is None:
            return False
        key = (wanted.name, required.label, handed.path)
        if key not in self._fits:
            seed = self.course.seed_of(self.student)
            self._fits[key] = not wanted.differences(required, handed.config, seed)
        return self._fits[key]

    def _evaluate(self, handed: Handed, required: Required, replay: bool) -> None:
        assert required.config is not None
        if handed.path not in self._evaluated:
            self._evaluated[handed.path] = (
                evaluated(handed, required.config, self.shared, self.course.code, replay)
                if any(handed.path.glob("checkpoints/*.safetensors"))
                else Evaluated()
            )

    def _reasons(self, handed: Handed) -> list[Reason]:
        """All that was found of a run, each once."""
        known = self._evaluated.get(handed.path)
        found = [*handed.reasons, *(known.reasons if known is not None else []), *self._further.get(handed.path, [])]
        return list(dict.fromkeys(found))

    def _of_run(self, wanted: Wanted, handed: Handed) -> Iterator[Reason]:
        """What the manifest says of every run."""
        if handed.config is None:
            return
        if self.course.manifest.labrunner is not None:
            yield from _version(handed, self.course.manifest.labrunner)
        if handed.run.status == "diverged":
            effect: Literal["note", "failed"] = "note" if wanted.plan is not None else "failed"
            yield Reason(DIVERGED, f"after {handed.run.epochs} epochs", effect)
        reads, resumed = (handed.run.test or {}).get("reads"), handed.run.environment.get("resumed")
        if type(reads) is int and reads > 1 + (len(resumed) if isinstance(resumed, list) else 0):
            yield Reason("test split read again", f"{reads} times (test.json)", "note")
        if self.course.manifest.seeds is not None and self.course.seed_of(self.student) is None:
            yield Reason(SEED, f"the seeds of the manifest do not name {self.student}", "look")

    def _expected(self, wanted: Wanted, attempts: Sequence[Attempt]) -> Iterator[Reason]:
        """Whether facts are what the manifest, and the experiment's own checks, expect of them."""
        done, over = self._subjects(wanted, attempts)
        is_whole = all(attempt.handed is not None for attempt in attempts)
        asked_of = ((wanted.expect, done, UNREACHED), (wanted.checks if is_whole else [], over, CHECK))
        for checks, subjects, name in asked_of:
            for verdict in evaluate(checks, subjects) if subjects else ():
                if not verdict.passed:
                    found = "not known" if verdict.found is None else f"{verdict.found:.6g}"
                    most = "?" if verdict.expected is None else f"{verdict.expected:.6g}"
                    recorded = "" if _is_computed(verdict.fact, attempts) else ", as the run recorded it"
                    said = f"{verdict.fact} is {found}{recorded}, expected {RELATIONS[verdict.relation]} {most}"
                    yield Reason(name, said if name == UNREACHED else f"{verdict.check}: {said}", "failed")


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


def _of_others(reason: Reason) -> Literal["look", "note"]:
    """Of a run that nobody asked for only a copy from somebody else is a matter; how it stands is not."""
    return "look" if reason.name == copies.COPIED else "note"


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
