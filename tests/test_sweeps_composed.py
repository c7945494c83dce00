"""Sweeps, from the words behind ``-m`` to checked runs: nothing is written, and every run can be made alone."""

from __future__ import annotations

import itertools
import math
import os
from pathlib import Path

import pytest

from labrunner.compose import Composed, SweepPlan, compose, composing, request
from labrunner.compose.values import written
from labrunner.errors import RequestError
from labrunner.helping import Catalogue
from tests.unsynced import unsynced  # noqa: F401 (for every test here)

KNOWN = Catalogue()


def swept(*overrides: str, known: Catalogue = KNOWN, multirun: bool = True) -> SweepPlan:
    plan = request(list(overrides), known, multirun=multirun)
    assert isinstance(plan, SweepPlan)
    return plan


def values(plan: SweepPlan, key: str) -> list:
    return [run.values[key] for run in plan.runs if key in run.values]


def refusal(*overrides: str, known: Catalogue = KNOWN, multirun: bool = True) -> str:
    with pytest.raises(RequestError) as caught:
        request(list(overrides), known, multirun=multirun)
    said = str(caught.value)
    assert 1 <= len(said.splitlines()) <= 3
    return said


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Writes options of the user's; gives the catalogue that has them."""
    monkeypatch.chdir(tmp_path)

    def write(**files: str) -> Catalogue:
        for name, text in files.items():
            group, _, option = name.partition("__")
            path = tmp_path / "conf" / group / f"{option}.yaml"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return Catalogue((tmp_path / "conf",))

    return write


def experiment(text: str) -> str:
    return "# @package _global_\n" + text


@pytest.mark.parametrize(
    ("text", "key", "expected"),
    [
        ("optim.lr=0.001,0.01", "optim.lr", [0.001, 0.01]),
        ("optim.lr=1e-3, 1", "optim.lr", [0.001, 1]),
        ("seed=choice(3,1,2)", "seed", [3, 1, 2]),
        ("seed=choice(7)", "seed", [7]),
        ("seed=range(3)", "seed", [0, 1, 2]),
        ("seed=range(1,10,4)", "seed", [1, 5, 9]),
        ("seed=range(5,0,-2)", "seed", [5, 3, 1]),
        ("optim.lr=range(0.25,1,0.25)", "optim.lr", [0.25, 0.5, 0.75]),
        ("optim.lr=float(range(1,3))", "optim.lr", [1.0, 2.0]),
        ("seed=sort(3,1,2)", "seed", [1, 2, 3]),
        ("seed=sort(choice(3,1,2),reverse=true)", "seed", [3, 2, 1]),
        ("seed=tag(a,choice(3,1))", "seed", [3, 1]),
        ("++seed=1,2", "seed", [1, 2]),
        ("model=mlp,softmax", "model", ["mlp", "softmax"]),
        ("model=glob(mlp*)", "model", ["mlp", "mlp_numpy"]),
        ("model=glob([mlp*,cnn],exclude=*_numpy)", "model", ["cnn", "mlp"]),
        ("model.hidden=[64],[128,64],[]", "model.hidden", [[64], [128, 64], []]),
        ("reg.patience=null,5", "reg.patience", [None, 5]),
        ("model.activation='relu',tanh", "model.activation", ["relu", "tanh"]),
        ("batch_size=32,full", "batch_size", [32, "full"]),
    ],
)
def test_values_are_expanded_as_hydras_users_expect(text, key, expected):
    plan = swept(text)
    assert plan.keys == [key]
    assert values(plan, key) == expected
    assert [type(value) for value in values(plan, key)] == [type(value) for value in expected]


def test_a_range_counts_its_floats_as_hydras_sweeper_does():
    from hydra.core.override_parser.overrides_parser import OverridesParser

    text = "optim.lr=range(0.1,1.0,0.1)"
    theirs = OverridesParser.create().parse_override(text).sweep_string_iterator()
    assert values(swept(text), "optim.lr") == [float(value) for value in theirs]


def test_the_product_is_in_the_order_typed_with_the_last_key_fastest():
    plan = swept("optim=sgd,adam", "optim.lr=0.1,0.01", "seed=range(3)", "epochs=3")
    assert plan.keys == ["optim", "optim.lr", "seed"]
    found = [tuple(run.values.values()) for run in plan.runs]
    assert found == list(itertools.product(["sgd", "adam"], [0.1, 0.01], [0, 1, 2]))
    assert [run.number for run in plan.runs] == list(range(12))
    assert plan.runs[4].overrides == ["optim=sgd", "optim.lr=0.01", "seed=1", "epochs=3"]


def test_shuffled_values_are_the_same_each_time():
    one, other = (values(swept("seed=shuffle(range(20))"), "seed") for _ in range(2))
    assert one == other
    assert one != sorted(one)
    assert sorted(one) == list(range(20))


def test_of_a_key_given_twice_the_last_counts():
    assert values(swept("seed=1,2", "seed=3,4"), "seed") == [3, 4]
    plan = swept("seed=1,2", "seed=5")
    assert plan.keys == []
    assert plan.config["seed"] == 5


def test_one_value_behind_m_is_a_sweep_of_one_run():
    plan = swept("optim.lr=0.1")
    assert (plan.keys, len(plan.runs), plan.runs[0].values) == ([], 1, {})


@pytest.mark.parametrize(
    "typed",
    [
        ["optim.lr=0.001,0.01", "seed=1,2"],
        ["model=mlp,softmax,cnn", "optim=sgd,adam", "optim.lr=0.1"],
        ["optim=sgd", "optim.momentum=0,0.9", "optim.nesterov=false"],
        ["model.hidden=[64],[128,64],[]", "reg.patience=null,3"],
        ["reg=none,dropout", "reg.l1=0.1,0.2", "seed=${epochs}"],
        ["dataset=glob(*moons*)", "model=mlp,softmax"],
        ["optim.lr=5e-324,1.7976931348623157e308,0.1,1e22", "schedule=constant,cosine"],
        ["dataset=csv", "dataset.path=choice('a, b.csv','it\\'s [x]=y.csv','null')", "dataset.label=a"],
        ["dataset=csv", "dataset.path=a,b [c]=(1).csv", "dataset.label='a,b','1',1,null,'',' x ','it\\'s'"],
        ["experiment=smoke_mlp,smoke_cnn", "seed=1,2"],
        ["dataset.classes=[0,1],[a,'1',2.5,true]", "epochs=3", "epochs=4"],
        ["++seed=1,2", "select='last',best", "model=lenet", "dataset=mnist5k"],
    ],
    ids=str,
)
def test_each_run_is_what_its_overrides_make_alone(typed):
    plan = swept(*typed)
    assert len(plan.runs) > 1
    for run in plan.runs:
        alone = compose(run.overrides, KNOWN)
        assert run.composed is not None
        assert repr(run.composed.config) == repr(alone.config)
        assert run.composed.choices == alone.choices
        assert run.composed.overrides == run.overrides == alone.overrides


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        -3,
        0.1,
        1e-7,
        1e300,
        5e-324,
        -0.0,
        math.inf,
        "a",
        "",
        " a ",
        "1",
        "true",
        "null",
        "a,b",
        "it's",
        "a\\",
        "\\'",
        "range(3)",
        "[a]",
        "a=b",
        "a:b",
        "x y",
        "ä€",
        "'q'",
        [1, "1", [None, "a,b"]],
        {"a": [1.5, "b c"]},
    ],
    ids=repr,
)
def test_a_written_value_is_read_back_to_the_bit(value):
    from hydra.core.override_parser.overrides_parser import OverridesParser

    override = OverridesParser.create().parse_override(f"key={written(value)}")
    assert not override.is_sweep_override()
    assert repr(override.value()) == repr(value)


def test_equal_runs_are_made_once_and_numbers_stay_dense():
    plan = swept("optim.lr=0.1,1e-1,0.2,0.1", "seed=1,2")
    assert [tuple(run.values.values()) for run in plan.runs] == [(0.1, 1), (0.1, 2), (0.2, 1), (0.2, 2)]
    assert [run.number for run in plan.runs] == [0, 1, 2, 3]
    assert plan.dropped == [
        ({"optim.lr": 0.1, "seed": seed}, number) for _ in range(2) for seed, number in ((1, 0), (2, 1))
    ]
    assert plan.runs[3].composed.run_dir == plan.sweep_dir / "3"


@pytest.mark.parametrize("name", ["a b", "a,b", "[a]", "a=b", "it's", "ä€", "a\\", "(a"])
def test_any_path_may_be_a_sweeps_folder(name):
    assert swept(f"hydra.sweep.dir={name}", "seed=1,2").sweep_dir == Path(name)


def test_a_sweeps_folder_may_be_named_by_keys_and_is_no_override_of_its_runs():
    plan = swept("hydra.sweep.dir=out/${optim.name}_${seed}", "seed=4,5", "hydra.mode=MULTIRUN", multirun=False)
    assert plan.sweep_dir == Path("out/adam_4")
    assert [run.overrides for run in plan.runs] == [["seed=4"], ["seed=5"]]
    assert str(swept("seed=1,2").sweep_dir).startswith(str(Path("outputs/sweeps")) + os.sep)


REFUSED = {
    "optim.lr=0.1,-1": "optim.lr=-1: it takes a number above 0",
    "optim.lr=0.1,abc seed=1": "optim.lr=abc: it takes a number above 0",
    "optim=sgd,adam optim.momentum=0.9": "run 1 (optim=adam): the chosen optim has no key optim.momentum; it belongs",
    "model=mlp,perceptron optim=sgd,adam": "model=perceptron|which optim=adam has no part in|model=softmax",
    "model=mlp,cnnn": "there is no model=cnnn|did you mean model=cnn?",
    "model=mlp,": "cannot read model=mlp,",
    "model=mlp,null": "there is no model=null",
    "model=glob(x*)": "model=glob(x*) matches no option; there are|cnn",
    "model.hidden=glob(*)": "among the options of a group",
    "optim.lrr=1,2": "there is no key optim.lrr; did you mean optim.lr?",
    "optim.lr=interval(0,1)": "sampler|range(start,stop,step)",
    "seed=range(3,1)": "names no value",
    "seed=range(1,3,0)": "seed=range(1,3,0): ",
    "optim.lr=range(0.1,1,0.0)": "a step that is not 0",
    "optim.lr=range(0,inf,0.1)": "finite",
    "seed=range(1000000000)": "makes 1,000,000,000 runs|10,000",
    "seed=range(1000000000000000000000)": "runs|10,000",
    "optim.lr=range(0.0,1e9,0.1)": "runs|10,000",
    "seed=range(200) epochs=range(1,61)": "12,000 runs (200 x 60)|10,000",
    "figures=all,none": "figures=all,none: figures|give it one value",
    "jobs=1,2": "jobs=1,2: jobs",
    "fail_fast=true,false": "fail_fast",
    "hydra.mode=RUN,MULTIRUN": "hydra.mode=RUN,MULTIRUN: it takes",
    "hydra.mode=RUN": "-m makes a sweep|leave one of them out",
    "hydra.run.dir=x": "a sweep's folder is hydra.sweep.dir",
    "hydra.sweep.dir=''": "hydra.sweep.dir is empty",
    "hydra.sweep.dir=": "hydra.sweep.dir= has no value",
    "hydra.sweep.dri=x": "did you mean hydra.sweep.dir?",
    "hydra.sweep.subdir=x": "run folders are numbered",
    "+hydra.sweeper.params.seed=1,2": "-m",
    "hydra.launcher.n_jobs=2": "jobs=2",
    "hydra/launcher=joblib": "jobs=2",
    "model.hidden=shuffle([1,2])": "write the list",
    "optim.lr=choice()": "cannot read optim.lr=choice()",
}


@pytest.mark.parametrize("typed", REFUSED)
def test_a_wrong_sweep_is_refused_with_its_values_and_a_way_out(typed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = refusal(*typed.split(" "))
    for words in REFUSED[typed].split("|"):
        assert words in said
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("typed", ["optim.lr=1,2", "seed=range(3)", "model=glob(*)", "optim.lr=float(range(1,3))"])
def test_several_values_without_m_name_the_whole_way_out(typed):
    said = refusal(typed, multirun=False)
    assert "several values" in said
    assert "labrunner -m " in said
    assert typed in said.splitlines()[1]


def test_without_m_a_request_is_a_run_and_has_no_sweeps_folder():
    assert isinstance(request(["hydra.mode=RUN"], KNOWN, multirun=False), Composed)
    assert "hydra.run.dir" in refusal("hydra.sweep.dir=x", multirun=False)
    with pytest.raises(RequestError, match="single run"):
        compose(["hydra.mode=MULTIRUN"], KNOWN)


HYDRAS = experiment(
    "hydra:\n  mode: MULTIRUN\n  sweeper:\n    params:\n      optim.lr: '0.001,0.01'\n      optim: adam,sgd\n"
)
SECTION = experiment(
    """epochs: 3
sweep:
  variants:
    plain:
    damped: {optim: sgd, optim.momentum: 0.9}
    listed: ['model.hidden=[8]', seed=3]
  params:
    optim.lr: [0.1, 0.2]
  threshold: 0.9
"""
)
FIRST = experiment(
    """optim:
  lr: 0.5
sweep:
  first: {epochs: 2}
  params:
    dataset.path: ['{first}/a.csv']
  facts:
    optim.lr: {fact: critical_lr, times: [0.5, 0.99]}
dataset:
  name: csv
"""
)


def test_an_experiment_of_hydras_form_sweeps_without_m(own):
    known = own(experiment__lr=HYDRAS)
    plan = swept("experiment=lr", known=known, multirun=False)
    assert plan.keys == ["optim.lr", "optim"]
    assert [tuple(run.values.values()) for run in plan.runs] == [
        (0.001, "adam"), (0.001, "sgd"), (0.01, "adam"), (0.01, "sgd")
    ]  # fmt: skip
    assert plan.runs[1].overrides == ["experiment=lr", "hydra.mode=RUN", "optim.lr=0.001", "optim=sgd"]
    for run in plan.runs:
        assert compose(run.overrides, known).config == run.composed.config
    assert isinstance(request(["experiment=lr", "hydra.mode=RUN"], known, multirun=False), Composed)
    with pytest.raises(RequestError, match=r"experiment=lr is a sweep.*hydra.mode=RUN"):
        compose(["experiment=lr"], known)


def test_variants_change_together_and_the_section_is_in_no_config(own):
    known = own(experiment__mine=SECTION)
    plan = swept("experiment=mine", known=known, multirun=False)
    assert (plan.keys, plan.threshold, plan.has_first) == (["variant", "optim.lr"], 0.9, False)
    assert values(plan, "variant") == ["plain"] * 2 + ["damped"] * 2 + ["listed"] * 2
    assert [run.composed.choices["optim"] for run in plan.runs] == ["adam"] * 2 + ["sgd"] * 2 + ["adam"] * 2
    assert plan.runs[5].composed.config["model"]["hidden"] == [8]
    for run in plan.runs:
        assert "sweep" not in run.composed.config
        assert compose(run.overrides, known).config == run.composed.config


def test_what_is_typed_replaces_what_the_experiment_sweeps_over(own):
    known = own(experiment__mine=SECTION)
    plan = swept("experiment=mine", "optim.lr=0.5", "seed=1,2", known=known)
    assert plan.keys == ["variant", "seed"]
    assert {run.composed.config["optim"]["lr"] for run in plan.runs} == {0.5}
    assert values(swept("experiment=mine", "optim.lr=1,2", "seed=7", known=known), "optim.lr") == [1, 2] * 3
    assert len(swept("experiment=mine", "hydra.sweep.dir=x", known=known, multirun=False).runs) == 6
    assert "several values" in refusal("experiment=mine", "seed=1,2", known=known, multirun=False)


def test_a_key_that_only_a_variant_has_is_refused_with_the_run_that_lacks_it(own):
    known = own(experiment__mine=SECTION)
    said = refusal("experiment=mine", "optim.momentum=0.5", known=known, multirun=False)
    assert said.startswith("run 0 (variant=plain, optim.lr=0.1): the chosen optim has no key optim.momentum")


def test_runs_wait_for_a_fact_and_the_folder_of_the_first(own):
    text = FIRST.replace("dataset:\n  name: csv\n", "").replace(
        "sweep:", "defaults:\n  - override /dataset: csv\nsweep:"
    )
    text = text.replace("first: {epochs: 2}", "first: {epochs: 2, dataset.path: base.csv}")
    known = own(experiment__mine=experiment(text.partition("\n")[2].replace("params:", "params:\n    seed: 1,2")))
    plan = swept("experiment=mine", "dataset.label=y", known=known, multirun=False)
    assert plan.has_first
    assert plan.keys == ["seed", "dataset.path", "optim.lr"]
    assert [run.composed is None for run in plan.runs] == [False, True, True, True, True]
    assert plan.runs[0].values == {}
    assert plan.runs[0].composed.config["epochs"] == 2
    assert compose(plan.runs[0].overrides, known).config == plan.config == plan.runs[0].composed.config
    assert plan.runs[1].values["optim.lr"] == "0.5*critical_lr"
    settled = plan.settled({"critical_lr": 0.3}, Path("out, here/0"))
    assert values(settled, "optim.lr") == [0.15, 0.297] * 2
    for run in settled.runs[1:]:
        assert run.composed.config["dataset"]["path"] == "out, here/0/a.csv"
        assert run.values["dataset.path"] == "out, here/0/a.csv"
        assert run.composed.config["epochs"] == 30
        assert compose(run.overrides, known).config == run.composed.config
    assert settled.settled({}, Path("x")) is settled
    with pytest.raises(RequestError, match=r"has no fact critical_lr.*other"):
        plan.settled({"other": 1.0}, Path("x"))
    with pytest.raises(RequestError, match=r"optim.lr=-0.5: it takes a number above 0"):
        plan.settled({"critical_lr": -1.0}, Path("x"))


WRONG_SECTIONS = {
    "{parms: {seed: '1,2'}}": "sweep.parms: there is no such part; did you mean params?",
    "[1, 2]": "sweep: it takes a mapping",
    "{threshold: 1.5}": "sweep.threshold=1.5",
    "{threshold: true}": "sweep.threshold=true",
    "{variants: {}}": "sweep.variants has none",
    "{variants: {a: 3}}": "sweep.variants.a: it takes a mapping",
    "{variants: {a: {optim.lrr: 3}}}": "sweep.variants.a: there is no key optim.lrr",
    "{variants: {a: ['seed=1,2']}}": "sweep.variants.a: seed=1,2 names several values",
    "{variants: {a: {seed: -1}}}": "seed=-1: it takes",
    "{params: {optim.lrr: '1,2'}}": "sweep.params: there is no key optim.lrr",
    "{params: {seed: []}}": "names no value",
    "{params: {figures: [all, none]}}": "figures says how a sweep is carried out",
    "{params: {hydra.run.dir: x}}": "cannot change from run to run",
    "{facts: {optim.lr: {fact: critical_lr, times: [1]}}}": "sweep.first is missing",
    "{first: {}, facts: {optim.lr: {fact: critical_lr}}}": "sweep.facts.optim.lr: it takes fact and times",
    "{first: {}, facts: {optim.lr: {fact: critical_lr, times: [x]}}}": "times: it takes a list of numbers",
    "{first: {}, facts: {optim.lr: {fact: f, times: [-1]}}}": "run 1 (optim.lr=-1*f): optim.lr=-1: it takes",
    "{first: {optim.lrr: 1}}": "sweep.first: there is no key optim.lrr",
}


@pytest.mark.parametrize("section", WRONG_SECTIONS)
def test_a_wrong_section_is_refused_with_the_experiment_and_the_part(section, own):
    known = own(experiment__mine=experiment(f"sweep: {section}\n"))
    said = refusal("experiment=mine", known=known, multirun=False)
    assert WRONG_SECTIONS[section] in said
    assert "mine" in said or "=-1" in said


def test_an_experiment_that_sweeps_is_no_value_of_another_sweep(own):
    known = own(experiment__mine=SECTION)
    assert "experiment=mine carries a sweep" in refusal("experiment=smoke_mlp,mine", known=known)


def test_a_glob_finds_the_users_own_options(own):
    known = own(optim__mine="name: sgd\nlr: 0.3\nmomentum: 0.0\nnesterov: false\n")
    assert values(swept("optim=glob(m*)", known=known), "optim") == ["mine"]


def test_sixteen_learning_rates_are_one_composition(monkeypatch):
    import hydra

    composing.of_options.cache_clear()
    made = []
    theirs = hydra.compose
    monkeypatch.setattr(hydra, "compose", lambda *args, **more: made.append(args) or theirs(*args, **more))
    assert len(swept("optim.lr=" + ",".join(str(n / 100) for n in range(1, 17))).runs) == 16
    assert len(made) == 1
    assert len(swept("model=mlp,softmax", "optim.lr=1,2,3,4", "seed=1,2,3").runs) == 24
    assert len(made) == 3


def test_a_first_run_that_cannot_be_is_called_so(own):
    known = own(experiment__mine=experiment("sweep: {first: {optim: sgd}, params: {seed: '1,2'}}\n"))
    assert len(swept("experiment=mine", known=known, multirun=False).runs) == 3
    said = refusal("experiment=mine", "optim.betas=[0.9,0.99]", known=known, multirun=False)
    assert said.startswith("the first run: the chosen optim has no key optim.betas")


def test_a_combination_that_names_all_its_values_is_not_named_twice():
    said = refusal("schedule=cosine", "schedule.min_lr=0,1", "optim.lr=0.1,0.5")
    assert said == "schedule.min_lr=1 is above optim.lr=0.1; try schedule.min_lr=0"


def test_an_experiment_that_sets_a_groups_name_among_its_values_is_refused(lab):
    lab.write("conf/experiment/mine.yaml", "# @package _global_\n# Mine.\ninit:\n  name: zeros\n")
    ended = lab("experiment=mine", "init=he")
    assert ended.code == 2
    assert "override /init: zeros" in ended.err
