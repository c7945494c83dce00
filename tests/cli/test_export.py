"""``labrunner export``: what the ONNX file says of raw inputs is what the run recorded, for every model there is."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from sklearn.datasets import load_digits, load_iris

from labrunner import schema
from labrunner.helping import Catalogue
from labrunner.records import load_run
from tests.cli.lab import Lab, Outcome
from tests.unsynced import unsynced  # noqa: F401 (for every test here)

QUICK = ("epochs=2", "model.hidden=[16]")
TWO = ("dataset=iris", "dataset.classes=[setosa,virginica]")


class File:
    """An ONNX file in ONNX Runtime, as a program would open it."""

    def __init__(self, path: Path) -> None:
        self.content = path.read_bytes()
        self.session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        (self.input,) = self.session.get_inputs()
        self.said = self.session.get_modelmeta().custom_metadata_map

    def __call__(self, inputs: Any) -> tuple[np.ndarray, np.ndarray]:
        """Scores and probabilities."""
        kind = {"tensor(float)": np.float32, "tensor(double)": np.float64}[self.input.type]
        scores, probabilities = self.session.run(
            ["scores", "probabilities"], {self.input.name: np.asarray(inputs, kind)}
        )
        return scores, probabilities


def exported(lab: Lab, run: Path) -> tuple[File, Outcome]:
    ended = lab("export", run.name, "file=model.onnx")
    assert ended.code == 0, ended.err
    return File(lab.folder / "model.onnx"), ended


def recorded(run: Path) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """predictions.csv: positions in the data set (N,), probabilities (N, K), names of the classes."""
    rows = list(csv.DictReader(io.StringIO((run / "predictions.csv").read_text(encoding="utf-8"))))
    names = [name for name in rows[0] if name.startswith("p_")]
    index = np.array([int(row["index"]) for row in rows])
    return index, np.array([[float(row[name]) for name in names] for row in rows]), [name[2:] for name in names]


def assert_agrees(file: File, inputs: np.ndarray, probabilities: np.ndarray, within: float = 1e-4) -> None:
    """In one batch and one by one, with the scores behind them."""
    scores, whole = file(inputs)
    np.testing.assert_allclose(whole, probabilities, rtol=0, atol=within)
    np.testing.assert_allclose(np.concatenate([file(each[None])[1] for each in inputs[:5]]), whole[:5], atol=1e-5)
    softmax = np.exp(scores - scores.max(axis=1, keepdims=True))
    np.testing.assert_allclose(whole, softmax / softmax.sum(axis=1, keepdims=True), rtol=0, atol=1e-6)


def assert_says_what_was_recorded(run: Path, file: File, within: float = 1e-4) -> None:
    """Of the samples in samples.npz, in the units that a program has them in."""
    samples = load_run(run).samples
    assert samples is not None
    index, probabilities, names = recorded(run)
    rows = [int(np.flatnonzero(index == each)[0]) for each in samples["index"][:20]]
    assert_agrees(file, samples["image"][:20] / samples.get("white", 1.0), probabilities[rows], within)
    assert json.loads(file.said["class_names"]) == names


# what comes out


def test_raw_pixels_from_0_to_1_get_the_probabilities_of_predictions_csv(lab):
    run = lab.train("run", *QUICK, "model.batch_norm=true", "reg=dropout")
    file, ended = exported(lab, run)
    index, probabilities, names = recorded(run)
    images = load_digits().images[index][:, None] / 16.0
    assert_agrees(file, images, probabilities, within=1e-5)
    assert (file.input.name, file.input.type, file.input.shape[1:]) == ("images", "tensor(float)", [1, 8, 8])
    assert isinstance(file.input.shape[0], str), "any number of them"
    said = json.loads((run / "preprocessing.json").read_text())
    assert json.loads(file.said["class_names"]) == names == said["class_names"]
    epoch = json.loads((run / "test.json").read_text())["epoch"]
    assert file.said["epoch"] == str(epoch)
    from labrunner import __version__
    from labrunner.running import config_hash

    assert (file.said["labrunner_version"], file.said["model"], file.said["dataset"]) == (__version__, "mlp", "digits")
    assert file.said["config_hash"] == config_hash(load_run(run).config)
    described = json.loads(file.said["input"])
    assert (described["range"], described["channels"], described["size"]) == ([0.0, 1.0], "grey", 8)
    onnx.checker.check_model(file.content, full_check=True)
    assert f"epoch {epoch} of run" in ended.out
    assert ended.out.splitlines()[-1] == "  model.onnx"
    # nobody learns from it where it was made
    assert not [
        word for word in (str(lab.folder), "site-packages", ".py", "labrunner/deep") if word.encode() in file.content
    ]


def test_rows_of_a_table_in_its_own_units_get_theirs_from_a_numpy_model(lab):
    run = lab.train("run", "model=mlp_numpy", "dataset=iris", "model.batch_norm=true", "precision=float64", *QUICK)
    file, ended = exported(lab, run)
    index, probabilities, _ = recorded(run)
    assert_agrees(file, load_iris().data[index], probabilities, within=1e-5)
    assert (file.input.name, file.input.shape[1:]) == ("features", [4])
    assert json.loads(file.said["input"])["features"] == list(
        json.loads((run / "preprocessing.json").read_text())["feature_names"]
    )
    assert "the run computed in float64, and the file computes in float32" in ended.out


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(("model=adaline", *TWO, "optim.lr=0.001"), id="adaline of one unit"),
        pytest.param(("model=adaline", "dataset=iris", "optim.lr=0.001"), id="adaline", marks=pytest.mark.slow),
        pytest.param(("model=perceptron", *TWO), id="perceptron of one unit", marks=pytest.mark.slow),
        pytest.param(("model=perceptron",), id="perceptron", marks=pytest.mark.slow),
        pytest.param(("model=neuron", *TWO), id="neuron", marks=pytest.mark.slow),
        pytest.param(("model=neuron", *TWO, "model.loss=mse"), id="neuron of mse", marks=pytest.mark.slow),
    ],
)
def test_linear_units_say_what_they_said_in_numpy(lab, settings):
    run = lab.train("run", *settings, "epochs=2")
    file, _ = exported(lab, run)
    assert_says_what_was_recorded(run, file, within=1e-5)


def test_columns_that_float32_would_blur_are_taken_in_float64(lab):
    rng = np.random.default_rng(0)
    rows = np.stack([1e9 + rng.random(80), rng.random(80)], axis=1)
    labels = np.where(rows[:, 0] - 1e9 > rows[:, 1], "above", "below")
    lines = [f"{a!r},{b!r},{label}" for (a, b), label in zip(rows.tolist(), labels, strict=True)]
    lab.write("table.csv", "\n".join(["time,height,side", *lines]) + "\n")
    run = lab.train("run", "model=softmax", "dataset=csv", "dataset.path=table.csv", "epochs=20", "optim.lr=0.1")
    assert json.loads((run / "preprocessing.json").read_text())["offsets"]
    file, _ = exported(lab, run)
    assert file.input.type == "tensor(double)"
    index, probabilities, _ = recorded(run)
    assert np.ptp(probabilities[:, 0]) > 0.3, "the column that would be blurred counts"
    assert_agrees(file, rows[index], probabilities)


@pytest.mark.slow
def test_a_run_in_bf16_is_written_in_float32_and_that_is_said(lab):
    run = lab.train("run", "model=cnn", "model.channels=[4]", "precision=bf16", "epochs=2")
    file, ended = exported(lab, run)
    assert "the run computed products in bf16, and the file computes in float32" in ended.out
    assert_says_what_was_recorded(run, file, within=0.05)
    assert {each.data_type for each in onnx.load_from_string(file.content).graph.initializer} <= {
        onnx.TensorProto.FLOAT,
        onnx.TensorProto.INT64,
    }


def test_a_frozen_backbone_whose_features_were_kept_gets_grey_pixels_where_it_wants_colours(lab):
    source = lab.train("source", "model=cnn", "model.channels=[4]", "dataset=photo_patches", "epochs=1")
    weights = (f"model.weights={source.name}", "freeze=backbone")
    run = lab.train("run", "model=cnn", "model.channels=[4]", "reg=dropout", "epochs=2", *weights)
    assert len(json.loads((run / "preprocessing.json").read_text())["scale"]) == 3
    file, _ = exported(lab, run)
    assert file.input.shape[1:] == [1, 32, 32]
    assert_says_what_was_recorded(run, file)


OWN = """
import torch
from torch import nn


class Plain(nn.Module):
    def __init__(self, input_shape, num_classes):
        super().__init__()
        print("built")
        self.head = nn.Linear(4, num_classes)
        self.drop = nn.Dropout(0.5)

    def forward(self, inputs):
        print("called")
        return self.head(self.drop(torch.tanh(inputs.reshape(len(inputs), -1))))


class Branching(Plain):
    def forward(self, inputs):
        return self.head(inputs) if inputs.sum() > 0 else self.head(-inputs)


class Drawing(Plain):
    def forward(self, inputs):
        return self.head(inputs) + torch.rand(len(inputs), 1) * torch.arange(3)


class Looping(Plain):
    def forward(self, inputs):
        return torch.stack([self.head(row) for row in inputs])


class Seeing(Plain):
    def forward(self, inputs):
        return self.head(inputs - inputs.mean(dim=0))
"""


@pytest.fixture
def own(lab: Lab) -> Lab:
    lab.write("nets.py", OWN)
    for name in ("Plain", "Branching", "Drawing", "Looping", "Seeing"):
        lab.write(f"conf/model/{name.lower()}.yaml", f"# A network.\n_target_: nets.{name}\n")
    return lab


def test_a_network_of_ones_own_can_be_exported_and_what_it_prints_is_not_shown(own):
    run = own.train("run", "model=plain", "dataset=iris", "epochs=1")
    file, ended = exported(own, run)
    assert_says_what_was_recorded(run, file)
    assert (file.said["model"], file.said["dataset"]) == ("plain", "iris")
    assert ended.err == "labrunner: exporting the model, and comparing the two\n"
    assert "on 16 samples" in ended.out


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        pytest.param("branching", 2, "branching cannot be exported: ", marks=pytest.mark.slow),
        ("drawing", 1, "the ONNX model does not say what the model says: probabilities differ by up to "),
        pytest.param(
            "looping", 2, "looping cannot be exported: its forward() makes a constant", marks=pytest.mark.slow
        ),
        pytest.param("seeing", 1, "the ONNX model does not say what the model says: ", marks=pytest.mark.slow),
    ],
)
def test_a_network_that_cannot_be_one_leaves_no_file_and_two_lines(own, name, code, said):
    own.train("run", f"model={name}", "dataset=iris", "epochs=1")
    before = own.tree()
    ended = own("export", "run")
    assert (ended.code, own.tree()) == (code, before)
    first, *rest = [line for line in ended.err.splitlines() if not line.startswith("labrunner: exporting")]
    assert first.startswith(f"labrunner: error: {said}")
    assert len(rest) == 1
    assert "cannot be exported" in rest[0] or "a forward() can be" in rest[0]


# what is refused


def test_requests_that_cannot_be_met_leave_everything_as_it_was(lab):
    lab.train("run", *QUICK)
    lab.write("there.onnx", "")
    lab.write("above", "")
    before = lab.tree()
    for words, said in (
        ((), "export takes one run"),
        (("run", "run"), "export takes one run"),
        (("nowhere",), "there is no run folder nowhere"),
        (("run", "file=there.onnx"), "file=there.onnx is there already"),
        (("run", "file=run"), "file=run is a folder"),
        (("run", "file=above/a.onnx"), "above is a file"),
        (("run", "file=model.pt"), "try file=model.onnx"),
        (("run", "file="), "file= has no value"),
        (("run", "epochs=3"), "export takes a run and file=FILE.onnx"),
    ):
        ended = lab("export", *words)
        assert (ended.code, ended.out) == (2, ""), words
        assert said in ended.err
        assert lab.tree() == before


def test_without_the_packages_it_says_how_to_install_them_before_anything_is_read(lab, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "onnxscript" else True)
    ended = lab("export", "run")
    assert ended.code == 2
    assert ended.err == (
        "labrunner: error: export needs onnxscript, which is not installed\n"
        "  to install what is missing: pip install 'labrunner[onnx]'\n"
    )


def test_a_toy_objective_has_nothing_that_could_be_asked(lab):
    lab.train("run", "experiment=gradient_descent", "hydra.mode=RUN", "epochs=1", "checks=[]", "probes=[]")
    ended = lab("export", "run")
    assert ended.code == 2
    assert "has no classes" in ended.err


def test_a_strangers_folder_executes_nothing(lab):
    run = lab.train("run", *QUICK)
    config = (run / "config.yaml").read_text()
    model = config[config.index("model:") :]
    (run / "config.yaml").write_text(config.replace(model, "model: {_target_: os.mkdir, path: made}\n"))
    before = lab.tree()
    ended = lab("export", "run")
    assert ended.code == 2
    assert "the saved config names os.mkdir" in ended.err
    assert lab.tree() == before


@pytest.mark.slow
def test_samples_that_no_run_wrote_are_left_out(lab):
    run = lab.train("run", *QUICK)
    arrays = dict(np.load(run / "samples.npz"))
    np.savez(run / "samples.npz", **arrays | {"image": arrays["image"].astype(np.float64)[..., :3]})
    _, ended = exported(lab, run)
    assert "on 4 samples" in ended.out


# every model

COLOURS = ("dataset=fake", "dataset.samples=60", "dataset.channels=3", "dataset.size=32", "batch_size=8")
SETTINGS: dict[str, tuple[str, ...]] = {
    "adaline": ("optim.lr=0.0001",),
    "cnn": ("model.channels=[4,8]", "model.activation=gelu", "model.pooling=avg", "reg=dropout"),
    "lenet": ("dataset=mnist5k", "dataset.per_class=10"),
    "neuron": TWO,
    "efficientnet_b0": COLOURS,
    "shufflenet_v2_x1_0": (*COLOURS, "freeze=backbone"),
    "torchvision": COLOURS,
}


@pytest.mark.slow
@pytest.mark.parametrize("model", [option.name for option in Catalogue().options("model")])
def test_every_model_says_in_onnx_what_it_said_in_the_run(lab, model):
    weights = ("model.weights=none",) if model in schema.TORCHVISION else ()
    run = lab.train("run", f"model={model}", "epochs=1", *SETTINGS.get(model, ()), *weights)
    file, _ = exported(lab, run)
    assert_says_what_was_recorded(run, file)


@pytest.mark.slow
@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "elu", "gelu", "silu", "tanh", "sigmoid"])
@pytest.mark.parametrize("model", ["mlp", "mlp_numpy"])
def test_every_activation_too(lab, model, activation):
    run = lab.train("run", f"model={model}", f"model.activation={activation}", *QUICK)
    file, _ = exported(lab, run)
    assert_says_what_was_recorded(run, file, within=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arch", "size"),
    [
        ("resnet18", 32),
        ("densenet121", 32),
        ("googlenet", 32),
        ("inception_v3", 75),
        ("maxvit_t", 224),
        ("mobilenet_v3_small", 32),
        ("squeezenet1_1", 32),
        ("swin_v2_t", 64),
        ("vit_b_32", 64),
    ],
)
def test_torchvisions_architectures_too_also_those_that_take_certain_sizes_alone(lab, arch, size):
    few = ("dataset=fake", "dataset.samples=24", "dataset.num_classes=2", "dataset.channels=3", f"dataset.size={size}")
    settings = (*few, "batch_size=4", "smoke=true")
    run = lab.train("run", "model=torchvision", f"model.arch={arch}", "model.weights=none", *settings)
    file, _ = exported(lab, run)
    assert file.input.shape[1:] == [3, size, size]
    samples = load_run(run).samples
    assert samples is not None
    index, probabilities, _ = recorded(run)
    rows = [int(np.flatnonzero(index == each)[0]) for each in samples["index"][:4]]
    np.testing.assert_allclose(file(samples["image"][:4] / 255.0)[1], probabilities[rows], rtol=0, atol=1e-4)
