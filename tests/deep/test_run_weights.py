"""Starting weights out of run folders, through the command: what is taken over, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from labrunner import checkpoint
from labrunner.deep import pretrained, run_weights
from labrunner.errors import RequestError
from labrunner.records import load_run
from tests.unsynced import unsynced  # noqa: F401 (for every test here)

SMALL = ("model=cnn", "model.channels=[4,4]", "dataset.per_class=20", "epochs=2", "batch_size=20")


def weights_of(folder: Path, epoch: int) -> dict[str, np.ndarray]:
    state, _ = checkpoint.read(folder / f"checkpoints/{epoch:05d}.safetensors")
    return {name.removeprefix("weights/"): each for name, each in state.items() if name.startswith("weights/")}


def initial(folder: Path) -> dict[str, str]:
    return json.loads((folder / "initial.json").read_text())


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("finished") / "first"


@pytest.fixture
def first(lab, finished) -> Path:
    if not finished.exists():
        lab.train("first", "dataset=mnist5k", *SMALL, "select=last", "optim.lr=0.01")
        (lab.folder / "first").rename(finished)
    return shutil.copytree(finished, lab.folder / "first")


def test_a_run_begins_with_the_weights_of_the_chosen_epoch_of_another(lab, first):
    second = lab.train("second", "dataset=digits", *SMALL, "model.weights=first", "freeze=backbone")
    expected = {name: checkpoint.tensor_hash(name, each) for name, each in weights_of(first, 2).items()}
    assert initial(second) == expected  # the head of ten classes, too
    log = (second / "log.txt").read_text()
    assert "model.weights: weights of epoch 2 of first, model=cnn on dataset=mnist5k" in log
    assert "the head of 10 classes is taken over, too" in log
    said = json.loads((second / "preprocessing.json").read_text())
    digest = checkpoint.state_hash(weights_of(first, 2))
    assert said["weights"] == {"asked": "first", "used": "first", "sha256": digest}


def test_images_are_prepared_as_the_first_run_had_them(lab, first):
    second = lab.train("second", "dataset=digits", *SMALL, "model.weights=first")
    before, now = (json.loads((folder / "preprocessing.json").read_text()) for folder in (first, second))
    assert (now["shape"], now["size"]) == ([1, 28, 28], 28)
    for key in ("scale", "shift"):  # of pixels up to another white
        whites = (before["white"], now["white"]) if key == "scale" else (1.0, 1.0)
        assert np.allclose(np.array(before[key]) * whites[0], np.array(now[key]) * whites[1], rtol=1e-12)


def test_a_chain_of_runs_keeps_the_first_ones_preparation(lab, first):
    lab.train("second", "dataset=digits", *SMALL, "model.weights=first")
    model = {"name": "cnn", "channels": [4, 4], "weights": "second"}
    one, two = pretrained.wants({**model, "weights": "first"}), pretrained.wants(model)
    assert (one.channels, one.size) == (two.channels, two.size) == (1, 28)
    assert np.allclose((*one.mean, *one.std), (*two.mean, *two.std), rtol=1e-12)


def test_a_head_of_other_classes_is_drawn_anew(lab, first):
    classes = "dataset.classes=['0','1','2']"
    second = lab.train("second", "dataset=digits", *SMALL, classes, "model.weights=first")
    drawn = lab.train("drawn", "dataset=digits", *SMALL, classes, "dataset.size=28")
    started, before, fresh = initial(second), weights_of(first, 2), initial(drawn)
    for name, digest in started.items():
        is_head = name.startswith("head.")
        assert digest == (fresh[name] if is_head else checkpoint.tensor_hash(name, before[name])), name
    assert "the head of 10 classes is replaced by one of 3" in (second / "log.txt").read_text()


def test_a_run_that_begins_with_anothers_weights_is_resumed_without_it(lab, first):
    arguments = ("dataset=digits", *SMALL, "model.weights=first")
    whole = lab.train("whole", *arguments)
    lab.train("half", *arguments, "epochs=1")
    shutil.rmtree(first)
    resumed = lab("resume", "half", "epochs=2", "figures=none")
    assert resumed.code == 0, resumed.err
    assert (lab.folder / "half/metrics.csv").read_bytes() == (whole / "metrics.csv").read_bytes()
    assert not (lab.folder / "first").exists()


def test_images_that_are_too_small_for_a_model_are_not_once_they_have_the_size_of_the_first_run(lab):
    lenet = ("model=lenet", "dataset.per_class=10", "epochs=1")
    first = lab.train("first", "dataset=mnist5k", *lenet)
    second = lab.train("second", "dataset=digits", *lenet, "model.weights=first")
    assert initial(second)["backbone.block1.conv.weight"] == checkpoint.tensor_hash(
        "backbone.block1.conv.weight", weights_of(first, 1)["backbone.block1.conv.weight"]
    )
    (lab.folder / "w.safetensors").touch()  # which says no size
    ended = lab("dataset=digits", *lenet, "model.weights=w.safetensors")
    assert ended.code == 2
    assert "model=lenet needs images of 12 x 12 pixels or more" in ended.err


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("model=lenet",), "are weights of model=cnn, and this is model=lenet"),
        (("model=cnn", "model.channels=[8]"), "with model.channels=[4,4], and this has model.channels=[8]"),
        (("model=cnn", "model.channels=[4,4]", "model.pooling=avg"), "try model.pooling=max"),
    ],
)
def test_a_run_of_another_model_is_refused_by_name(lab, first, overrides, said):
    before = lab.tree()
    ended = lab("dataset=digits", *overrides, "model.weights=first")
    assert ended.code == 2
    assert said in ended.err
    assert lab.tree() == before


def test_folders_that_have_no_weights_to_give_are_refused(lab, first):
    def refused() -> str:
        ended = lab("dataset=digits", *SMALL, "model.weights=first")
        assert ended.code == 2, ended.out
        assert ended.err.startswith("labrunner: error: model.weights=first")
        return ended.err

    status = (first / "status.json").read_text()
    (first / "status.json").write_text(json.dumps({"status": "diverged"}))
    assert "its status is diverged" in refused()
    (first / "status.json").write_text(status)
    recorded = (first / "preprocessing.json").read_text()
    for text in (
        "{}",
        recorded.replace('"white": 255.0', '"white": null'),
        recorded.replace('"white": 255.0', '"white": 0'),
    ):
        assert text != recorded
        (first / "preprocessing.json").write_text(text)
        assert "is not what a run on images writes" in lab("dataset=digits", *SMALL, "model.weights=first").err
    (first / "preprocessing.json").unlink()
    assert "an earlier version made the run" in " ".join(refused().split())
    (first / "preprocessing.json").write_text(recorded)
    path = first / "checkpoints/00002.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    assert f"{path.relative_to(lab.folder)}, cannot be used" in refused()
    path.unlink()
    assert "cannot be used: it cannot be read" in refused()
    (first / "config.yaml").unlink()
    assert "is no run folder" in refused()


def test_a_sweep_and_a_checkpoint_are_refused_with_what_to_name_instead(lab, first):
    assert (
        lab("-m", "seed=0,1", "dataset=digits", *SMALL, "epochs=1", "figures=none", "hydra.sweep.dir=sweep").code == 0
    )
    assert "is a sweep; name the folder of one of its runs" in lab("dataset=digits", *SMALL, "model.weights=sweep").err
    path = "first/checkpoints/00002.safetensors"
    assert "name the run's folder instead" in lab("dataset=digits", *SMALL, f"model.weights={path}").err


def test_networks_that_are_called_otherwise_and_built_alike_share_weights():
    one = {"name": "efficientnet_b0", "weights": "none", "loss": "cross_entropy"}
    other = {"name": "torchvision", "arch": "efficientnet_b0", "weights": "x", "loss": "mse"}
    run_weights.refuse_other(one, other, "")
    run_weights.refuse_other(other, one, "")
    with pytest.raises(RequestError, match=r"a model of one's own, my\.Net"):
        run_weights.refuse_other({"_target_": "my.Net"}, one, "")
    with pytest.raises(
        RequestError, match=r"of model=torchvision model\.arch=resnet18, and this is model=efficientnet_b0"
    ):
        run_weights.refuse_other({**other, "arch": "resnet18"}, one, "")


def test_a_run_of_torchvisions_gives_its_weights_to_the_bit_with_its_batch_norm(lab):
    common = ("model=torchvision", "model.arch=shufflenet_v2_x0_5", "dataset.per_class=5", "epochs=1", "threads=1")
    first = lab.train("first", "dataset=digits", *common, "dataset.size=32", "optim.lr=0.01")
    second = lab.train("second", "dataset=photo_patches", *common, "model.weights=[nowhere,first]", "freeze=backbone")
    trained, begun, ended = weights_of(first, 1), initial(second), weights_of(second, load_run(second).chosen.epoch)
    assert trained["backbone.conv1.1.num_batches_tracked"] > 0
    for name, each in trained.items():
        if name.startswith("backbone."):
            assert begun[name] == checkpoint.tensor_hash(name, each), name
            assert np.array_equal(ended[name], each), name  # it stood still
    assert json.loads((second / "preprocessing.json").read_text())["size"] == 32


def test_weights_for_grey_images_are_refused_on_colours_with_a_way_out_that_leads_out(lab):
    lab.train("grey", *SMALL)
    colours = ("model=cnn", "model.channels=[4,4]", "dataset=fake", "epochs=1", "model.weights=grey", "figures=none")
    refused = lab(*colours)
    assert refused.code == 2
    assert "the model wants grey images, and those of dataset=fake have 3 channels" in refused.err
    lab.train("coloured", *colours, refused.err.rpartition("; try ")[2].strip())


def test_where_colours_stay_colours_other_weights_are_the_way_out(lab):
    lab.train("grey", *SMALL)
    refused = lab("model=cnn", "model.channels=[4,4]", "dataset=photo_patches", "model.weights=grey")
    assert refused.code == 2
    assert "have 3 channels; try a model, or weights, for 3" in refused.err
