"""What a stranger may write into config.yaml, overrides.yaml and sweep.yaml, and into a folder of options."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from tests.reliability.strangers import HUGE, Ground

SECRET = "s3cret-of-the-environment"
VARIABLE = "SECRET_WORD"
OUTSIDE = "OUTSIDE"  # stands for a folder elsewhere
COMMAND = "touch marker"  # in the current folder
MARKS = f"import os\nos.system({COMMAND!r})\ndef Net(**given): ...\n"

Put = Callable[[Ground], None]


def config(**changes: Any) -> Put:
    """Top-level keys of the saved config are others."""

    def put(ground: Ground) -> None:
        path = ground.run / "config.yaml"
        said = yaml.safe_dump(yaml.safe_load(path.read_text()) | changes, sort_keys=False)
        path.write_text(said.replace(OUTSIDE, str(ground.outside)))

    return put


def inside(group: str, **changes: Any) -> Put:
    """Keys of a group are others."""

    def put(ground: Ground) -> None:
        said = yaml.safe_load((ground.run / "config.yaml").read_text())
        config(**{group: said[group] | changes})(ground)

    return put


def raw(content: bytes | str, name: str = "config.yaml") -> Put:
    def put(ground: Ground) -> None:
        ground.write(name, content.replace(OUTSIDE, str(ground.outside)) if isinstance(content, str) else content)

    return put


def added(text: str) -> Put:
    """Lines behind the saved config."""

    def put(ground: Ground) -> None:
        path = ground.run / "config.yaml"
        path.write_text(path.read_text() + text)

    return put


def target(named: str, **given: Any) -> Put:
    return config(model={"_target_": named, **given})


def probe(*named: str) -> Put:
    return config(probes=list(named))


def data_set(named: str, **given: Any) -> Put:
    return config(dataset={"_target_": named, **given})


def optimizer(named: str, **given: Any) -> Put:
    return config(optim={"_target_": named, "lr": 0.1, **given})


def module(
    name: str, text: str, named: str, where: str = "", to: str | None = None, names: Callable[..., Put] = target
) -> Put:
    """A target in a file of the current folder, or in one of another folder, to which `to` is a link.

    `names` puts it where a config names code.
    """

    def put(ground: Ground) -> None:
        path = ground.folder / where.replace(OUTSIDE, str(ground.outside)) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        if to is not None:
            link = ground.folder / to
            link.parent.mkdir(exist_ok=True)
            link.unlink(missing_ok=True)
            link.symlink_to(path if to.endswith(".py") else path.parent)
        (names(named) if names is probe else names(named, command=COMMAND))(ground)

    return put


FACTORY = {"version": 1, "handlers": {"x": {"()": "os.system", "command": COMMAND}}, "root": {"handlers": ["x"]}}
CALLBACK = {"x": {"_target_": "os.system", "command": COMMAND}}
BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 10)}]\n" for old, new in zip("abcdefghi", "bcdefghij", strict=True)
)
MERGES = "a: &a {x: 1}\n" + "".join(
    f"{new}: &{new} {{<<: [{','.join([f'*{old}'] * 10)}], {new}: {{<<: *{old}}}}}\n"
    for old, new in zip("abcdefghi", "bcdefghij", strict=True)
)


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {"x": value}
    return value


def large(ground: Ground) -> None:
    ground.write("config.yaml", b"seed: 0\n" + b"x: [" + b"0," * 50_000_000 + b"0]\n")


def cache_elsewhere(ground: Ground) -> None:
    config(dataset={"name": "imagefolder", "root": "pictures"}, cache=f"{OUTSIDE}/cache")(ground)
    ground.write("overrides.yaml", "{overrides: [], choices: {dataset: imagefolder}}\n")
    ground.json("environment.json", data=None)


def every_number(text: str) -> Put:
    """Each number of the saved config is another one."""

    def put(ground: Ground) -> None:
        path = ground.run / "config.yaml"
        path.write_text(re.sub(r"(?<=[ \[])-?[0-9][-+.e0-9]*(?=[],\n])", text, path.read_text()))

    return put


CONFIGS: dict[str, Put] = {
    # code
    "os.system": target("os.system", command=COMMAND),
    "torch.utils.collect_env.run": target("torch.utils.collect_env.run", command=COMMAND),
    "builtins.eval": target("builtins.eval", source=f"__import__('os').system({COMMAND!r})"),
    "subprocess.call": target("subprocess.call", args=COMMAND, shell=True),
    "pickle.loads": target("pickle.loads", data="x"),
    "hydra.utils.instantiate": target("hydra.utils.instantiate", config=CALLBACK["x"]),
    "a function of labrunner's": target("labrunner.machine.file_hash", path="config.yaml"),
    "the command itself": target("labrunner.cli.main", argv=["hydra.run.dir=marker"]),
    "a path for a target": target(f"{OUTSIDE}/their_nets.Net"),
    "a target in a list": config(model=[{"_target_": "os.system", "command": COMMAND}]),
    "a target as arguments": target("mine.Net", _args_=[{"_target_": "os.system", "command": COMMAND}]),
    "a target of an optimizer": inside("optim", _target_="os.system", command=COMMAND),
    "a target deep in a data set": inside("dataset", root={"x": [{"_target_": "os.system", "command": COMMAND}]}),
    "a file of a link": module("their_file.py", MARKS, "their_link.Net", OUTSIDE, "their_link.py"),
    "a package of a link": module("their_pack/nets.py", MARKS, "linked_pack.nets.Net", f"{OUTSIDE}/x", "linked_pack"),
    "a file of a link in a package": module("their_part.py", MARKS, "own_pack.part.Net", OUTSIDE, "own_pack/part.py"),
    "a name that one's own file imports": module("own_one.py", "from os import system\n", "own_one.system"),
    "a name that it calls otherwise": module("own_two.py", "from os import system as Net\n", "own_two.Net"),
    "a name that it may import": module("own_three.py", "from os import *\n", "own_three.system"),
    "a module that it imports": module("own_four.py", "import os\n", "own_four.os.system"),
    "a name that its package imports": module("own_five/__init__.py", "from subprocess import call\n", "own_five.call"),
    "a data set of a module": data_set("os.system", command=COMMAND),
    "a data set of labrunner's": data_set("labrunner.files.read_json", path="config.yaml"),
    "a data set in a list": config(dataset=[{"_target_": "os.system", "command": COMMAND}]),
    "a data set of a link": module("their_data.py", MARKS, "data_link.Net", OUTSIDE, "data_link.py", data_set),
    "a data set that one's own file imports": module(
        "own_data.py", "from os import system\n", "own_data.system", names=data_set
    ),
    "an optimizer of a module": optimizer("os.system", command=COMMAND),
    "an optimizer of torch's": optimizer("torch.utils.collect_env.run", command=COMMAND),
    "an optimizer of a link": module("their_optim.py", MARKS, "optim_link.Net", OUTSIDE, "optim_link.py", optimizer),
    "a probe of a module": probe("os.system"),
    "a probe among others": probe("steps", "antigravity.webbrowser.open"),
    "a probe of labrunner's by its place": probe("labrunner.probes.steps.Steps"),
    "a probe of a link": module("their_probe.py", MARKS, "probe_link.Net", OUTSIDE, "probe_link.py", names=probe),
    "a probe of a file elsewhere": module("their_other.py", MARKS, "their_other.Net", OUTSIDE, names=probe),
    "a probe that one's own file imports": module(
        "own_six.py", "from os import system\n", "own_six.system", names=probe
    ),
    "a probe in a list": config(probes=[["os.system"]]),
    "a probe that is a mapping": config(probes=[{"_target_": "os.system", "command": COMMAND}]),
    "probes that are one text": config(probes="os.system"),
    "probes of a mapping": config(probes={"os.system": COMMAND}),
    # Hydra's and logging's own ways to code
    "a logging factory": config(hydra={"job_logging": FACTORY, "hydra_logging": FACTORY}),
    "a logging factory at the top": config(logging=FACTORY, job_logging=FACTORY),
    "callbacks": config(hydra={"callbacks": CALLBACK}),
    "a launcher": config(hydra={"launcher": CALLBACK["x"], "sweeper": CALLBACK["x"], "mode": "MULTIRUN"}),
    "a search path": config(hydra={"searchpath": [f"file://{OUTSIDE}", "pkg://os"]}),
    "a defaults list": config(defaults=["_self_", {"override /hydra/job_logging": "x"}]),
    "a probe that is none": config(probes=["os:system", f"{OUTSIDE}/their_nets"]),
    "a check that is code": config(checks=[{"fact": f"__import__('os').system({COMMAND!r})", "at_most": "os.system"}]),
    "checks of huge numbers": config(checks=[{"fact": "x", "at_most": 10**400}] * 10),
    # the environment
    "a variable": config(seed=f"${{oc.env:{VARIABLE}}}"),
    "a variable with spaces": inside("model", activation=f"${{ oc.env : {VARIABLE} }}"),
    "a variable in a list": config(probes=[f"x${{oc.env:{VARIABLE},none}}"]),
    "a variable of a variable": inside("dataset", name=f"${{oc.env:${{oc.env:{VARIABLE}}}}}"),
    "a variable in a path": inside("dataset", root=f"/nowhere/${{oc.env:{VARIABLE}}}"),
    "a variable that is decoded": inside("optim", lr=f"${{oc.decode:${{oc.env:{VARIABLE}}}}}"),
    "a variable of the shell": config(cache=f"${VARIABLE}/$HOME/$(touch marker)"),
    "a key that is a variable": config(**{f"${{oc.env:{VARIABLE}}}": 1}),
    # YAML
    "a tag that applies": raw(f'!!python/object/apply:os.system ["{COMMAND}"]'),
    "a tag that applies, inside": added(f'\nseed: !!python/object/apply:os.system ["{COMMAND}"]\n'),
    "a tag that makes an object": added("\nseed: !!python/object/new:subprocess.Popen [[touch, marker]]\n"),
    "a tag that names": added("\nseed: !!python/name:os.system\n"),
    "a tag of a module": added("\nseed: !!python/module:their_nets\n"),
    "a tag of one's own": added("\nseed: !mine [1]\n"),
    "a bomb of aliases": raw(BOMB),
    "a bomb of merges": raw(MERGES),
    "an anchor in itself": raw("a: &a [*a]\nb: &b {c: *b}\n<<: *b\n"),
    "a merge of itself": raw("a: &a\n  <<: *a\n  b: 1\n"),
    "a list": raw("[1, 2]"),
    "a date for a number": added("\nepochs: 2001-01-01\n"),
    "huge numbers": every_number(HUGE),
    "numbers below zero": every_number("-3"),
    "numbers that are none": every_number(".nan"),
    "infinite numbers": every_number(".inf"),
    "lists for numbers": every_number("[1, {a: b}]"),
    "numbers without an end": added(f"\nepochs: {'9' * 5000}\noptim: {{name: adam, lr: 1e999}}\n"),
    "sixty minutes of sixty": added(f"\nepochs: {':'.join(['59'] * 20_000)}\n"),
    "a hundred megabytes": large,
    "no UTF-8": raw(b"\xff\xfe\x00\x80seed: 1"),
    "UTF-16": raw("seed: 1\n".encode("utf-16")),
    "NUL": raw(b"seed: 1\n\0\n"),
    "a document too many": added("\n---\nseed: 1\n"),
    "keys of all kinds": raw("{1: 2, null: 3, [a, b]: 4, {c: d}: 5, true: 6, 1.5: 7}"),
    "depth": config(deep=nested(300)),
    "depth in a group": added(f"\nmodel: {{name: mlp, hidden: {'[' * 400}{']' * 400}}}\n"),
    "a date that is none": added("\nepochs: 2001-99-99\n"),
    # other places
    "a table elsewhere": inside("dataset", name="csv", path="/etc/passwd", label="root", features=None),
    "images elsewhere": inside("dataset", name="imagefolder", root="/etc"),
    "images of a server": inside("dataset", name="mnist", root=f"{OUTSIDE}/data"),
    "a cache elsewhere": cache_elsewhere,
    "weights elsewhere": inside("model", name="cnn", weights="/etc/passwd"),
    # what was typed
    "overrides of code": raw(f'overrides: !!python/object/apply:os.system ["{COMMAND}"]\n', "overrides.yaml"),
    "overrides of variables": raw(
        f"overrides: ['seed=${{oc.env:{VARIABLE}}}', '--trust']\nchoices: {{model: '${{oc.env:{VARIABLE}}}'}}\n",
        "overrides.yaml",
    ),
    "choices that lead out": raw("choices: {model: ../../etc, dataset: /etc/passwd, x: [1]}\n", "overrides.yaml"),
    "choices of code": raw("choices: {model: {_target_: os.system}, experiment: os.system}\n", "overrides.yaml"),
}
HARMLESS = {  # what is never read as what it says: the verbs go on
    *("overrides of code", "overrides of variables", "choices that lead out", "choices of code"),
    *(
        "a variable of the shell",
        "checks of huge numbers",
        "a date for a number",
        "a cache elsewhere",
        "sixty minutes of sixty",
    ),
}


# sweeps


SWEEPS: dict[str, list[str]] = {  # overrides of a sweep.yaml
    "a target": ["+model._target_=os.system", f"+model.command='{COMMAND}'"],
    "a probe": ["probes=[os.system]", "seed=0,1"],
    "probes that are swept": ["probes=[],[antigravity.webbrowser]", "seed=0,1"],
    "a data set": ["+dataset._target_=os.system", f"+dataset.command='{COMMAND}'", "seed=0,1"],
    "callbacks": [f"+hydra.callbacks={{x:{{_target_:os.system,command:'{COMMAND}'}}}}", "seed=0,1"],
    "logging": [f"hydra.job_logging={{handlers:{{x:{{'()':os.system,command:'{COMMAND}'}}}}}}", "seed=0,1"],
    "a logging option": ["hydra/job_logging=colorlog", "seed=0,1"],
    "a launcher": ["hydra/launcher=joblib", "seed=0,1"],
    "a search path": [f"hydra.searchpath=[file://{OUTSIDE}/conf]", "seed=0,1"],
    "a variable": [f"seed=${{oc.env:{VARIABLE}}},1"],
    "a variable that is decoded": [f"optim.lr=${{oc.decode:${{oc.env:{VARIABLE}}}}},1"],
    "a variable behind a sign": [f"++seed=0,${{ oc.env:{VARIABLE} }}"],
    "a folder for the sweep": [f"hydra.sweep.dir={OUTSIDE}/sweep", "seed=0,1"],
    "a folder for its runs": [f"hydra.run.dir={OUTSIDE}/run", "seed=0,1"],
    "a folder below": [f"hydra.sweep.subdir={OUTSIDE}/x", "seed=0,1"],
    "a cache elsewhere": [f"cache={OUTSIDE}/cache", "dataset=imagefolder", "dataset.root=pictures", "seed=0,1"],
    "a download": ["dataset=mnist", f"dataset.root={OUTSIDE}/data", "seed=0,1"],
    "flags": ["--trust", f"--config-dir={OUTSIDE}/conf", "seed=0,1"],
    "globs": ["model=glob(*)", "dataset.path=glob(/etc/*)"],
    "a billion runs": ["seed=range(1000000000)"],
    "a billion combinations": ["seed=range(100000)", "epochs=range(1,100000)"],
    "depth": [f"seed={'[' * 5000}"],
    "no overrides": [],
}


def write_sweep(folder: Path, overrides: list[str], outside: Path) -> Path:
    """A sweep.yaml that nobody has begun."""
    folder.mkdir(exist_ok=True)
    overrides = [text.replace(OUTSIDE, str(outside)) for text in overrides]
    overrides += ["smoke=true", "figures=none", "jobs=1"] if overrides else []
    said = {"format": 1, "command": "labrunner", "overrides": overrides, "keys": ["seed"], "monitor": "val_loss"}
    runs = [
        {"number": n, "folder": str(n), "values": {"seed": n}, "overrides": overrides, "config_hash": None, "epochs": 2}
        for n in range(2)
    ]
    (folder / "sweep.yaml").write_text(yaml.safe_dump(said | {"threshold": None, "runs": runs}))
    return folder


# options of one's own, in a folder that is named by --config-dir

OPTIONS: dict[str, tuple[str, str]] = {  # file -> text; `labrunner --config-dir FOLDER` with that option
    "a variable": ("model/x.yaml", f"name: mlp\nhidden: [4]\nactivation: ${{oc.env:{VARIABLE}}}\n"),
    "a variable with a default": ("optim/x.yaml", f"name: adam\nlr: ${{oc.env:{VARIABLE},0.1}}\n"),
    "a variable that is decoded": ("optim/x.yaml", f"name: adam\nlr: ${{oc.decode:${{oc.env:{VARIABLE}}}}}\n"),
    "a tag that applies": ("model/x.yaml", f'name: !!python/object/apply:os.system ["{COMMAND}"]\n'),
    "a tag that names": ("model/x.yaml", "name: !!python/name:os.system\n"),
    "a bomb of aliases": ("model/x.yaml", BOMB),
    "a bomb of merges": ("model/x.yaml", MERGES),
    **{
        what: ("experiment/x.yaml", f"# @package _global_\n{yaml.safe_dump({'hydra': said})}")
        for what, said in {
            "a logging factory": {"job_logging": FACTORY},
            "callbacks": {"callbacks": CALLBACK},
            "a search path": {"searchpath": ["file:///etc"]},
            "a launcher": {"launcher": CALLBACK["x"]},
        }.items()
    },
    "a package of Hydra's": ("experiment/x.yaml", f"# @package hydra.callbacks\n{yaml.safe_dump(CALLBACK)}"),
    "depth": ("model/x.yaml", "[" * 100_000),
    "no UTF-8": ("model/x.yaml", "name: \udcff\n"),
}
