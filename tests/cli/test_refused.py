"""Wrong requests: exit 2, one to three lines that name the key and the way out, and nothing is left behind."""

from __future__ import annotations

import os
import re

import pytest

from labrunner import schema
from tests.cli.lab import Lab, tree
from tests.lines import cases, line

SECRET = "s3cret-of-the-environment"

# what was typed -> words that the message must hold
REFUSED: dict[str, tuple[str, ...]] = {
    # names
    "modle=cnn": ("no key modle", "did you mean model?"),
    "model=resnet18": ("no model=resnet18", "did you mean model=torchvision model.arch=resnet18?"),
    "dataset=MNIST": ("no dataset=MNIST", "did you mean dataset=mnist?"),
    "optim=SGD": ("no optim=SGD", "did you mean optim=sgd?"),
    "model=cnnn": ("no model=cnnn", "did you mean model=cnn?", "mlp_numpy"),
    "model=MLP": ("no model=MLP", "mlp"),
    "dataset=digit": ("no dataset=digit", "did you mean dataset=digits?"),
    "optim=adamx": ("no optim=adamx", "did you mean optim=adam?"),
    "schedule=cosin": ("did you mean schedule=cosine?",),
    "reg=early": ("no reg=early", "early_stopping"),
    "init=xavir": ("did you mean init=xavier?",),
    "augment=shft": ("did you mean augment=shift?",),
    "freeze=backbon": ("no freeze=backbon", "did you mean freeze=backbone?"),
    "freeze.stages=2": ("freeze.stages", "belongs to freeze=partial"),
    "experiment=smoke": ("no experiment=smoke", "did you mean experiment=smoke_"),
    "optim.lrr=1": ("no key optim.lrr", "did you mean optim.lr?"),
    "lr=1": ("no key lr", "did you mean optim.lr?"),
    "dropout=0.5": ("no key dropout", "did you mean reg.dropout?"),
    "epoch=3": ("no key epoch", "did you mean epochs?"),
    "Seed=1": ("no key Seed", "did you mean seed?"),
    "models.hidden=[3]": ("no key models.hidden", "did you mean model.hidden?"),
    "optim.name=sgd": ("optim.name is reserved", "optim="),
    "hydra.foo=1": ("hydra.foo would have no effect", "hydra.run.dir"),
    "hydra.run.dri=x": ("no key hydra.run.dri", "did you mean hydra.run.dir?"),
    "hydra.verbose=true": ("hydra.verbose would have no effect",),
    "hydra.sweep.dir=x": ("hydra.sweep.dir", "hydra.run.dir"),
    "+hydra.sweeper.params.seed=1": ("hydra.sweeper", "labrunner -m"),
    "hydra.searchpath=[/tmp]": ("--config-dir",),
    "model/mlp=3": ("model/mlp",),
    "model@x=cnn": ("model@x",),
    ".lr=3": ("no key .lr", "optim.lr"),
    "=3": ("'=3'", "key=value"),
    "optim.=3": ("optim.",),
    "+extra=1": ("no key extra",),
    "~seed": ("~seed", "cannot be taken away"),
    "~model": ("~model", "cannot be taken away"),
    # keys of options that were not chosen
    "optim.momentum=0.9": ("optim.momentum", "belongs to optim=rmsprop, optim=sgd"),
    "schedule.min_lr=0": ("schedule.min_lr", "belongs to schedule=cosine, schedule=plateau"),
    "model.channels=[3]": ("model.channels", "belongs to model=cnn"),
    "model=cnn model.hidden=[3]": ("model.hidden", "belongs to model=mlp"),
    "dataset.samples=100": ("dataset.samples", "belongs to", "dataset=fake"),
    "dataset.test_fraction=0.1 dataset=cifar10": ("dataset.test_fraction", "belongs to"),
    "dataset.size=9 dataset=iris": ("dataset.size", "belongs to"),
    # no value, or not one
    "optim.lr=": ("optim.lr= has no value", "a number above 0"),
    "model=": ("model= has no value", "cnn"),
    "hydra.run.dir=": ("hydra.run.dir= has no value",),
    "seed": ("'seed'", "key=value"),
    "seed=???": ("seed", "???"),
    "seed=null": ("seed=null", "whole number"),
    "model=null": ("model=null", "mlp"),
    "optim=null": ("optim=null", "adam"),
    "optim={}": ("optim={}", "adam"),
    "optim.lr={a:1}": ("optim.lr",),
    "optim.lr=1,2": ("optim.lr=1,2", "several values", "labrunner -m optim.lr=1,2"),
    "optim.lr=range(3)": ("optim.lr=range(3)", "several values"),
    "seed=choice(1,2)": ("seed=choice(1,2)", "several values"),
    "model=mlp,cnn": ("model=mlp,cnn", "several values"),
    "model=glob(*)": ("model=glob(*)", "several values"),
    "hydra.mode=x": ("hydra.mode=x", "MULTIRUN", "RUN"),
    "-m optim.lr=1,-2": ("optim.lr=-2", "above 0"),
    "optim.lr=1 --multirum": ("no flag --multirum", "did you mean --multirun?"),
    "optim.lr=(1": ("optim.lr=(1", "quotes"),
    "model.hidden=[1": ("model.hidden=[1", "quotes"),
    "optim.lr='1": ("optim.lr='1", "quotes"),
    "model.hidden=[[1]]": ("model.hidden", "a list"),
    f"model.hidden={'[' * 3000}": ("model.hidden",),
    # interpolations
    "seed=${oc.env:SECRET_WORD}": ("seed", "environment"),
    "seed=${ oc.env:SECRET_WORD }": ("seed", "environment"),
    "hydra.run.dir=${oc.env:SECRET_WORD}": ("hydra.run.dir", "environment"),
    "hydra.job.name=${oc.env:SECRET_WORD}": ("hydra.job.name", "environment"),
    "seed=${oc.decode:1}": ("seed",),
    "seed=${oc.select:epochs}": ("seed",),
    "seed=${nothing}": ("seed=${nothing}", "nothing"),
    "seed=${epochs}x": ("seed=30x", "whole number"),
    "seed=${unheard:1}": ("seed", "unheard"),
    # flags and verbs
    "--hlep": ("no flag --hlep", "did you mean --help?"),
    "--epochs 3": ("no flag --epochs",),
    "-x": ("no flag -x", "--help"),
    "--cfg": ("--cfg takes a value", "--cfg job"),
    "--cfg jb": ("--cfg jb", "job, hydra or all"),
    "--cfg --help": ("--cfg takes a value",),
    "--config-dir": ("--config-dir takes a value",),
    "--config-dir nowhere": ("--config-dir nowhere", "no such folder"),
    "--config-dir=nowhere": ("--config-dir nowhere", "no such folder"),
    "trian": ("no verb trian", "did you mean: labrunner train"),
    "fly": ("'fly'", "resume"),
    "seed=1 resume run": ("resume", "first"),
    "resume notes --cfg job": ("--cfg", "resume"),
    "summary notes": ("notes",),
    "summary optim.lr=-1": ("optim.lr=-1", "above 0"),
    "explain": ("explain optim.lr",),
    "explain optim.lrr": ("no key optim.lrr", "did you mean optim.lr?"),
    "dataset=csv dataset.path=x.csv dataset.features=[a(b)]": ("dataset.features", "needs quotes"),
    "explain checkpoint.every": ("no key checkpoint.every", "did you mean checkpoint.every_"),
    "checkpoint=5": ("no key checkpoint", "did you mean checkpoint.every_"),
    "explain optm": ("no key optm", "did you mean optim?"),
    "explain optim=sgdd": ("no optim=sgdd", "did you mean optim=sgd?"),
    # run folders
    "resume": ("resume takes one run or sweep",),
    "resume notes notes": ("resume takes one run or sweep",),
    "resume nowhere": ("no run folder nowhere",),
    "resume notes": ("notes is no run folder", "config.yaml"),
    "resume notes/a.txt": ("notes/a.txt",),
    "hydra.run.dir=notes": ("notes is not empty", "hydra.run.dir"),
    "hydra.run.dir=notes/a.txt": ("notes/a.txt is a file",),
    "hydra.run.dir=notes/a.txt/deeper": ("notes/a.txt/deeper",),
    "hydra.run.dir=.": ("not empty", "hydra.run.dir"),
    # combinations
    "dataset.val_fraction=0.5 dataset.test_fraction=0.5": ("val_fraction", "test_fraction", "below 1"),
    "dataset=fake dataset.samples=10 dataset.val_fraction=.5 dataset.test_fraction=.49": ("no sample of fake",),
    "reg.patience=3 dataset.val_fraction=0": ("reg.patience=3", "val_loss", "monitor=train_loss"),
    "reg.patience=3 dataset=fake dataset.samples=20 dataset.val_fraction=0.01": (
        "reg.patience=3",
        "no validation",
        "larger",
    ),
    "optim=sgd optim.nesterov=true": ("optim.nesterov", "optim.momentum=0.9"),
    "reg=dropout model.hidden=[]": ("reg.dropout=0.5", "model.hidden=[128]"),
    "schedule=cosine schedule.min_lr=1": ("schedule.min_lr=1", "optim.lr=0.001"),
    "reg.patience=3 dataset=quadratic model=adaline": ("reg.patience=3", "no validation", "monitor=train_loss"),
    "schedule=plateau dataset.val_fraction=0": ("schedule=plateau", "val_loss", "monitor=train_loss"),
    "reg.patience=3 monitor=train_accuracy reg.mixup=0.2": ("reg.patience=3", "train_accuracy", "monitor=train_loss"),
    "model=softmax reg.dropout=0.1": ("reg.dropout=0.1", "model=softmax", "model=mlp"),
    "model=perceptron reg=dropout": ("reg.dropout=0.5", "model=perceptron", "reg.dropout=0"),
    "model=perceptron optim=adam": ("model=perceptron", "optim=adam", "optim=sgd"),
    "model=perceptron optim.momentum=0.9": ("optim.momentum=0.9", "Rosenblatt", "optim.momentum=0"),
    "model=perceptron reg=l2": ("reg.weight_decay=0.001", "Rosenblatt", "reg.weight_decay=0"),
    "model=perceptron reg=l1": ("reg.l1=0.0001", "reg.l1=0"),
    "model=perceptron reg=smoothing": ("reg.label_smoothing=0.1", "reg.label_smoothing=0"),
    "model=perceptron reg=mixup": ("reg.mixup=0.2", "reg.mixup=0"),
    "model=perceptron reg=cutmix": ("reg.cutmix=1.0", "reg.cutmix=0"),
    "reg=cutmix reg.mixup=0.2": ("reg.mixup=0.2", "reg.cutmix=1.0", "try reg.mixup=0 or reg.cutmix=0"),
    "reg=cutmix dataset=iris": ("reg.cutmix=1.0", "dataset=iris is a table", "reg.cutmix=0"),
    "reg.patience=3 monitor=train_accuracy reg=cutmix": ("reg.patience=3", "train_accuracy", "monitor=train_loss"),
    "model=perceptron reg=clip": ("reg.clip_norm=1.0", "reg.clip_norm=null"),
    "model=perceptron dataset=quadratic": ("model=perceptron", "dataset=quadratic", "model=adaline"),
    "model=neuron": ("model=neuron", "dataset=digits has 10", "model=softmax", "dataset.classes=[0,1]"),
    "model=cnn dataset=iris": ("model=cnn", "dataset=iris is a table", "model=mlp"),
    "model=lenet": ("model=lenet", "8 x 8", "dataset.size=28", "model=cnn"),
    "model=lenet dataset=moons": ("model=lenet", "dataset=moons is a table", "model=mlp"),
    "augment=shift dataset=iris": ("augment=shift", "dataset=iris is a table", "augment=none"),
    "augment.flip=0.5 dataset=wine": ("augment.flip=0.5", "dataset=wine is a table", "augment.flip=0"),
    "augment=photo dataset=iris": ("augment=photo", "dataset=iris is a table", "augment=none"),
    "augment.randaugment=2 dataset=wine": ("augment.randaugment=2", "dataset=wine is a table", "augment.randaugment=0"),
    "augment=shift augment.shift=8": ("augment.shift=8", "8 x 8", "augment.shift=2"),
    "model.batch_norm=true batch_size=1": ("model.batch_norm=true", "batch_size=1", "batch_size=32"),
    "model.batch_norm=true batch_size=154": ("batch_size=154", "one sample of 1079", "batch_size=155"),
    "model.batch_norm=true model.hidden=[]": (
        "model.batch_norm=true",
        "model.hidden=[] has none",
        "model.hidden=[128]",
    ),
    "schedule.warmup=3 epochs=3": ("schedule.warmup=3", "epochs=3", "schedule.warmup=1"),
    "schedule=cosine schedule.warmup=50": ("schedule.warmup=50", "epochs=30", "schedule.warmup=15"),
    "schedule.warmup=1 epochs=1": ("schedule.warmup=1", "epochs=10"),
    "dataset=fake dataset.size=null": ("dataset.size=null", "dataset.size=16"),
    "dataset.classes=[0,ten]": ("dataset.classes", "ten"),
    "dataset.classes=[3]": ("dataset.classes=[3]", "at least 2"),
    "dataset=csv": ("dataset.path", "???"),
    "dataset=csv dataset.path=nowhere.csv": ("dataset.path=nowhere.csv",),
    "model=mlp_numpy device=cuda": ("mlp_numpy", "device=cuda", "device=cpu"),
    "model=adaline device=cuda": ("model=adaline", "device=cuda", "model=softmax"),
    "model=perceptron precision=bf16": ("precision=bf16", "model=perceptron", "precision=float32"),
    "model=softmax freeze=backbone": ("freeze=backbone", "model=softmax", "model=mlp", "freeze=none"),
    "model=mlp_numpy freeze=gradual": ("freeze=gradual", "model=mlp_numpy", "try model=mlp", "freeze=none"),
    "model=adaline freeze.head_factor=2": ("freeze.head_factor=2", "model=adaline", "freeze.head_factor=1"),
    "model.hidden=[] freeze=partial": ("freeze=partial", "no weights in front of its head", "freeze=none"),
    "freeze=partial freeze.stages=2": ("freeze.stages=2", "1 stages", "at most 1"),
    "freeze=linear_probe_then_finetune epochs=5": ("freeze.probe_epochs=5", "epochs=5", "freeze.probe_epochs=2"),
    "freeze=patterns freeze.train=[head]": ("freeze.train=", "a mapping"),
    "freeze=patterns freeze.train=[{epoch:1}]": ("freeze.train[0]", "{epoch: 1, train: [head]}"),
    "freeze=patterns freeze.train=[{epoch:2,train:[head]}]": ("freeze.train", "epoch: 1"),
    "freeze=patterns freeze.train=[{epoch:1,train:[hed]}]": ("freeze.train[0]", "matches hed", "head.weight"),
    "freeze=patterns freeze.train=[{epoch:1,train:[head]},{epoch:1,train:[head]}]": ("freeze.train[1].epoch=1", "once"),
    "freeze=patterns freeze.train=[{epoch:1,train:head}]": ("freeze.train[0].train=head", "a list of names"),
    "fetch cifar10": ("cifar10", "dataset=cifar10"),
    "device=mps precision=float64": ("device=mps", "float64"),
    "model=torchvision model.arch=resnt18 dataset=fake": ("model.arch=resnt18", "did you mean resnet18?"),
    "plan model=torchvision model.arch=resnt18 dataset=fake": ("model.arch=resnt18", "did you mean resnet18?"),
    "-m model=torchvision model.arch=resnet18,resnt18 dataset=fake": ("run 1", "model.arch=resnt18", "resnet18?"),
    "plan -m model=torchvision model.arch=resnet18,resnt18 dataset=fake": ("model.arch=resnt18", "resnet18?"),
    "model=cnn model.kernel=4": ("model.kernel=4", "model.kernel=5"),
    "model=cnn model.channels=[1,1,1,1]": ("8 x 8", "at most 3"),
    "experiment=smoke_cnn model.channels=[1,1,1,1]": ("8 x 8", "at most 3"),
}

# a key -> values that its type or range leaves out; each message names key and value and says what it takes
WRONG: dict[str, tuple[str, ...]] = {
    "seed": ("-1", "1.5", "true", "abc", "9223372036854775808", "1e3", "[1]", "''"),
    "epochs": ("0", "-3", "2.5", "true", "null", "nan", "many"),
    "batch_size": ("0", "half", "1.5", "null", "true"),
    "monitor": ("val_acc", "loss", "null", "3"),
    "jobs": ("0", "-1", "1.5", "many", "257"),
    "cache": ("''",),
    "checkpoint.every_batches": ("0", "-1", "1.5", "true", "often"),
    "checkpoint.every_minutes": ("0", "-1", "true", "often", "nan"),
    "fail_fast": ("maybe", "1", "null"),
    "select": ("beast", "null", "true"),
    "device": ("gpu", "cuda:0", "null", "0"),
    "precision": ("float16", "32", "double"),
    "threads": ("0", "-1", "all", "1.0", "1025"),
    "figures": ("some", "true", "null"),
    "logger": ("tensorbord", "true", "null"),
    "smoke": ("1", "yes", "null", "0.0"),
    "model.hidden": ("128", "[0]", "[12,abc]", "[1.5]", "null", "[nan]", "[true]", "{a:1}"),
    "model.activation": ("rellu", "null", "RELU"),
    "model.channels": ("[]", "3", "[0]", "[1.5]", "null"),
    "model.kernel": ("0", "-3", "1.5", "null"),
    "model.pooling": ("mx", "null", "true"),
    "model.batch_norm": ("1", "maybe", "null"),
    "model.loss": ("mae", "null"),
    "model.bias": ("1", "null"),
    "model.arch": ("3", "null", "[resnet18]", "''"),
    "model.weights": ("3", "null", "true", "[]", "[1]"),
    "dataset.val_fraction": ("1", "-0.1", "1.5", "nan", "inf", "abc", "null", "true"),
    "dataset.test_fraction": ("1", "-0.1", "nan", "abc", "null"),
    "dataset.split_seed": ("-1", "0.5", "a", "null"),
    "dataset.normalize": ("standart", "true", "null"),
    "dataset.samples": ("9", "1.5", "all", "null"),
    "dataset.num_classes": ("1", "2.5", "null", "true"),
    "dataset.channels": ("2", "true", "1.0", "null"),
    "dataset.size": ("0", "2000", "8.5", "big"),
    "dataset.noise": ("-1", "nan", "inf", "null"),
    "dataset.seed": ("-1", "1.5", "null"),
    "dataset.classes": ("3", "[]", "[[1]]", "cat"),
    "dataset.per_class": ("0", "1.5", "all"),
    "dataset.skip_bad": ("maybe", "1", "null"),
    "dataset.memory": ("0", "-1", "nan", "inf", "much", "null"),
    "dataset.label_noise": ("1", "-0.1", "nan", "null"),
    "dataset.subset": ("letter", "null"),
    "dataset.root": ("''",),
    "dataset.path": ("''",),
    "dataset.features": ("[]", "age", "[[1]]"),
    "dataset.label": ("[1]", "1.5"),
    "optim.lr": ("0", "-1", "nan", "inf", "-inf", "abc", "[1]", "null", "true", "0,1"),
    "optim.momentum": ("1", "-0.1", "nan", "abc"),
    "optim.nesterov": ("1", "maybe", "null"),
    "optim.betas": ("[.9]", "[.9,1.0]", "[.9,.9,.9]", "0.9", "[.9,nan]", "null"),
    "optim.eps": ("0", "-1", "nan", "null"),
    "optim.alpha": ("1", "-0.1", "nan", "null"),
    "schedule.min_lr": ("-1", "nan", "abc", "null"),
    "schedule.step_size": ("0", "1.5", "null"),
    "schedule.milestones": ("[]", "3", "[0]", "[1.5]"),
    "schedule.gamma": ("0", "1.1", "nan", "null"),
    "schedule.pct_start": ("0", "1", "null"),
    "schedule.div_factor": ("0.5", "nan", "null"),
    "schedule.final_div_factor": ("0", "null"),
    "schedule.factor": ("0", "1", "null"),
    "schedule.patience": ("-1", "1.5", "null"),
    "schedule.warmup": ("-1", "1.5", "null"),
    "init.value": ("nan", "inf", "one", "null"),
    "init.std": ("0", "-1", "nan", "null"),
    "init.weights": ("0.1", "[one]", "[2000]", "null"),
    "init.biases": ("0.1", "[one]", "[2000]", "null"),
    "dataset.shares": ("0.5", "[1]", "[0,1]", "[-1,2]", "null"),
    "probes": ("gradients", "[gradient]", "[7]", "null"),
    "checks": ("none", "[1]", "null"),
    "strict": ("maybe", "1", "null"),
    "freeze.stages": ("0", "-1", "1.5", "all", "null"),
    "freeze.every": ("0", "0.5", "never", "null"),
    "freeze.probe_epochs": ("0", "-1", "2.5", "null"),
    "freeze.train": ("[]", "head", "[head]", "[3]", "{epoch:1}", "null"),
    "freeze.head_factor": ("0", "-1", "1001", "nan", "inf", "null", "true"),
    "freeze.stage_factor": ("0", "-0.5", "11", "nan", "null"),
    "freeze.cache": ("maybe", "1", "null"),
    "augment.shift": ("-1", "1.5", "null"),
    "augment.rotate": ("-1", "181", "nan", "null"),
    "augment.flip": ("1.1", "-0.1", "true", "null"),
    "augment.crop": ("-1", "0.5", "null"),
    "augment.resized_crop": ("-0.1", "1.1", "nan", "null"),
    "augment.jitter": ("-0.1", "1.1", "nan", "null"),
    "augment.randaugment": ("-1", "11", "1.5", "null"),
    "augment.magnitude": ("-1", "31", "0.5", "null"),
    "reg.dropout": ("1", "-0.1", "nan", "half", "null"),
    "reg.weight_decay": ("-1", "inf", "abc", "null"),
    "reg.decay_all": ("maybe", "1", "null"),
    "reg.l1": ("-1", "inf", "null"),
    "reg.label_smoothing": ("1", "-0.1", "nan", "null"),
    "reg.mixup": ("-1", "nan", "null"),
    "reg.cutmix": ("-1", "nan", "null"),
    "reg.clip_norm": ("0", "-1", "nan", "never"),
    "reg.patience": ("0", "-1", "1.5", "never", "true"),
}

OWNERS = {
    "model.channels": "model=cnn",
    "model.kernel": "model=cnn",
    "model.pooling": "model=cnn",
    "model.bias": "model=adaline",
    "model.arch": "model=torchvision",
    "model.weights": "model=cnn",
    "freeze.stages": "freeze=partial",
    "freeze.every": "freeze=gradual",
    "freeze.probe_epochs": "freeze=linear_probe_then_finetune",
    "freeze.train": "freeze=patterns",
    "dataset.skip_bad": "dataset=imagefolder dataset.root=x",
    "dataset.memory": "dataset=imagefolder dataset.root=x",
    "dataset.samples": "dataset=fake",
    "dataset.num_classes": "dataset=fake",
    "dataset.channels": "dataset=fake",
    "dataset.noise": "dataset=fake",
    "dataset.seed": "dataset=moons",
    "dataset.subset": "dataset=emnist",
    "dataset.root": "dataset=mnist",
    "dataset.path": "dataset=csv",
    "dataset.features": "dataset=csv dataset.path=x.csv",
    "dataset.label": "dataset=csv dataset.path=x.csv",
    "optim.momentum": "optim=sgd",
    "optim.nesterov": "optim=sgd",
    "optim.alpha": "optim=rmsprop",
    "schedule.min_lr": "schedule=cosine",
    "schedule.step_size": "schedule=step",
    "schedule.milestones": "schedule=multistep",
    "schedule.gamma": "schedule=step",
    "schedule.pct_start": "schedule=onecycle",
    "schedule.div_factor": "schedule=onecycle",
    "schedule.final_div_factor": "schedule=onecycle",
    "schedule.factor": "schedule=plateau",
    "schedule.patience": "schedule=plateau",
    "init.value": "init=constant",
    "init.std": "init=normal",
    "init.weights": "init=given model=softmax",
    "init.biases": "init=given model=softmax",
    "dataset.shares": "dataset=imbalanced",
}

# files of the user's, what was typed, words of the message
OWN: dict[str, tuple[dict[str, str], str, tuple[str, ...]]] = {
    "YAML that is none": (
        {"conf/model/tiny.yaml": "_target_: nets.Tiny\nwidth: [1, 2\ndepth: 3\n"},
        "model=tiny",
        ("tiny.yaml:3:",),
    ),
    "a tab in YAML": ({"conf/model/tiny.yaml": "_target_: nets.Tiny\n\twidth: 3\n"}, "model=tiny", ("tiny.yaml:2:1",)),
    "a key twice in YAML": (
        {"conf/model/tiny.yaml": "_target_: nets.Tiny\nwidth: 1\nwidth: 2\n"},
        "model=tiny",
        ("tiny.yaml:3:1", "width"),
    ),
    "YAML that is a list": ({"conf/model/tiny.yaml": "- 1\n- 2\n"}, "model=tiny", ("tiny",)),
    "an empty YAML": ({"conf/model/tiny.yaml": ""}, "model=tiny", ("model", "_target_")),
    "YAML in another encoding": ({"conf/model/tiny.yaml": "LATIN"}, "model=tiny", ("tiny.yaml", "utf-8")),
    "a clash with a shipped option": (
        {"conf/model/mlp.yaml": "_target_: nets.Tiny\n"},
        "model=mlp",
        ("model=mlp", "conf/model/mlp.yaml", "another name"),
    ),
    "a clash with the default": (
        {"conf/optim/adam.yaml": "name: adam\nlr: 9\n"},
        "",
        ("optim=adam", "conf/optim/adam.yaml", "another name"),
    ),
    "neither name nor target": ({"conf/model/tiny.yaml": "width: 3\n"}, "model=tiny", ("model", "_target_")),
    "a name that is none": ({"conf/model/tiny.yaml": "name: tiny\n"}, "model=tiny", ("name: tiny", "_target_")),
    "a preset with a misspelt key": (
        {"conf/optim/fast.yaml": "name: adam\nlrr: 0.1\nlr: 0.1\nbetas: [0.9, 0.999]\neps: 0.1\n"},
        "optim=fast",
        ("optim.lrr", "optim.lr"),
    ),
    "a preset with a key left out": ({"conf/optim/fast.yaml": "name: adam\nlr: 0.1\n"}, "optim=fast", ("optim.betas",)),
    "a preset out of range": (
        {"conf/optim/fast.yaml": "name: sgd\nlr: -1\nmomentum: 0.0\nnesterov: false\n"},
        "optim=fast",
        ("optim.lr=-1", "above 0"),
    ),
    "a number with a typing error": (
        {"conf/optim/fast.yaml": "name: sgd\nlr: 0,1\nmomentum: 0.0\nnesterov: false\n"},
        "optim=fast",
        ("optim.lr=0,1", "above 0"),
    ),
    "a data set of the user's": (
        {"conf/dataset/mine.yaml": "_target_: nets.Tiny\n"},
        "dataset=mine",
        ("dataset", "_target_"),
    ),
    "an optimizer of the user's": (
        {"conf/optim/mine.yaml": "_target_: nets.Tiny\n"},
        "optim=mine",
        ("optim", "_target_"),
    ),
    "a regularizer of the user's": ({"conf/reg/mine.yaml": "_target_: nets.Tiny\n"}, "reg=mine", ("reg", "_target_")),
    "an experiment's misspelt key": (
        {"conf/experiment/mine.yaml": "# @package _global_\noptim:\n  lrr: 3\n"},
        "experiment=mine",
        ("optim.lrr", "did you mean optim.lr?"),
    ),
    "an experiment's misspelt top key": (
        {"conf/experiment/mine.yaml": "# @package _global_\nepohcs: 3\n"},
        "experiment=mine",
        ("epohcs", "did you mean epochs?"),
    ),
    "an experiment's misspelt option": (
        {"conf/experiment/mine.yaml": "# @package _global_\ndefaults:\n  - override /model: cnnn\n"},
        "experiment=mine",
        ("model=cnnn", "did you mean cnn?"),
    ),
    "an experiment's misspelt group": (
        {"conf/experiment/mine.yaml": "# @package _global_\ndefaults:\n  - override /modle: cnn\n"},
        "experiment=mine",
        ("experiment/mine.yaml", "modle", "did you mean model?"),
    ),
    "an experiment that sweeps over a key that is none": (
        {
            "conf/experiment/mine.yaml": "# @package _global_\n"
            "hydra:\n  mode: MULTIRUN\n  sweeper:\n    params:\n      sed: 1,2\n"
        },
        "experiment=mine",
        ("sed", "did you mean seed?"),
    ),
    "a summary of an experiment that sweeps": (
        {
            "conf/experiment/mine.yaml": "# @package _global_\n"
            "hydra:\n  mode: MULTIRUN\n  sweeper:\n    params:\n      seed: 1,2\n"
        },
        "summary experiment=mine",
        ("experiment=mine", "hydra.mode=RUN"),
    ),
    "an experiment's wrong type": (
        {"conf/experiment/mine.yaml": "# @package _global_\nepochs: many\n"},
        "experiment=mine",
        ("epochs=many", "whole number"),
    ),
    "an experiment without its package line": (
        {"conf/experiment/mine.yaml": "epochs: 3\n"},
        "experiment=mine",
        ("experiment=mine", "# @package _global_"),
    ),
    "an experiment that takes a group away": (
        {"conf/experiment/mine.yaml": "# @package _global_\noptim: null\n"},
        "experiment=mine",
        ("optim",),
    ),
    "an environment variable in YAML": (
        {"conf/experiment/mine.yaml": "# @package _global_\nseed: ${oc.env:SECRET_WORD}\n"},
        "experiment=mine",
        ("seed", "oc.env"),
    ),
    "an environment variable for the folder": (
        {"conf/experiment/mine.yaml": "# @package _global_\nhydra:\n  run:\n    dir: ${oc.env:SECRET_WORD}\n"},
        "experiment=mine",
        ("oc.env",),
    ),
    "a value left open": (
        {"conf/model/tiny.yaml": "_target_: nets.Tiny\nwidth: ???\n"},
        "model=tiny",
        ("model.width has no value yet", "give it one: model.width="),
    ),
    "a tag that would call": (
        {"conf/model/tiny.yaml": '_target_: nets.Tiny\nwidth: !!python/object/apply:os.system ["touch marker"]\n'},
        "model=tiny",
        ("tiny.yaml:2:8", "tag"),
    ),
    "a tag that would name": (
        {"conf/experiment/mine.yaml": "# @package _global_\nseed: !!python/name:os.system\n"},
        "experiment=mine",
        ("mine.yaml:2:7", "tag"),
    ),
    "a bomb of aliases": (
        {
            "conf/model/tiny.yaml": "_target_: nets.Tiny\na: &a [x,x,x,x,x,x,x,x,x]\n"
            + "".join(f"{n}: &{n} [{','.join([f'*{o}'] * 9)}]\n" for o, n in zip("abcdefgh", "bcdefghi", strict=True))
        },
        "model=tiny",
        ("tiny.yaml",),
    ),
    "a list in itself": ({"conf/model/tiny.yaml": "_target_: nets.Tiny\na: &a [*a]\n"}, "model=tiny", ("tiny.yaml",)),
    "a module that is missing": (
        {"conf/model/tiny.yaml": "_target_: nets.Tiny\n"},
        "model=tiny",
        ("nets.Tiny", "no module nets", "nets.py"),
    ),
    "a target without a module": (
        {"conf/model/tiny.yaml": "_target_: Tiny\n"},
        "model=tiny",
        ("Tiny", "my_models.TinyNet"),
    ),
    "a target that is no text": ({"conf/model/tiny.yaml": "_target_: 3\n"}, "model=tiny", ("_target_",)),
    "an attribute that is missing": (
        {"conf/model/tiny.yaml": "_target_: nets.Tinny\n", "nets.py": "class Tiny: pass\n"},
        "model=tiny",
        ("nets has no Tinny", "did you mean nets.Tiny?"),
    ),
    "a module with an error in it": (
        {"conf/model/tiny.yaml": "_target_: nets.Tiny\n", "nets.py": "def Tiny(:\n"},
        "model=tiny",
        ("nets", "SyntaxError"),
    ),
    "a module that raises": (
        {"conf/model/tiny.yaml": "_target_: nets.Tiny\n", "nets.py": "raise ValueError('no\\nway\\nat\\nall')\n"},
        "model=tiny",
        ("nets", "ValueError: no"),
    ),
    "a module that exits": (
        {"conf/model/tiny.yaml": "_target_: nets.Tiny\n", "nets.py": "import sys\nsys.exit('bye')\n"},
        "model=tiny",
        ("nets", "SystemExit"),
    ),
    "a module that imports what is not there": (
        {"conf/model/tiny.yaml": "_target_: nets.Tiny\n", "nets.py": "import not_to_be_found\n"},
        "model=tiny",
        ("nets", "not_to_be_found", "not installed"),
    ),
    "a class that raises": (
        {
            "conf/model/tiny.yaml": "_target_: nets.Tiny\n",
            "nets.py": "def Tiny(**given):\n    raise RuntimeError('not today')\n",
        },
        "model=tiny",
        ("Tiny", "RuntimeError: not today"),
    ),
    "a class that does not take the arguments": (
        {"conf/model/tiny.yaml": "_target_: nets.Tiny\nwidth: 3\n", "nets.py": "def Tiny(width): pass\n"},
        "model=tiny",
        ("Tiny", "input_shape"),
    ),
    "something that cannot be called": (
        {"conf/model/tiny.yaml": "_target_: nets.Tiny\n", "nets.py": "Tiny = 3\n"},
        "model=tiny",
        ("nets.Tiny", "int"),
    ),
    "no module of torch": (
        {"conf/model/tiny.yaml": "_target_: nets.Tiny\n", "nets.py": "def Tiny(**given):\n    return 3\n"},
        "model=tiny",
        ("Tiny", "torch.nn.Module"),
    ),
    "no parameters": (
        {
            "conf/model/tiny.yaml": "_target_: nets.Tiny\n",
            "nets.py": "import torch\ndef Tiny(**given):\n    return torch.nn.Flatten()\n",
        },
        "model=tiny",
        ("Tiny", "no parameters"),
    ),
    "scores of a wrong shape": (
        {
            "conf/model/tiny.yaml": "_target_: nets.Tiny\n",
            "nets.py": "import torch\ndef Tiny(**given):\n"
            "    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3))\n",
        },
        "model=tiny",
        ("Tiny", "(1, 3)", "(1, 10)"),
    ),
    "no forward": (
        {
            "conf/model/tiny.yaml": "_target_: nets.Tiny\n",
            "nets.py": "import torch\ndef Tiny(**given):\n    return torch.nn.Linear(3, 10)\n",
        },
        "model=tiny",
        ("Tiny", "(1, 1, 8, 8)"),
    ),
    "dropout that its own network does not apply": (
        {
            "conf/model/tiny.yaml": "_target_: nets.Tiny\n",
            "nets.py": "import torch\ndef Tiny(**given):\n"
            "    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))\n",
        },
        "model=tiny reg=dropout",
        ("reg.dropout", "model"),
    ),
}


@pytest.fixture
def room(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """A folder with something of the user's in it, and an environment with a secret."""
    monkeypatch.setenv("SECRET_WORD", SECRET)
    lab.write("notes/a.txt", "mine")
    lab.write("outputs/runs/.gitkeep", "")
    return lab


def assert_refused(lab: Lab, argv: list[str], words: tuple[str, ...]) -> str:
    before = lab.tree()
    ended = lab(*argv)
    lines = ended.err.splitlines()
    assert ended.code == 2, ended
    assert ended.out == ""
    assert lines[0].startswith("labrunner: error: ")
    assert 1 <= len(lines) <= 3, ended.err
    assert "Traceback" not in ended.err
    assert SECRET not in ended.err
    assert [word for word in words if word not in ended.err] == [], ended.err
    assert lab.tree() == before
    return ended.err


def split(line: str) -> list[str]:
    return line.split(" ") if "oc.env:SECRET_WORD }" not in line else [line]


@line(8, "wrong requests")
@pytest.mark.parametrize("request_line", REFUSED, ids=lambda text: text[:60])
def test_a_wrong_request_is_refused_and_nothing_is_left_behind(room, request_line):
    assert_refused(room, split(request_line), REFUSED[request_line])


@line(8, "wrong values, by key")
@pytest.mark.parametrize(
    ("key", "value"),
    cases(
        [(key, value) for key, values in WRONG.items() for value in values],
        fast=[(key, values[0]) for key, values in WRONG.items()],
    ),
)
def test_a_value_of_a_wrong_type_or_range_is_refused_with_what_the_key_takes(room, key, value):
    argv = OWNERS.get(key, "").split()
    said = assert_refused(room, [*argv, f"{key}={value}"], (f"{key}=",))
    if value != "0,1":
        assert f"it takes {schema.describe(schema.KEYS[key])}" in said


def test_every_key_of_the_schema_has_wrong_values_in_the_table():
    assert sorted(WRONG) == sorted(schema.KEYS)


def test_the_nearest_of_a_few_words_is_named(room):
    for argv, word in (("select=beast", "best"), ("model.activation=rellu", "relu"), ("precision=float46", "float64")):
        assert f"did you mean {word}?" in assert_refused(room, [argv], ())


@pytest.mark.parametrize("case", OWN)
def test_what_is_wrong_with_the_users_own_files_is_refused_where_it_stands(room, case):
    files, line, words = OWN[case]
    for name, text in files.items():
        path = room.write(name, text)
        if text == "LATIN":
            path.write_bytes("# grün\n_target_: nets.Tiny\n".encode("latin-1"))
    said = assert_refused(room, line.split(), words)
    assert not (room.folder / "marker").exists()
    assert "this should not happen" not in said


def test_a_used_run_folder_is_refused_with_resume_named(lab):
    tiny = ("dataset=fake", "dataset.samples=60", "epochs=1", "figures=none")
    assert lab("hydra.run.dir=run", *tiny).code == 0
    assert_refused(lab, ["hydra.run.dir=run", *tiny], ("run", "labrunner resume run", "hydra.run.dir"))


def test_a_folder_that_cannot_be_made_is_refused(room):
    said = assert_refused(room, ["hydra.run.dir=/proc/none/run", "smoke=true", "figures=none"], ("/proc/none/run",))
    assert len(said.splitlines()) == 1


def test_a_name_that_is_too_long_is_refused(room):
    assert_refused(room, [f"hydra.run.dir={'x' * 300}", "smoke=true", "figures=none"], ("File name too long",))


def test_a_device_that_is_not_there_is_refused(room):
    import torch

    missing = "mps" if not torch.backends.mps.is_available() else "cuda"
    assert_refused(room, [f"device={missing}"], (f"device={missing}", "device=auto"))


def test_the_users_config_yaml_replaces_nothing(lab):
    lab.write("conf/config.yaml", "seed: 99\nepochs: 1\n")
    lab.write("conf/model/tiny.yaml", "name: softmax\n")
    ended = lab("--cfg", "job", "model=tiny")
    assert ended.code == 0
    assert "seed: 0\n" in ended.out
    assert "epochs: 30\n" in ended.out


@pytest.mark.parametrize(
    "folder",
    [
        "a b",
        "a,b",
        "a=b",
        "[a]",
        "{a}",
        "(a)",
        "it's",
        'say "a"',
        "a\\b",
        "ä€",
        "$HOME",
        "a:b",
        "#a",
        "-a",
        "100%",
        "a/b/c",
    ],
)
def test_any_path_may_be_a_run_folder(lab, folder):
    ended = lab(f"hydra.run.dir={folder}", "smoke=true", "figures=none", "dataset=fake", "dataset.samples=40")
    assert ended.code == 0, ended.err
    assert (lab.folder / folder / "test.json").is_file()
    assert lab("resume", f"./{folder}").code == 0


@pytest.mark.parametrize("name", ["a,b [c]", "it's", "a=b", 'say "a"', "ä€ x"])
def test_any_path_may_hold_the_users_own_options(lab, name):
    lab.write(f"{name}/conf/optim/mine.yaml", "name: sgd\nlr: 0.3\nmomentum: 0.0\nnesterov: false\n")
    os.chdir(lab.folder / name)
    assert "lr: 0.3" in lab("--cfg", "job", "optim=mine").out
    os.chdir(lab.folder)
    assert "lr: 0.3" in lab("--config-dir", f"{name}/conf", "--cfg", "job", "optim=mine").out


def test_interpolations_in_a_run_folders_name_mean_what_hydra_users_expect(lab):
    ended = lab("hydra.run.dir=out/${optim.name}_${seed}", "smoke=true", "figures=none", "seed=4")
    assert ended.code == 0
    assert (lab.folder / "out" / "adam_4" / "config.yaml").is_file()


def test_a_traceback_is_shown_when_asked_for(room, monkeypatch):
    from labrunner.errors import RequestError

    monkeypatch.setenv("LABRUNNER_DEBUG", "1")
    with pytest.raises(RequestError, match="did you mean model=cnn"):
        room("model=cnnn")


def test_a_message_never_holds_more_than_printable_text(room):
    said = assert_refused(room, ["model=\x1b[31mred\x07"], ("model=",))
    assert re.search(r"[\x00-\x08\x0b-\x1f\x7f]", said) is None


def test_the_tree_of_a_test_sees_what_it_should(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_text("c")
    assert tree(tmp_path) == {"a": None, "a/b": b"c"}
