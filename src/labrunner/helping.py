"""What a user can name: groups, options, keys, and their meaning, read from the comments of the YAML files.

This feeds ``--help``, ``explain`` and the errors of misspelt requests, so it must be quick: lines are matched, not
parsed. Values that count come from Hydra's composition, never from here.
"""

from __future__ import annotations

import difflib
import re
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from labrunner import architectures
from labrunner.errors import RequestError

GROUPS = ("model", "dataset", "optim", "schedule", "reg", "init", "freeze", "augment", "experiment")

MEANINGS = {
    "model": "what learns",
    "dataset": "what it learns from",
    "optim": "how a gradient becomes a step",
    "schedule": "how the learning rate changes on the way",
    "reg": "what holds overfitting back",
    "init": "what the weights start from",
    "freeze": "which parameters train",
    "augment": "how training images are varied",
    "experiment": "whole set-ups by name",
}

SYNONYMS = {  # what others call it -> what it is called here
    **dict.fromkeys(("network", "net", "architecture"), "model"),
    **dict.fromkeys(("data", "ds"), "dataset"),
    **dict.fromkeys(("optimizer", "optimiser", "opt"), "optim"),
    **dict.fromkeys(("scheduler", "lr_scheduler", "lr_schedule"), "schedule"),
    **dict.fromkeys(("regularization", "regularizer", "regularisation"), "reg"),
    **dict.fromkeys(("initialization", "initializer", "initialisation"), "init"),
    **dict.fromkeys(("augmentation", "transforms", "transform"), "augment"),
    **dict.fromkeys(("learning_rate", "learningrate", "learn_rate", "eta"), "optim.lr"),
    **dict.fromkeys(("layers", "hidden_layers", "hidden_size", "hidden_sizes", "units", "neurons"), "model.hidden"),
    **dict.fromkeys(("wd", "decay"), "reg.weight_decay"),
    **dict.fromkeys(("clip", "clip_grad", "grad_clip", "gradient_clipping"), "reg.clip_norm"),
    **dict.fromkeys(("batch", "bs", "batchsize", "minibatch"), "batch_size"),
    **dict.fromkeys(("random_seed", "random_state"), "seed"),
    **dict.fromkeys(("metric", "best"), "monitor"),
    **dict.fromkeys(("workers", "processes", "n_jobs", "parallel"), "jobs"),
    "early_stop": "reg.patience",
    "image_size": "dataset.size",
    "resolution": "dataset.size",
    "chosen": "select",
}

LISTED = ("sweep", "checks")  # of an experiment: no section of keys
_KEY = re.compile(
    r"^(?P<indent>\s*)(?P<key>[A-Za-z_]\w*)\s*:"
    r"""(?:\s+(?P<value>"(?:[^"\\]|\\.)*"|'[^']*'|.*?))?(?:\s+#\s*(?P<comment>.*))?\s*$"""
)
_DEFAULT = re.compile(r"^\s+-\s+(?:override\s+)?/?(?P<group>\w+)(?:@[\w.]+)?\s*:\s*(?P<option>\S+)")


def packaged_conf() -> Path:
    """The folder of the shipped YAML: inside the package when installed, beside ``src/`` in a checkout."""
    here = Path(__file__).resolve().parent
    inside = here / "conf"
    return inside if inside.is_dir() else here.parents[1] / "conf"


def own_folders(config_dir: str | None, here: Path | None = None) -> tuple[Path, ...]:
    """The user's conf folders: that of ``--config-dir``, and ``./conf`` unless it is the shipped one."""
    here = here or Path.cwd()
    folders = []
    if config_dir is not None:
        if not Path(config_dir).is_dir():
            raise RequestError(f"--config-dir {config_dir}: there is no such folder")
        folders.append(Path(config_dir).resolve())
    beside = (here / "conf").resolve()
    if any((beside / group).is_dir() for group in GROUPS):
        folders.append(beside)
    shipped = packaged_conf().resolve()
    return tuple(folder for folder in dict.fromkeys(folders) if folder != shipped and not is_checkout(folder))


def is_checkout(conf: Path) -> bool:
    """Whether a conf folder is that of a labrunner checkout, whose options the installed package has already."""
    return (conf / "config.yaml").is_file() and (conf.parent / "src" / "labrunner" / "helping.py").is_file()


@dataclass(frozen=True)
class Key:
    """A key of a YAML file: its value as written there, and the comment behind it."""

    name: str
    value: str
    meaning: str


@dataclass(frozen=True)
class Option:
    """One YAML file of a group."""

    group: str
    name: str
    path: Path
    shipped: bool

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8", errors="replace")

    @cached_property
    def _lines(self) -> list[str]:
        return self.text.splitlines()

    @property
    def meaning(self) -> str:
        """The first comment line that is not an instruction to Hydra."""
        for line in self._lines:
            if line.startswith("#") and not line.lstrip("# ").startswith("@package"):
                return line.lstrip("# ").strip()
            if line.strip() and not line.startswith("#"):
                break
        return ""

    @cached_property
    def keys(self) -> dict[str, Key]:
        """Dotted name inside the file -> key, in the file's order; the names that Hydra owns are left out."""
        return {name: key for name, key in read_keys(self._lines).items() if name not in ("name", "_target_")}

    @property
    def is_own(self) -> bool:
        """Whether it names a class of the user's."""
        return any(line.startswith("_target_:") for line in self._lines)


def read_keys(lines: Iterable[str]) -> dict[str, Key]:
    """The keys of a YAML file with value and comment; sections become dotted names."""
    found: dict[str, Key] = {}
    path: list[tuple[int, str]] = []
    skipping: int | None = None
    for line in lines:
        match = _KEY.match(line)
        indent = len(line) - len(line.lstrip())
        if skipping is not None and (indent > skipping or line.lstrip().startswith("- ")):
            continue
        skipping = None
        if not match:
            continue
        while path and path[-1][0] >= indent:
            path.pop()
        name = ".".join([*(part for _, part in path), match["key"]])
        value = (match["value"] or "").strip()
        is_list = match["key"] in LISTED and (not value or value.startswith("#"))
        if indent == 0 and (match["key"] in ("defaults", "hydra") or is_list):
            skipping = indent
        elif value in ("", "|", ">") or value.startswith("#"):
            path.append((indent, match["key"]))
        else:
            found[name] = Key(name, value, match["comment"] or "")
    return found


@dataclass(frozen=True)
class Catalogue:
    """All options in reach: the shipped ones and those of the user's folders."""

    folders: tuple[Path, ...] = ()  # the user's own conf folders, in order
    _options: dict[str, list[Option]] = field(default_factory=dict)

    def options(self, group: str) -> list[Option]:
        if group not in self._options:
            self._options[group] = [
                Option(group, path.stem, path, shipped=number == 0)
                for number, folder in enumerate((packaged_conf(), *self.folders))
                for path in sorted((folder / group).glob("*.yaml"))
            ]
        return self._options[group]

    def option(self, group: str, name: str) -> Option | None:
        """The option that a name chooses; a shipped one comes first."""
        return next((option for option in self.options(group) if option.name == name), None)

    def clashes(self, group: str, name: str) -> list[Option]:
        return [option for option in self.options(group) if option.name == name]

    def no_option(self, group: str, name: str) -> RequestError:
        """What to say of an option that there is none of, with the nearest that there is."""
        names = [option.name for option in self.options(group)]
        close = next((known for known in names if known.lower() == name.lower()), None) or nearest(name, names)
        hint = f"did you mean {group}={close}? " if close else ""
        if group == "model" and name in architectures.NAMES:
            hint = f"did you mean model=torchvision model.arch={name}? "
        known = f"there is {group}={names[0]} alone" if len(names) == 1 else f"there are {', '.join(names)}"
        return RequestError(f"there is no {group}={name}\n{hint}{known}")

    def choices_named(self, word: str) -> list[str]:
        """What a bare word may have meant: ``model=cnn`` for cnn."""
        return [f"{group}={word}" for group in GROUPS if self.option(group, word) is not None]

    @cached_property
    def top(self) -> dict[str, Key]:
        """The keys of config.yaml."""
        return read_keys((packaged_conf() / "config.yaml").read_text(encoding="utf-8").splitlines())

    @cached_property
    def defaults(self) -> dict[str, str]:
        """Group -> the option that is chosen when nothing is said."""
        lines = (packaged_conf() / "config.yaml").read_text(encoding="utf-8").splitlines()
        return {match["group"]: match["option"] for line in lines if (match := _DEFAULT.match(line))}

    def owners(self, key: str) -> list[tuple[Option, Key]]:
        """The options that have a key such as ``optim.lr``."""
        group, _, rest = key.partition(".")
        if group not in GROUPS or not rest:
            return []
        return [(option, option.keys[rest]) for option in self.options(group) if rest in option.keys]

    def all_keys(self) -> list[str]:
        """Every key in reach: top-level ones first, then ``group.key``."""
        names = dict.fromkeys(self.top)
        for group in GROUPS:
            if group != "experiment":
                for option in self.options(group):
                    names.update(dict.fromkeys(f"{group}.{key}" for key in option.keys))
        return list(names)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that was probably meant; for ``lr`` also ``optim.lr``, for a beginning the whole."""
    known = list(known)
    if (other := SYNONYMS.get(word.rpartition(".")[2])) in known:
        return other
    begun = word if "." in word else f"{word}."
    if whole := [name for name in known if name.startswith(begun)]:
        return whole[0]
    tails = [name for name in known if name.rpartition(".")[2] == word.rpartition(".")[2]]
    if tails:
        return max(tails, key=lambda name: difflib.SequenceMatcher(None, word, name).ratio())
    found = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    if found:
        return found[0]
    by_tail = {name.rpartition(".")[2]: name for name in reversed(known)}
    found = difflib.get_close_matches(word.rpartition(".")[2], by_tail, n=1, cutoff=0.6)
    return by_tail[found[0]] if found else None


VERBS_BY_USE = {
    "verbs that make runs": {
        "train": "run what the overrides say; the verb may be left out",
        "resume": "finish a cut run or sweep, or extend a finished run",
        "plan": "what a command would make, how long it takes and how much disk; writes nothing",
        "lr-find": "a learning rate to begin with, by a range test of a few hundred steps",
        "summary": "the model's table of layers, without training",
        "labs": "the labs of the course: what they show, how long they take, what one checks",
        "fetch": "download a data set, or weights, ahead of an offline lab",
    },
    "verbs that look at runs": {
        "ls": "the runs and sweeps under outputs/, with status and headline",
        "open": "show a report in the browser, the newest where none is named",
        "report": "draw figures and report again, from the files",
        "compare": "runs beside each other, in table and figures",
        "doctor": "whether a run folder is whole, what can be resumed, and what its history shows",
    },
    "verbs that use a run": {
        "predict": "what a run says of images, or of the rows of a CSV",
        "evaluate": "a run on its test split again, or on other data",
        "export": "the model of a run as an ONNX file, checked against it",
    },
    "verbs for something of your own, and for a course": {
        "new": "a small working model, data set, optimizer, probe or experiment of your own",
        "bundle": "a folder with data and weights for a room without a network",
        "grade": "runs that were handed in, held against a lecturer's manifest",
    },
    "verbs that help": {
        "explain": "what a key or an option means, and what it takes",
        "completion": "what makes the shell complete verbs, options and keys",
    },
}
VERBS = {verb: meaning for verbs in VERBS_BY_USE.values() for verb, meaning in verbs.items()}

FLAGS = {
    "-m, --multirun": "a sweep: a run for each value, and for each combination of several keys",
    "--help, -h": "this page; behind a verb what that takes: resume --help",
    "--version": "the version",
    "--cfg job": "print the composed config and stop (job, hydra or all)",
    "--config-dir DIR": "a folder with options of your own, beside ./conf",
    "--trust": "let a saved config name code outside the current folder",
}

FIRST = (
    ("labrunner", "a first run: an MLP on digits"),
    ("labrunner open", "its report, in the browser"),
    ("labrunner model=cnn optim.lr=0.01", "another model and learning rate"),
    ("labrunner -m optim.lr=0.001,0.01,0.1", "a sweep: a run for each, compared"),
    ("labrunner labs", "the labs of the course"),
)
ONWARD = (
    ("labrunner VERB --help", "what a verb takes, with examples"),
    ("labrunner explain WORD", "what a key, group or option means"),
    ("labrunner --help | less", "all that follows, page by page"),
)
EXAMPLES = (
    ("labrunner optim=sgd optim.momentum=0.9 reg=dropout", "presets, and keys of theirs"),
    ("labrunner -m model=mlp,cnn 'seed=range(3)' jobs=2", "six runs, two at a time"),
    ("labrunner summary model=cnn dataset=mnist5k", "look before training"),
    ("labrunner resume outputs/runs/RUN epochs=40", "go on"),
)


def help_page(catalogue: Catalogue, width: int = 100) -> str:
    """The page of ``--help``: on its first screen of 24 lines how to begin, then all that can be named."""
    lines = ["usage: labrunner [VERB] [GROUP=OPTION | KEY=VALUE]… [FLAG]…", ""]
    what = "Run a deep-learning experiment and leave a folder with everything about it under outputs/."
    lines += [*textwrap.wrap(what, width), ""]
    lines += _table("to begin", FIRST, width, column=40) + _table("to go on", ONWARD, width, column=40)
    for title, verbs in VERBS_BY_USE.items():
        lines += _table(title, verbs.items(), width, column=13)
    lines += _table("flags, before or after the rest", FLAGS.items(), width, column=20)
    lines += ["groups and their options (* is the default)"]
    for group in GROUPS:
        options = catalogue.options(group)
        if not options:
            continue
        lines.append(f"  {group}=…  {MEANINGS[group]}")
        named = []
        for option in options:
            mark = "*" if catalogue.defaults.get(group) == option.name else " "
            own = "" if option.shipped else " (yours)"
            named.append((f"{mark} {option.name}", option.meaning + own))
        lines += rows(named, width, indent=4)
    lines.append("")
    top = ((f"{key.name}={key.value}", key.meaning) for key in catalogue.top.values())
    lines += _table("keys of every run", top, width)
    lines += ["keys of the default options (explain KEY tells more)"]
    for group in GROUPS:
        default = catalogue.option(group, catalogue.defaults.get(group, ""))
        if default is not None:
            keys = default.keys.values()
            lines += rows(((f"{group}.{key.name}={key.value}", key.meaning) for key in keys), width)
    lines.append("")
    lines += _table("more examples", EXAMPLES, width, column=54)
    # what a terminal shows of a long page is its end
    lines.append("how to begin stands at the top of this page: labrunner --help | less")
    return "\n".join(lines).rstrip()


def _table(title: str, pairs: Iterable[tuple[str, str]], width: int, column: int = 30) -> list[str]:
    return [title, *rows(pairs, width, column=column), ""]


def rows(pairs: Iterable[tuple[str, str]], width: int, indent: int = 2, column: int = 30) -> list[str]:
    """Two columns; what is meant wraps beside what is typed."""
    lines = []
    for left, right in pairs:
        head = f"{' ' * indent}{left}"
        wrapped = textwrap.wrap(right, width - column - 2) or [""]
        if len(head) > column:
            lines.append(head)
            head = ""
        lines.append(f"{head:<{column}}  {wrapped[0]}".rstrip())
        lines += [f"{'':<{column}}  {line}" for line in wrapped[1:]]
    return lines
