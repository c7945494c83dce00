"""The page of one verb: how it is typed, what it takes, examples; ``labrunner VERB --help`` and ``explain VERB``."""

from __future__ import annotations

import textwrap
from typing import NamedTuple

from labrunner.helping import VERBS, rows


class Usage(NamedTuple):
    """What is typed behind a verb."""

    form: str
    takes: tuple[tuple[str, str], ...]  # what, and what it is
    examples: tuple[tuple[str, str], ...]


RUN = ("RUN", "a run folder, as outputs/runs/2026-11-29_12-02-05_cacf")
RUN_OR_SWEEP = ("RUN_OR_SWEEP", "a run folder, or that of a sweep")
OVERRIDES = ("GROUP=OPTION, KEY=VALUE", "as for a run; labrunner --help lists them")
CHOICES = ("GROUP=OPTION, KEY=VALUE", "what is to be otherwise than usual; labrunner --help lists what there is")
WHERE = (
    ("device=NAME", "auto, cpu, cuda or mps"),
    ("threads=N", "processor threads; otherwise those of the run"),
)
TRUST = ("--trust", "let the folder's config name code outside the current folder")
PLACE = ("hydra.run.dir=FOLDER", "where the results go; new or empty")

USAGES = {
    "train": Usage(
        "labrunner [train] [GROUP=OPTION | KEY=VALUE]… [-m]",
        (
            CHOICES,
            ("-m", "a sweep: a run for each value of a,b,c, range(…) or glob(…), and for each combination"),
            PLACE,
            ("hydra.sweep.dir=FOLDER", "where a sweep goes; the same command goes on in it"),
            ("--cfg job", "print the composed config, and stop"),
        ),
        (
            ("labrunner model=cnn optim.lr=0.01", "a run"),
            ("labrunner experiment=metrics", "a lab: what labrunner labs lists"),
            ("labrunner -m optim.lr=0.001,0.01 'seed=range(3)'", "a sweep of six"),
        ),
    ),
    "resume": Usage(
        "labrunner resume RUN_OR_SWEEP [KEY=VALUE]…",
        (
            RUN_OR_SWEEP,
            ("epochs=N", "of a run: how many in all, to extend it"),
            *WHERE,
            ("figures=all|few|none", "which are drawn at the end"),
            ("logger=none|tensorboard", "whether there is an event file for TensorBoard"),
            ("checkpoint.every_…", "how often the rest of it is saved"),
            ("jobs=N, fail_fast=…", "of a sweep"),
            TRUST,
        ),
        (
            ("labrunner resume outputs/runs/RUN", "go on where it was cut"),
            ("labrunner resume outputs/runs/RUN epochs=60", "go on from its end"),
            ("labrunner resume outputs/sweeps/SWEEP jobs=2", "make what is missing"),
        ),
    ),
    "plan": Usage(
        "labrunner plan [-m] [GROUP=OPTION | KEY=VALUE]…",
        (OVERRIDES, ("-m", "a sweep")),
        (("labrunner plan -m model=mlp,cnn 'seed=range(10)'", "twenty runs: how long?"),),
    ),
    "compare": Usage(
        "labrunner compare RUN_OR_SWEEP… [KEY=VALUE]…",
        (RUN_OR_SWEEP, ("figures=all|few|none", "which are drawn"), PLACE),
        (("labrunner compare outputs/runs/A outputs/runs/B", "which is better, and how sure is that?"),),
    ),
    "ls": Usage(
        "labrunner ls [FOLDER]…",
        (("FOLDER", "where to look, up to three folders down; otherwise outputs/"),),
        (("labrunner ls", "what there is, the newest last"), ("labrunner ls group7", "elsewhere")),
    ),
    "doctor": Usage(
        "labrunner doctor RUN_OR_SWEEP…",
        (RUN_OR_SWEEP, ("FOLDER", "all runs below a folder")),
        (("labrunner doctor outputs", "exit code 1 where something was found"),),
    ),
    "report": Usage(
        "labrunner report RUN_OR_SWEEP… [figures=all|few]",
        (
            RUN_OR_SWEEP,
            ("figures=all|few", "which figures are drawn; all, if nothing is said; few takes the others away"),
        ),
        (("labrunner report outputs/sweeps/SWEEP", "its figures and page again, and those of its runs"),),
    ),
    "open": Usage(
        "labrunner open [RUN_OR_SWEEP]",
        (("RUN_OR_SWEEP", "whose report to show; without it the newest under outputs/"),),
        (("labrunner open", "what came out last"),),
    ),
    "predict": Usage(
        "labrunner predict RUN FILE… [csv=FILE] [figure=FILE.png]",
        (
            RUN,
            ("FILE", "images, folders of them, patterns; of a run on a table one CSV with the columns it learned from"),
            ("csv=FILE", "the new file of the predictions; otherwise one under outputs/predictions/"),
            ("figure=FILE.png", "the images with what was predicted of them"),
            *WHERE,
            TRUST,
        ),
        (
            ("labrunner predict outputs/runs/RUN photos figure=seen.png", "what is on these?"),
            ("labrunner predict outputs/runs/RUN flowers.csv", "of a run on a table: a class for each row"),
        ),
    ),
    "evaluate": Usage(
        "labrunner evaluate RUN [dataset=… dataset.KEY=VALUE…]",
        (
            RUN,
            ("dataset=…", "other data with the same classes; without it the run's own test split"),
            PLACE,
            ("figures=all|few|none", "which are drawn"),
            *WHERE,
            TRUST,
        ),
        (
            ("labrunner evaluate outputs/runs/RUN", "the test split again, which is counted"),
            ("labrunner evaluate RUN dataset=imagefolder dataset.root=photos", "on photos"),
        ),
    ),
    "export": Usage(
        "labrunner export RUN [file=FILE.onnx]",
        (RUN, ("file=FILE.onnx", "the name of a new file"), TRUST),
        (("labrunner export outputs/runs/RUN file=digits.onnx", "for programs without PyTorch"),),
    ),
    "summary": Usage(
        "labrunner summary [GROUP=OPTION | KEY=VALUE]…",
        (OVERRIDES,),
        (("labrunner summary model=efficientnet_b0 freeze=partial", "what it consists of, what trains"),),
    ),
    "lr-find": Usage(
        "labrunner lr-find [GROUP=OPTION | KEY=VALUE]…",
        (OVERRIDES, ("hydra.run.dir=FOLDER", "where figure and CSV go; otherwise under outputs/lr_find/")),
        (("labrunner lr-find model=cnn optim=sgd", "prints the optim.lr=… to copy"),),
    ),
    "labs": Usage(
        "labrunner labs [LAB]…",
        (("LAB", "what it shows, takes and checks; without it the list"),),
        (("labrunner labs metrics", ""),),
    ),
    "fetch": Usage(
        "labrunner fetch [dataset=…] [model=…] [dataset.root=FOLDER]",
        (OVERRIDES,),
        (("labrunner fetch dataset=cifar10", "into data/"), ("labrunner fetch model=efficientnet_b0", "its weights")),
    ),
    "new": Usage(
        "labrunner new model|dataset|optimizer|probe|experiment NAME",
        (("NAME", "what it will be called by, as in model=tiny"),),
        (("labrunner new model tiny && labrunner model=tiny", "a network to change"),),
    ),
    "grade": Usage(
        "labrunner grade MANIFEST FOLDER… [csv=FILE] [html=FILE]",
        (
            ("MANIFEST", "a YAML of what was to be handed in: docs/course.md"),
            ("FOLDER", "what one student handed in, who is called as it is; several for a class"),
            ("csv=FILE, html=FILE", "where the tables go"),
        ),
        (("labrunner grade lab3.yaml handed-in/*", "a row a student"),),
    ),
    "bundle": Usage(
        "labrunner bundle FOLDER [GROUP=OPTION]… [manifest=FILE]",
        (
            ("FOLDER", "the new folder, to be carried into the room; alone, what it holds and whether it is whole"),
            ("experiment=…, dataset=…, model=…", "what will be run there"),
            ("manifest=FILE", "all that a manifest asks for"),
        ),
        (("labrunner bundle room dataset=cifar10 model=efficientnet_b0", ""),),
    ),
    "completion": Usage(
        "labrunner completion bash|zsh|fish",
        (("bash|zsh|fish", "the shell; the first lines of what is printed say where it belongs"),),
        (('eval "$(labrunner completion bash)"', "in this shell, for now"),),
    ),
    "explain": Usage(
        "labrunner explain WORD…",
        (("WORD", "a key, a group, an option (optim=sgd), a verb, a probe or a fact"),),
        (("labrunner explain optim.lr", ""), ("labrunner explain freeze=gradual", "")),
    ),
}


def verb_page(verb: str, width: int = 100) -> str:
    """What ``labrunner VERB --help`` shows."""
    usage = USAGES[verb]
    what = VERBS[verb]
    lines = [f"usage: {usage.form}", "", *textwrap.wrap(what[0].upper() + what[1:] + ".", width), ""]
    lines += ["takes", *rows(usage.takes, width), "", "examples", *rows(usage.examples, width, column=56)]
    return "\n".join(lines)
