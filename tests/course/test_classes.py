"""What is graded beside the runs that are asked for: folders that are no student's, archives, what was handed out."""

from __future__ import annotations

import csv
import io
import shutil
from pathlib import Path

import pytest

from labrunner.cli import main
from labrunner.course import submissions
from labrunner.course.table import csv_of
from labrunner.errors import RequestError
from labrunner.records.sealing import sealed
from tests.cli.lab import Lab
from tests.course import handed
from tests.course.handed import anew, copy, with_config, with_csv, with_json
from tests.course.test_sweeps import grade, reasons

ONE = "  - {name: one, overrides: [model=softmax, dataset=iris, epochs=1], points: 2}\n"
TWO = "  - {name: two, overrides: [model=softmax, dataset=iris, epochs=2], points: 3}\n"
SWEPT = """\
  - name: rates
    overrides: [model=softmax, dataset=iris, epochs=1]
    sweep: {optim.lr: [0.01, 0.1]}
    points: 3
"""
MANIFEST = f"title: Lab\nexperiments:\n{ONE}"


@pytest.fixture(scope="module")
def base(hall: Path) -> dict[str, Path]:
    """A run of each experiment."""
    made = {}
    for name, epochs in (("one", 1), ("two", 2)):
        made[name] = hall / "base" / name
        run = (f"hydra.run.dir={made[name]}", "figures=none", "model=softmax", "dataset=iris", f"epochs={epochs}")
        assert main(run) == 0
    made["rates"] = hall / "base" / "rates"
    swept = ("model=softmax", "dataset=iris", "epochs=1", "optim.lr=0.01,0.1")
    assert main(["-m", f"hydra.sweep.dir={made['rates']}", "figures=none", *swept]) == 0
    return made


@pytest.fixture
def place(hall: Path, request: pytest.FixtureRequest) -> Path:
    """A folder of the test's own, with the submissions in `in`."""
    folder = hall / request.node.name.replace("[", "-").replace("]", "")[-80:]
    (folder / "in").mkdir(parents=True)
    return folder / "in"


def told(student) -> list[tuple[str, str, str]]:
    """(name, evidence, effect) of what belongs to no experiment."""
    return [(each.name, each.evidence, each.effect) for each in student.reasons]


NUMBERS = iter(range(1, 1000))


def handed_in(original: Path, to: Path) -> Path:
    """A run, or the runs of a sweep, as somebody else made it."""
    copy(original, to)
    for run in [to] if (to / "config.yaml").is_file() else sorted(to.glob("[0-9]")):
        anew(run, next(NUMBERS))
    return to


# a folder of several students


def test_a_class_that_is_given_as_one_student_is_refused_and_the_right_words_are_named(base, place):
    for name in ("anna", "ben", "cleo"):
        handed_in(base["one"], place / "all" / name / "run")
    with pytest.raises(RequestError, match="looks like a class: anna, ben, cleo each hold all that one") as refused:
        grade(MANIFEST, place)
    assert "did you mean " in str(refused.value)
    assert "/all/*?" in str(refused.value)


def test_among_other_folders_a_class_is_to_be_looked_at_and_stops_nobody_else(base, place):
    for name in ("group/anna/run", "group/ben/run", "cleo/run"):
        handed_in(base["one"], place / name)
    students = grade(MANIFEST, place)
    assert [name for name, _, effect in told(students["group"]) if effect == "look"] == ["several students"]
    assert (students["group"].verdict, students["cleo"].verdict) == ("look", "passed")


HONEST = {
    "by lab": ("lab1/run:one", "lab1/again:one", "lab1/rates:rates"),
    "as labrunner lays it out": ("outputs/runs/a:one", "outputs/runs/b:one", "outputs/sweeps/c:rates"),
    "by experiment": ("one/first/run:one", "rates/run:one", "rates/sweep:rates"),
    "tries beside each other": ("first:one", "second:one", "third:rates"),
    "two labs": ("lab1/run:two", "lab2/run:one", "lab2/rates:rates"),
}


@pytest.mark.parametrize("kind", HONEST)
def test_a_student_whose_folder_has_folders_is_one_student(base, place, kind):
    for each in HONEST[kind]:
        where, _, what = each.partition(":")
        handed_in(base[what], place / "anna" / where)
    student = grade(f"{MANIFEST}{SWEPT}", place)["anna"]
    assert (student.verdict, student.points) == ("passed", 5.0), [told(student), student.experiments]


def test_two_students_of_the_manifest_are_a_class_whatever_they_hold(base, place):
    handed_in(base["two"], place / "all" / "anna" / "run")
    handed_in(base["one"], place / "all" / "ben" / "run")
    with pytest.raises(RequestError, match="anna, ben hold runs, and are students of the manifest"):
        grade(f"title: Lab\nseeds: {{anna: 0, ben: 0}}\nexperiments:\n{ONE}", place)


# names


@pytest.mark.parametrize(
    ("folders", "known", "expected"),
    [
        (("in/anna", "in/ben"), (), ("anna", "ben")),
        (("in/anna/lab1", "in/ben/lab1"), (), ("anna", "ben")),
        (("in/anna/lab1/out", "in/ben/lab1/out"), (), ("anna", "ben")),
        (("mon/anna/lab1", "fri/anna/lab1", "fri/ben/lab1"), (), ("mon/anna", "fri/anna", "ben")),
        (("in/anna/lab1",), (), ("lab1",)),
        (("in/anna/lab1",), ("anna", "ben"), ("anna",)),
        (("in/anna/lab1",), ("lab1", "anna"), ("lab1",)),
    ],
)
def test_a_student_is_called_by_the_part_of_the_path_that_differs(tmp_path, folders, known, expected):
    paths = [tmp_path / folder for folder in folders]
    assert tuple(submissions.named(paths, known).values()) == expected


# archives and what was handed out


def test_an_archive_is_to_be_looked_at_where_a_run_is_missing_and_no_matter_where_none_is(base, place):
    for name in ("anna", "ben"):
        (place / name).mkdir()
        (place / name / "Lab1.ZIP").write_bytes(b"PK")
    (place / "ben" / "data").mkdir()
    (place / "ben" / "data" / "cifar.tar.gz").write_bytes(b"\x1f\x8b")
    handed_in(base["one"], place / "ben" / "run")
    students = grade(MANIFEST, place)
    said = "Lab1.ZIP is an archive; unpack it, and grade again"
    assert told(students["anna"]) == [("archive", said, "look")]
    assert told(students["ben"]) == [("archive", said, "note")]
    assert (students["anna"].points_told, students["ben"].points_told) == ("0 + ?", "2")


def test_other_files_that_are_to_be_looked_at_hold_back_the_points_of_the_row_and_stand_in_the_table(base, place):
    handed_in(base["one"], place / "anna" / "run")
    (place / "anna" / "away").symlink_to(base["two"])
    handed_in(base["one"], place / "ben" / "run")
    copy(base["two"], place / "anna" / "tried")
    copy(base["two"], place / "ben" / "tried")
    students = grade(MANIFEST, place)
    assert [name for name, _, effect in told(students["anna"]) if effect == "look"] == ["copied run", "not a run's"]
    for student in students.values():
        assert (student.verdict, student.points_told) == ("look", "2 + ?")
        assert student.experiments[0].verdict == "passed"
    rows = list(csv.DictReader(io.StringIO(csv_of(list(students.values())))))
    assert [(row["experiment"], row["verdict"]) for row in rows[:2]] == [("one", "passed"), ("(other files)", "look")]


def test_a_run_that_all_were_given_is_nobodys_copy_and_nobodys_work(base, place):
    given = copy(base["two"], place.parent / "example")
    for name in ("anna", "ben"):
        handed_in(base["one"], place / name / "run")
        copy(given, place / name / "example")
    text = f"title: Lab\nhanded_out: [example]\nexperiments:\n{ONE}"
    students = grade(text, place)
    for student in students.values():
        assert (student.verdict, student.points_told) == ("passed", "2")
        assert [(name, effect) for name, _, effect in told(student)] == [("handed-out run", "note")]
    asked = grade(text + TWO, place)["anna"].experiments[1]
    ((_, reason),) = asked.all_reasons
    assert (asked.verdict, reason.name) == ("look", "handed-out run")
    assert "it is example of what was handed out: 2 of 2 rows of timing.csv" in reason.evidence


# which run is taken, and what is said of it


def test_of_two_runs_that_fit_the_one_that_passes_is_taken_though_the_other_has_the_experiments_name(base, place):
    spoilt = handed_in(base["one"], place / "anna" / "one")
    with_json(spoilt / "test.json", accuracy=0.999)
    handed_in(base["one"], place / "anna" / "again")
    student = grade(MANIFEST, place)["anna"]
    assert student.experiments[0].attempts[0].handed.shown == "again"
    assert [each[1:] for each in reasons(student)] == [("several runs", "again is graded; one fits as well", "note")]
    assert (student.verdict, student.points) == ("passed", 2.0)


def test_a_run_in_the_folder_of_another_experiment_is_left_to_that_one(base, place):
    good = handed_in(base["one"], place / "anna" / "one")
    spoilt = handed_in(base["one"], place / "anna" / "other")
    with_json(spoilt / "test.json", accuracy=0.999)
    student = grade(f"{MANIFEST}{ONE.replace('name: one', 'name: other')}", place)["anna"]
    assert [each.attempts[0].handed.path for each in student.experiments] == [good, spoilt]
    assert [each.verdict for each in student.experiments] == ["passed", "look"]


def test_files_whose_line_ends_git_has_changed_are_told_together_and_are_no_matter(base, place):
    run = handed_in(base["one"], place / "anna" / "run")
    texts = [path for path in sealed(run) if path.suffix in (".csv", ".yaml", ".json", ".txt")]
    for path in texts:
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    student = grade(MANIFEST, place)["anna"]
    ((_, name, said, effect),) = reasons(student)
    assert (name, effect, student.verdict) == ("other line ends", "note", "passed")
    assert said.startswith(f"{len(texts)} files (")
    with_csv(run / "metrics.csv", lambda row: {**row, "train_loss": "0.01"})
    found = reasons(grade(MANIFEST, place)["anna"])
    assert found[0][1:3] == ("edited file", "metrics.csv is not what the run wrote (checksums.json)")


@pytest.mark.parametrize(
    ("name", "so"),
    [
        ("environment.json", "the version, and the samples that it was made with, cannot be checked"),
        ("status.json", "whether it came to its end cannot be checked"),
        ("predictions.csv", "its numbers of the test split cannot be held against what it predicted"),
        ("initial.json", "where it began cannot be checked"),
        ("metrics.csv", "nothing of the run can be checked"),
        ("config.yaml", "nothing of the run can be checked"),
    ],
)
def test_a_file_that_is_missing_is_told_once_with_what_cannot_be_seen_without_it(base, place, name, so):
    (handed_in(base["one"], place / "anna" / "run") / name).unlink()
    student = grade(f'{MANIFEST}labrunner: ">=0.1"\n', place)["anna"]
    assert [each[1:] for each in reasons(student)] == [
        ("missing file", f"{name} is not there, so that {so}", "look"),
    ]


def test_files_that_are_missing_with_their_checksums_are_told_as_missing_and_as_nothing_else(base, place):
    run = handed_in(base["one"], place / "anna" / "run")
    gone = ("checksums.json", "test.json", "per_class.csv", "confusion.csv", "predictions.csv")
    for name in gone:
        (run / name).unlink()
    found = reasons(grade(MANIFEST, place)["anna"])
    assert found[0][1:3] == ("edited file", "checksums.json is not there, which a run writes at its end")
    assert {said.partition(" is not there")[0] for _, name, said, _ in found[1:] if name == "missing file"} == {
        *gone[1:]
    }
    assert len(found) == len({each[2] for each in found})
    assert {each[1] for each in found[1:]} == {"missing file"}


def test_each_reason_is_told_once_and_the_heaviest_first(base, place):
    mine = copy(base["one"], place / "anna" / "one")
    handed.by_process(mine, 1)
    with_config(mine, lambda config: config.update(seed=5))
    theirs = copy(base["one"], place / "ben" / "one")
    handed.by_process(theirs, 2)
    text = MANIFEST.replace("points: 2", "points: 2, allowed: {seed: any}")
    students = grade(text, place)
    found = reasons(students["anna"])
    assert [name for _, name, _, _ in found] == ["copied run", "other start", "edited file"]
    assert len(set(found)) == len(found)
    assert found[0][2].endswith("this run contradicts itself; that of ben does not")
    assert reasons(students["ben"])[0][2].endswith("nothing in this run contradicts itself; that of anna does")


def test_who_has_the_same_run_is_told_together(base, place):
    for number, name in enumerate(("anna", "ben", "cleo", "dora")):
        handed.by_process(copy(base["one"], place / name / "one"), number)
    ((_, _, said, _),) = reasons(grade(MANIFEST, place)["anna"])
    assert said.startswith("the same run as ben: one, cleo: one, dora: one: 1 of 1 rows of timing.csv are equal")


def test_what_is_said_of_many_runs_that_nobody_asked_for_is_told_once(base, place):
    handed_in(base["one"], place / "anna" / "one")
    for number in range(5):
        spoilt = handed_in(base["two"], place / "anna" / f"try{number}")
        with_json(spoilt / "test.json", accuracy=0.9 + number / 100)
    ((name, said, effect),) = told(grade(MANIFEST, place)["anna"])
    assert (name, effect) == ("edited file", "note")
    assert said.startswith("try0 and 4 more runs: ")


def test_what_a_run_differs_in_is_told_without_the_experiments_name_twice(base, place):
    handed_in(base["two"], place / "anna" / "one")
    assert [each[2] for each in reasons(grade(MANIFEST, place)["anna"])] == ["epochs is 2, asked for is 1"]


def test_a_run_that_cannot_be_read_is_told_with_the_experiment_whose_name_it_has_alone(base, place):
    damaged = handed_in(base["one"], place / "anna" / "one")
    (damaged / "config.yaml").write_text("{")
    handed_in(base["rates"], place / "anna" / "sweep")
    shutil.rmtree(place / "anna" / "sweep" / "1")
    student = grade(f"{MANIFEST}{SWEPT}", place)["anna"]
    one, rates = student.experiments
    assert [(reason.name, reason.effect) for _, reason in one.all_reasons] == [("damaged file", "look")]
    assert [(reason.name, reason.effect) for _, reason in rates.all_reasons] == [("missing run", "failed")]
    (place / "anna" / "one").rename(place / "anna" / "somewhere")
    student = grade(f"{MANIFEST}{SWEPT}", place)["anna"]
    assert [each.verdict for each in student.experiments] == ["look", "look"]
    assert [name for name, _, effect in told(student) if effect == "look"] == ["damaged file"]
    for graded in student.experiments:
        assert any("somewhere is not read, and may be the one" in reason.evidence for _, reason in graded.all_reasons)


def test_a_config_that_asks_for_code_is_said_to_do_so(base, place):
    run = handed_in(base["one"], place / "anna" / "run")
    (run / "config.yaml").write_text("seed: !!python/object/apply:os.system [touch mark]\n")
    ((_, name, said, effect),) = [each for each in reasons(grade(MANIFEST, place)["anna"]) if each[3] == "look"]
    assert (name, effect) == ("foreign code", "look")
    assert said.endswith(
        "config.yaml asks for code to be executed (!!python/object/apply:os.system), which is not done"
    )
    assert not Path("mark").exists()


# a sweep's tables


def test_numbers_of_a_sweeps_table_that_its_runs_do_not_have_are_named(base, place):
    sweep = handed_in(base["rates"], place / "anna" / "sweep")
    assert told(grade(f"title: Lab\nexperiments:\n{SWEPT}", place)["anna"]) == []
    with_csv(sweep / "sweep.csv", lambda row: {**row, "test_accuracy": "0.99"})
    student = grade(f"title: Lab\nexperiments:\n{SWEPT}", place)["anna"]
    ((name, said, effect),) = told(student)
    assert (name, effect, student.points_told) == ("edited file", "look", "3 + ?")
    assert "sweep/sweep.csv says test_accuracy of run" in said
    assert "is 0.99, its folder 0." in said


def test_a_verdict_that_the_runs_do_not_give_is_a_note(base, place):
    sweep = handed_in(base["rates"], place / "anna" / "sweep")
    table = next(path for name in ("mcnemar.csv", "verdict.csv") if (path := sweep / name).is_file())
    with_csv(table, lambda row: {**row, "p": "0.0001"})
    ((name, said, effect),) = told(grade(f"title: Lab\nexperiments:\n{SWEPT}", place)["anna"])
    assert (name, effect) == ("edited file", "note")
    assert f"sweep/{table.name} is not what its runs give: p is 0.0001, by the runs" in said


def test_a_sweep_yaml_that_names_runs_elsewhere_leads_nowhere(base, place):
    sweep = handed_in(base["rates"], place / "anna" / "sweep")
    path = sweep / "sweep.yaml"
    path.write_text(path.read_text().replace("folder: '1'", f"folder: {base['two']}"))
    assert str(base["two"]) in path.read_text()
    assert told(grade(f"title: Lab\nexperiments:\n{SWEPT}", place)["anna"]) == []


# seeds


def test_a_seed_that_was_assigned_has_no_part_in_what_says_its_own(base, place):
    handed_in(base["one"], place / "anna" / "one")
    handed_in(base["two"], place / "anna" / "two")
    handed_in(base["two"], place / "anna" / "three")
    fixed = ONE.replace("epochs=1", "epochs=1, seed=0")
    free = TWO.replace("points: 3", "points: 3, allowed: {seed: [0, 1]}")
    taken = TWO.replace("two", "three")
    student = grade(f"title: Lab\nseeds: {{ben: 7}}\nexperiments:\n{fixed}{free}{taken}", place)["anna"]
    assert [each.verdict for each in student.experiments] == ["passed", "passed", "look"]
    assert [reason.name for _, reason in student.experiments[2].all_reasons] == ["no seed assigned"]
    student = grade(f"title: Lab\nseeds: {{anna: 7}}\nexperiments:\n{fixed}{free}{taken}", place)["anna"]
    assert [each.verdict for each in student.experiments] == ["passed", "passed", "failed"]
    assert [each.evidence for _, each in student.experiments[2].all_reasons] == ["seed is 0, asked for is 7"]


# as it is typed


def test_grade_of_a_class_as_one_student_ends_with_code_2_and_leaves_nothing(lab: Lab):
    lab.write("lab.yaml", MANIFEST)
    lab.train("in/anna/run", "dataset=iris", "model=softmax", "epochs=1")
    copy(lab.folder / "in/anna", lab.folder / "in/ben")
    before = lab.tree()
    ended = lab("grade", "lab.yaml", "in", "csv=class.csv")
    assert (ended.code, ended.out, lab.tree()) == (2, "", before)
    assert "in looks like a class: anna, ben each hold all that one asks for; did you mean in/*?" in ended.err


def test_who_has_a_seed_and_no_folder_is_named_and_what_was_handed_out_has_to_be_there(lab: Lab):
    (lab.folder / "in/anna").mkdir(parents=True)
    lab.write("lab.yaml", f"title: Lab\nseeds: {{anna: 1, ben: 2, cleo: 3}}\nexperiments:\n{ONE}")
    lab.write("given.yaml", f"title: Lab\nhanded_out: [example]\nexperiments:\n{ONE}")
    ended = lab("grade", "lab.yaml", "in/anna", "in/nobody")
    assert ended.code == 1
    assert "labrunner: nobody: not graded: in/nobody is not there\n" in ended.err
    assert "labrunner: seeds of the manifest name ben, cleo, of whom there is no folder here" in ended.err
    ended = lab("grade", "given.yaml", "in/anna")
    assert (ended.code, "given.yaml, line 2, handed_out[0]: there is no folder" in ended.err) == (2, True)
    (lab.folder / "example").mkdir()
    ended = lab("grade", "given.yaml", "in/anna")
    assert (ended.code, "example holds no run" in ended.err) == (2, True)
    assert len(ended.err.splitlines()) == 1
