"""Class folders become a data set whose order no file system decides, and what is none is refused in one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import ImageFolder

from labrunner.data import describe, load, samples_of
from labrunner.data.folders import listing
from labrunner.errors import RequestError
from tests.cli.lab import Lab, essence
from tests.data.settings import FAKE

OPTIONS = {
    **{key: value for key, value in FAKE.items() if key not in ("samples", "num_classes", "noise")},
    "name": "imagefolder",
    "size": 8,
    "skip_bad": False,
    "memory": 1.0,
}


def of(root: Path | str, **more: Any) -> dict[str, Any]:
    return {**OPTIONS, "root": str(root), **more}


def put(*paths: Path) -> None:
    """Pictures of 8 x 8 pixels whose grey is their number, counted in the order given."""
    for number, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8), number, np.uint8)).save(path, "PNG")


def numbers(samples: Any) -> list[int]:
    assert (samples.inputs == samples.inputs[:, :1, :1, :1]).all()
    return samples.inputs[:, 0, 0, 0].tolist()


def noise(root: Path, classes: int = 3, each: int = 10) -> Path:
    """A data set that can be trained on."""
    for label in range(classes):
        for number in range(each):
            path = root / f"class {label}" / f"{number:02}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            rng = np.random.default_rng([label, number])
            Image.fromarray(rng.integers(40 * label, 100 + 40 * label, (9, 12, 3)).astype(np.uint8)).save(path)
    return root


# what is read


def test_class_folders_are_read_as_torchvision_reads_them(tmp_path):
    root = noise(tmp_path / "a", classes=4, each=5)
    put(root / "class 2" / "inside" / "deeper" / "x.png", root / "class 2" / "inside.png", root / "class 2" / "a.PNG")
    theirs = ImageFolder(str(root))
    samples = load(of(root))
    assert samples.description == describe(of(root))
    assert list(samples.description.class_names) == theirs.classes
    ours = dict(zip(samples.paths, samples.labels.tolist(), strict=True))
    assert ours == {os.path.relpath(path, root): label for path, label in theirs.samples}
    assert samples.labels.tolist() == theirs.targets
    assert (samples.val, samples.test, samples.origin) == (None, None, None)


def test_the_order_is_that_of_the_names_whatever_the_file_system_says(tmp_path, monkeypatch):
    names = ["b/2.png", "b/10.png", "B/x.png", "a b/1.png", "ä/1.png", "z/y/1.png", "z/a.png", "z/z.png"]
    put(*(tmp_path / "a" / name for name in names))
    expected = load(of(tmp_path / "a"))
    assert expected.paths == tuple(sorted(names, key=lambda name: name.encode()))
    assert expected.description.class_names == ("B", "a b", "b", "z", "ä")
    real = os.scandir

    class Backwards(list):  # type: ignore[type-arg]
        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

    monkeypatch.setattr(os, "scandir", lambda folder: Backwards(list(real(folder))[::-1]))
    assert load(of(tmp_path / "a")).paths == expected.paths


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [
        ("train", "val", "test"),
        ("Train", "valid", None),
        ("training", "validation", "testing"),
        ("train", None, "TEST"),
    ],
)
def test_folders_of_the_splits_become_the_official_splits(tmp_path, train, val, test):
    files = [f"{train}/{name}" for name in ("ant/a.png", "ant/b.png", "bee/a.png", "cow/a.png")]
    of_val = [f"{val}/bee/a.png", f"{val}/cow/a.png"] if val else []
    of_test = [f"{test}/ant/a.png", f"{test}/cow/c.png", f"{test}/cow/d.png"] if test else []
    put(*(tmp_path / "a" / name for name in files + of_val + of_test))
    samples = load(of(tmp_path / "a"))
    assert samples.description.class_names == ("ant", "bee", "cow")
    assert samples.paths == (*files, *of_val, *of_test)
    assert numbers(samples) == list(range(len(samples.labels)))
    assert samples.labels.tolist() == [0, 0, 1, 2] + [1, 2] * bool(val) + [0, 2, 2] * bool(test)
    assert (None if samples.val is None else samples.val.tolist()) == ([4, 5] if val else None)
    first = 4 + len(of_val)
    assert (None if samples.test is None else samples.test.tolist()) == (
        [first, first + 1, first + 2] if test else None
    )


def test_chosen_classes_alone_are_decoded_and_the_splits_follow(tmp_path):
    root = tmp_path / "a"
    put(*(root / f"{part}/{name}/1.png" for part in ("train", "val", "test") for name in ("ant", "bee", "cow")))
    (root / "train" / "ant" / "bad.png").touch()
    samples = load(of(root, classes=["cow", "bee"]))
    assert samples.description == describe(of(root, classes=["cow", "bee"]))
    assert samples.description.class_names == ("cow", "bee")
    assert numbers(samples) == [1, 2, 4, 5, 7, 8]
    assert samples.labels.tolist() == [1, 0] * 3
    assert samples.origin.tolist() == [2, 3, 5, 6, 8, 9]
    assert (samples.val.tolist(), samples.test.tolist()) == ([2, 3], [4, 5])
    assert [samples.paths[place] for place in samples.test] == ["test/bee/1.png", "test/cow/1.png"]


def test_samples_keep_their_positions_when_bad_files_are_left_out(tmp_path, capsys):
    root = tmp_path / "a"
    put(*(root / f"{part}/{name}/{number}.png" for part in ("train", "test") for name in "ab" for number in range(3)))
    for name in ("train/a/1.png", "test/a/0.png"):
        (root / name).write_bytes(b"")
    with pytest.raises(RequestError, match=r"2 of 12 images.*train/a/1\.png \(empty\), .*test/a/0\.png \(empty\)\n"):
        load(of(root))
    samples = load(of(root, skip_bad=True))
    assert samples.origin.tolist() == [0, 2, 3, 4, 5, 7, 8, 9, 10, 11] == numbers(samples)
    assert samples.test.tolist() == [5, 6, 7, 8, 9]
    assert len(samples.paths) == 10
    assert capsys.readouterr().err.count("2 of 12 images") == 1


def test_a_class_without_a_readable_image_is_refused(tmp_path):
    put(*(tmp_path / "a" / name / "1.png" for name in "abc"))
    (tmp_path / "a/b/1.png").write_bytes(b"")
    with pytest.raises(RequestError, match="no image of class b can be read"):
        load(of(tmp_path / "a", skip_bad=True))


def test_sixty_four_pixels_where_nobody_asks_for_a_size(tmp_path):
    put(*(tmp_path / "a" / name / "1.png" for name in "ab"))
    options = of(tmp_path / "a", size=None, channels=1)
    assert describe(options).shape == load(options).inputs.shape[1:] == (1, 64, 64)


def test_the_geometry_that_the_model_wants_is_that_of_the_files(tmp_path):
    root = noise(tmp_path / "a", classes=2, each=1)
    found = load(of(root, size=5, resize=7, interpolation="bicubic")).inputs[0]
    with Image.open(root / "class 0" / "00.png") as image:  # 12 x 9 pixels: 9 x 7, of which the middle 5 x 5
        expected = np.asarray(image.resize((9, 7), Image.Resampling.BICUBIC))[1:6, 2:7]
    np.testing.assert_array_equal(found, expected.transpose(2, 0, 1))


def test_describing_opens_no_file_and_imports_nothing_heavy(tmp_path):
    for name in "ab":
        (tmp_path / "a" / name).mkdir(parents=True)
        (tmp_path / "a" / name / "no image.png").write_text("no image")
    code = (
        "import sys\nfrom labrunner.data.sets import describe\n"
        f"print(describe({of(tmp_path / 'a')!r}).class_names)\n"
        "print([n for n in ('torch', 'torchvision', 'PIL', 'tqdm', 'filelock') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "('a', 'b')\n[]\n"


# names, links, and what is no image


def test_names_of_any_kind_are_read(tmp_path):
    names = [b"with space", "k\xe4se".encode(), b"no utf-8 \xff", b"quo'te\"", b"new\nline", b"[1,2]=x"]
    root = os.fsencode(tmp_path / "a")
    for label, name in enumerate(sorted(names)):
        os.makedirs(os.path.join(root, name))
        with open(os.path.join(root, name, b"\xfe " + name + b".png"), "wb") as file:
            Image.fromarray(np.full((8, 8), label, np.uint8)).save(file, "PNG")
    for cache in (None, tmp_path / "cache", tmp_path / "cache"):
        samples = load(of(tmp_path / "a", cache=cache))
        assert numbers(samples) == samples.labels.tolist() == list(range(6))
        assert all(name.encode() for name in (*samples.description.class_names, *samples.paths))
        assert len(set(samples.description.class_names)) == 6
    assert "no utf-8 \\xff" in samples.description.class_names
    assert "käse" in samples.description.class_names


def test_hidden_files_and_what_is_no_image_are_passed_over(tmp_path):
    root = tmp_path / "a"
    put(root / "a/1.png", root / "b/1.JPEG", root / ".hidden/1.png", root / "a/.2.png", root / "a/.d/3.png")
    for name in ("a/notes.txt", "a/Thumbs.db", "b/png", "readme.md", "beside.png"):
        (root / name).write_text("text")
    assert load(of(root)).paths == ("a/1.png", "b/1.JPEG")


@pytest.mark.parametrize(
    "suffix", [*["jpg", "jpeg", "png", "bmp", "gif", "tif", "tiff", "webp", "ppm", "pgm", "pnm", "JPG", "Png"]]
)
def test_formats_are_known_by_their_extensions(tmp_path, suffix):
    for name in "ab":
        (tmp_path / "a" / name).mkdir(parents=True)
        Image.fromarray(np.full((8, 8), 90, np.uint8)).save(tmp_path / "a" / name / f"1.{suffix}")
    assert numbers(load(of(tmp_path / "a"))) == [90, 90]


def test_links_are_followed_once(tmp_path):
    root, elsewhere = tmp_path / "a", tmp_path / "elsewhere"
    put(root / "a/1.png", elsewhere / "2.png", root / "b/3.png", elsewhere / "inside/4.png")
    (root / "a" / "link.png").symlink_to(elsewhere / "2.png")
    (root / "c").symlink_to(elsewhere)
    (root / "a" / "back").symlink_to(root)
    (root / "a" / "above").symlink_to(tmp_path)
    (root / "a" / "itself").symlink_to(root / "a" / "itself")
    (root / "b" / "self").symlink_to(root / "b")
    (root / "b" / "one").symlink_to(elsewhere / "inside")
    (root / "b" / "two").symlink_to(elsewhere / "inside")
    samples = load(of(root))
    assert samples.paths == ("a/1.png", "a/link.png", "b/3.png", "b/one/4.png", "c/2.png", "c/inside/4.png")
    assert numbers(samples) == [0, 1, 2, 3, 1, 3]


def test_a_link_to_an_image_that_is_gone_is_a_bad_image(tmp_path):
    put(*(tmp_path / "a" / name / "1.png" for name in "ab"))
    (tmp_path / "a/a/2.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(RequestError, match=r"1 of 3 images.*a/a/2\.png \(No such file or directory\)"):
        load(of(tmp_path / "a"))


# what is refused


def refused(root: Path | str) -> str:
    with pytest.raises(RequestError) as error:
        describe(of(root))
    with pytest.raises(RequestError, match=r"dataset\.root"):
        load(of(root))
    text = str(error.value)
    assert len(text.splitlines()) == 1
    return text


def test_a_root_that_is_missing_or_a_file_is_refused(tmp_path):
    assert "is not there" in refused(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    assert "is no folder" in refused(tmp_path / "file")
    assert "is no path" in refused("a\0b")
    assert "is no path" in refused("x" * 300)
    assert "is no path" in refused("~nobody of this name/x")


def test_a_root_without_folders_is_refused(tmp_path):
    put(tmp_path / "1.png", tmp_path / ".hidden" / "1.png")
    assert "has no folders; it takes one for each class" in refused(tmp_path)


def test_one_class_alone_is_refused_and_the_folders_inside_are_pointed_at(tmp_path):
    put(tmp_path / "a/b/1.png")
    assert "holds one class alone, a; it takes two or more" in refused(tmp_path)
    put(tmp_path / "a/c d/1.png")
    assert f"try dataset.root={tmp_path}/a" in refused(tmp_path)
    put(tmp_path / "x/train/a/1.png")
    assert "x/train holds one class alone, a" in refused(tmp_path / "x")


def test_an_empty_class_folder_is_refused_by_name(tmp_path):
    put(tmp_path / "a/1.png", tmp_path / "b/1.png")
    (tmp_path / "c" / "inside").mkdir(parents=True)
    (tmp_path / "c" / "notes.txt").touch()
    assert f"{tmp_path}/c holds no images" in refused(tmp_path)


def test_a_class_that_train_lacks_is_refused_by_name(tmp_path):
    put(*(tmp_path / "train" / name / "1.png" for name in "ab"), tmp_path / "test/dog/1.png")
    text = refused(tmp_path)
    assert f"{tmp_path}/test/dog is a class that {tmp_path}/train lacks; there are a, b" in text


def test_folders_that_might_be_splits_are_never_taken_for_classes(tmp_path):
    put(*(tmp_path / part / name / "1.png" for part in ("val", "test") for name in "ab"))
    assert "holds test/, val/ and no train/" in refused(tmp_path)
    put(*(tmp_path / part / name / "1.png" for part in ("train", "valid") for name in "ab"))
    assert "are both val" in refused(tmp_path)
    for name in "ab":
        (tmp_path / "valid" / name / "1.png").unlink()
        (tmp_path / "valid" / name).rmdir()
    assert f"{tmp_path}/valid does not hold class folders alone" in refused(tmp_path)
    (tmp_path / "valid").rmdir()
    put(tmp_path / "others" / "1.png")
    assert f"holds train/, and {tmp_path}/others is none of train, val and test" in refused(tmp_path)


def test_a_class_may_be_called_train(tmp_path):
    put(*(tmp_path / name / "1.png" for name in ("bus", "train", "test")))
    assert describe(of(tmp_path)).class_names == ("bus", "test", "train")


# what is shared


def test_images_are_another_data_set_once_a_file_came_or_was_written_again(tmp_path):
    root, shared = noise(tmp_path / "a", each=2), {}

    def samples() -> Any:
        return samples_of({"dataset": of(root), "cache": str(tmp_path / "cache")}, shared)

    first = samples()
    assert samples() is first
    put(root / "class 1" / "new.png")
    second = samples()
    assert len(second.labels) == len(first.labels) + 1
    (root / "class 1" / "new.png").write_bytes((root / "class 2" / "00.png").read_bytes())
    third = samples()
    assert len({first.fingerprint, second.fingerprint, third.fingerprint}) == 3
    (root / "class 0" / "00.png").rename(root / "class 1" / "00a.png")
    assert samples().fingerprint != third.fingerprint


def test_the_fingerprint_reads_no_pixels_and_is_the_same_from_memory_and_from_the_cache(tmp_path):
    root = noise(tmp_path / "a", each=3)
    found = {
        load(of(root, cache=cache, memory=memory)).fingerprint
        for cache in (None, tmp_path / "cache")
        for memory in (1.0, 1e-9)
    }
    assert len(found) == 1
    assert load(of(root)).content is not None


def test_a_listing_is_quick_to_look_at_and_holds_nothing_but_names(tmp_path):
    root = noise(tmp_path / "a", classes=2, each=2)
    found = listing(of(root))
    assert found.paths == [str(root / f"class {label}" / f"0{number}.png") for label in range(2) for number in range(2)]
    assert found.labels.tolist() == [0, 0, 1, 1]


# runs

RUN = ("dataset=imagefolder", "dataset.root=pictures", "dataset.size=8", "model=mlp", "model.hidden=[4]", "epochs=2")


@pytest.mark.parametrize("more", [(), ("cache=null",)], ids=["cached", "uncached"])
def test_a_run_past_the_memory_budget_is_the_same_to_the_byte(lab: Lab, more):
    noise(lab.folder / "pictures", each=20)
    inside = lab.train("inside", *RUN, *more)
    outside = lab.train("outside", *RUN, *more, "dataset.memory=1e-9")
    assert essence(inside) == essence(outside)  # checkpoints, too: the hash of the config leaves dataset.memory out
    assert (lab.folder / "outputs" / "cache" / "images").exists() is not bool(more)


def test_a_sweep_with_another_memory_budget_is_the_one_that_is_there(lab: Lab):
    noise(lab.folder / "pictures", each=20)
    typed = ("-m", "seed=0,1", "hydra.sweep.dir=s", "figures=none", *RUN)
    assert lab(*typed).code == 0
    made = {run: (lab.folder / "s" / run / "log.txt").read_bytes() for run in "01"}
    again = lab(*typed, "dataset.memory=0.5")
    assert again.code == 0, again.err
    assert {run: (lab.folder / "s" / run / "log.txt").read_bytes() for run in "01"} == made
    ended = lab(*typed, "dataset.memory=0.5,1")
    assert (ended.code, "dataset.memory says how a sweep is carried out" in ended.err) == (2, True)


def test_a_run_resumes_with_its_images_and_refuses_others(lab: Lab):
    noise(lab.folder / "pictures", each=20)
    run = lab.train("run", *RUN)
    before = json.loads((run / "environment.json").read_text())["data"]
    assert lab("resume", "run", "epochs=3", "figures=none").code == 0
    (lab.folder / "pictures" / "class 1" / "03.png").unlink()
    ended = lab("resume", "run", "epochs=4", "figures=none")
    assert ended.code == 2
    assert before in ended.err


def test_a_run_with_bad_images_is_refused_before_anything_is_written(lab: Lab):
    noise(lab.folder / "pictures", each=20)
    for name in ("class 0/03.png", "class 2/07.png"):
        (lab.folder / "pictures" / name).write_bytes(b"")
    before = lab.tree()
    ended = lab(*RUN)
    assert ended.code == 2
    assert "2 of 60 images cannot be read: pictures/class 0/03.png (empty), pictures/class 2/07.png" in ended.err
    assert "dataset.skip_bad=true" in ended.err
    assert lab.tree() == before
    assert lab("figures=none", *RUN, "dataset.skip_bad=true").code == 0


@pytest.fixture
def unread(monkeypatch) -> None:
    """No file is decoded, nor read to know what is in it."""

    def refuse(*_):
        raise AssertionError("a file was read")

    monkeypatch.setattr("labrunner.data.decoded.pixels_of", refuse)
    monkeypatch.setattr("labrunner.data.decoded.Index.hash", refuse)


@pytest.mark.parametrize("model", [RUN[3:5], ("model=cnn", "model.channels=[4]", "model.batch_norm=true")])
@pytest.mark.parametrize("cache", [(), ("cache=null",)], ids=["cached", "uncached"])
def test_a_plan_lists_the_images_and_neither_reads_nor_writes_a_file(lab: Lab, unread, model, cache):
    noise(lab.folder / "pictures", each=20)
    (lab.folder / "pictures" / "class 0" / "03.png").write_bytes(b"")
    before = lab.tree()
    ended = lab("plan", *RUN[:3], *RUN[5:], *model, *cache)
    assert (ended.code, ended.err) == (0, "")
    assert "not told" not in ended.out
    into = "" if cache else ", into 11.5 kB of disk"  # 60 * 3 * 8 * 8 bytes
    assert f"before that, 60 images of dataset=imagefolder are decoded{into}\n" in ended.out
    assert lab.tree() == before


def test_the_plan_of_a_sweep_tells_of_images_once_for_all_runs_that_share_them(lab: Lab, unread):
    noise(lab.folder / "pictures", each=20)
    ended = lab("plan", "-m", *RUN, "optim.lr=0.1,0.01", "model.hidden=[4],[5]", "dataset.size=8,16")
    assert ended.code == 0, ended.err
    told = [line for line in ended.out.splitlines() if "decoded" in line]
    assert [line.rpartition("into ")[2] for line in told] == ["11.5 kB of disk", "46.1 kB of disk"]


def test_a_plan_takes_the_images_that_are_decoded_already(lab: Lab, monkeypatch):
    root = noise(lab.folder / "pictures", each=20)
    for path in root.rglob("*.png"):
        os.utime(path, (10**9, 10**9))
    lab.train("run", *RUN)
    before, sizes = lab.tree(), []

    def noted(learner, data, epochs):
        sizes.append([len(split) for split in (data.train, data.val, data.test)])
        sizes.append(data.samples.fingerprint)
        return 1.0

    monkeypatch.setattr("labrunner.trainer.estimate", noted)
    ended = lab("plan", *RUN)
    assert (ended.code, "decoded" in ended.out) == (0, False)
    assert lab.tree() == before
    put(root / "class 0" / "new.png")
    ended = lab("plan", *RUN)
    assert "before that, 61 images of dataset=imagefolder are decoded, into 11.7 kB" in ended.out
    recorded = json.loads((lab.folder / "run" / "environment.json").read_text())["data"]
    assert [sum(sizes[0]), sizes[1], sum(sizes[2])] == [60, recorded, 61]
    assert sizes[3] != recorded


def test_a_stand_in_for_images_takes_no_memory_and_is_like_them(tmp_path):
    root = noise(tmp_path / "a")
    samples, read = load(of(root, listed=True)), load(of(root))
    assert (samples.listed, read.listed) == (True, False)
    assert (samples.inputs.shape, samples.inputs.dtype) == (read.inputs.shape, read.inputs.dtype)
    assert samples.inputs.strides[0] == 0
    assert (samples.labels.tolist(), samples.paths) == (read.labels.tolist(), read.paths)
    assert samples.fingerprint != read.fingerprint


def test_official_splits_are_what_a_run_is_validated_and_tested_on(lab: Lab):
    for part, each in (("train", 12), ("val", 4), ("test", 5)):
        noise(lab.folder / "pictures" / part, each=each)
    facts = json.loads((lab.train("run", *RUN) / "facts.json").read_text())
    assert [facts[f"{part}_samples"] for part in ("train", "val", "test")] == [36, 12, 15]
