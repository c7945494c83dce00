"""Torchvision's data sets: read from files in their real formats, and no network asked but a stand-in."""

from __future__ import annotations

import gzip
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from labrunner import servers
from labrunner.data import downloads, vision
from labrunner.errors import Interrupted, RequestError
from tests.data.written import ARCHIVES, KINDS, MNISTS, TEST, TRAIN, idx, md5, network, options, packed, write

SUBSETS = ("byclass", "bymerge", "balanced", "letters", "digits", "mnist")


# what is read


@pytest.mark.parametrize("name", vision.NAMES)
def test_a_set_is_read_pixel_for_pixel_with_the_official_test_samples_last(name, tmp_path, monkeypatch):
    written = write(name, tmp_path / "data", monkeypatch)
    samples = vision.load(options(name, tmp_path / "data"))
    np.testing.assert_array_equal(samples.inputs, written.images)
    np.testing.assert_array_equal(samples.labels, written.labels)
    assert samples.test is not None
    assert samples.test.tolist() == list(range(TRAIN, TRAIN + TEST))
    assert samples.inputs.dtype == np.uint8
    assert samples.inputs.flags.c_contiguous
    assert samples.labels.dtype == np.int64
    assert samples.description == vision.describe(options(name))


@pytest.mark.parametrize("subset", SUBSETS)
def test_every_subset_of_emnist_is_upright_and_counts_from_zero(subset, tmp_path, monkeypatch):
    written = write("emnist", tmp_path / "data", monkeypatch, subset)
    samples = vision.load(options("emnist", tmp_path / "data", subset=subset))
    np.testing.assert_array_equal(samples.inputs, written.images)
    np.testing.assert_array_equal(samples.labels, written.labels)


@pytest.mark.parametrize("name", vision.NAMES)
def test_one_sample_is_the_picture_that_torchvision_gives_out(name, tmp_path, monkeypatch):
    from torchvision import datasets

    write(name, tmp_path / "data", monkeypatch)
    samples = vision.load(options(name, tmp_path / "data"))
    if name == "stl10":  # its own class wants the unlabelled images as well
        monkeypatch.setattr(datasets.STL10, "train_list", datasets.STL10.train_list[:2])
    which = {"split": "test"} if name in ("svhn", "stl10") else {"train": False}
    if name == "emnist":
        which["split"] = "balanced"
    picture, label = getattr(datasets, KINDS[name])(tmp_path / "data", **which)[3]
    pixels = np.asarray(picture).reshape(*picture.size[::-1], -1).transpose(2, 0, 1)
    if name == "emnist":
        pixels = pixels.swapaxes(1, 2)
    np.testing.assert_array_equal(samples.inputs[TRAIN + 3], pixels)
    assert samples.labels[TRAIN + 3] == label


# what is known by heart


@pytest.mark.parametrize("name", ["fashion_mnist", "kmnist"])
def test_class_names_are_torchvisions(name):
    from torchvision import datasets

    assert list(vision.describe(options(name)).class_names) == getattr(datasets, KINDS[name]).classes


@pytest.mark.parametrize("subset", SUBSETS)
def test_emnists_class_names_are_torchvisions_without_the_class_that_has_no_samples(subset):
    from torchvision.datasets import EMNIST

    theirs = [name for name in EMNIST.classes_split_dict[subset] if name != "N/A"]
    assert list(vision.describe(options("emnist", subset=subset)).class_names) == theirs


@pytest.mark.parametrize(
    ("name", "count"), [("mnist", 10), ("cifar10", 10), ("cifar100", 100), ("svhn", 10), ("stl10", 10)]
)
def test_a_description_has_as_many_names_as_the_set_has_classes(name, count):
    names = vision.describe(options(name)).class_names
    assert len(names) == len(set(names)) == count


@pytest.mark.parametrize("name", vision.NAMES)
def test_the_addresses_are_torchvisions(name):
    from torchvision import datasets

    kind = getattr(datasets, KINDS[name])
    if name in MNISTS:
        theirs = [kind.mirrors[0] + file for file, _ in kind.resources]
    elif name == "svhn":
        theirs = [kind.split_list[part][0] for part in ("train", "test")]
    else:
        theirs = [kind.url]
    assert list(dict.fromkeys(file.url for file in vision.files(options(name)))) == theirs


@pytest.mark.parametrize("name", vision.NAMES)
def test_the_files_named_are_the_files_that_torchvision_reads(name, tmp_path, monkeypatch):
    write(name, tmp_path / "data", monkeypatch)
    written = {path for path in (tmp_path / "data").rglob("*") if path.is_file() and path.name != "class_names.txt"}
    assert {file.path for file in vision.files(options(name, tmp_path / "data"))} == written
    assert downloads.missing(vision.files(options(name, tmp_path / "data"))) == []


def test_describing_and_looking_for_files_imports_no_torch(tmp_path):
    code = (
        "import sys; from labrunner.data import downloads, vision\n"
        "for name in vision.NAMES:\n"
        "    options = {'name': name, 'root': 'data', 'subset': 'letters'}\n"
        "    assert vision.describe(options).num_classes >= 10 and downloads.missing(vision.files(options))\n"
        "assert not {'torch', 'torchvision', 'scipy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_root_may_begin_with_the_home_folder(monkeypatch):
    monkeypatch.setenv("HOME", "/home/ada")
    assert vision.files(options("svhn", "~/sets"))[0].path == Path("/home/ada/sets/train_32x32.mat")


# archives that lie there


@pytest.mark.parametrize("name", [*MNISTS, "emnist"])
def test_a_gz_beside_is_unpacked_without_a_network(name, tmp_path, monkeypatch):
    asked = network(monkeypatch).asked
    written = write(name, tmp_path / "data", monkeypatch)
    paths = [file.path for file in vision.files(options(name, tmp_path / "data"))]
    for path in paths:
        Path(f"{path}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert downloads.missing(vision.files(options(name, tmp_path / "data"))) == []
    np.testing.assert_array_equal(vision.load(options(name, tmp_path / "data")).inputs, written.images)
    assert asked == []
    folder = paths[0].parent
    assert {path.name for path in folder.iterdir()} == {f"{path.name}{end}" for path in paths for end in ("", ".gz")}


def test_a_file_whose_unpacking_was_cut_short_is_unpacked_again(tmp_path, monkeypatch):
    written = write("mnist", tmp_path / "data", monkeypatch)
    path = tmp_path / "data/MNIST/raw/train-images-idx3-ubyte"
    whole = path.read_bytes()
    Path(f"{path}.gz").write_bytes(gzip.compress(whole))
    path.write_bytes(whole[:1000])
    np.testing.assert_array_equal(vision.load(options("mnist", tmp_path / "data")).inputs, written.images)


@pytest.mark.parametrize(
    "content", [b"<html>log in first</html>", gzip.compress(bytes(9999), mtime=0)[:-9]], ids=["a page", "cut short"]
)
def test_a_gz_that_is_none_or_is_cut_short_is_named(content, tmp_path, monkeypatch):
    write("mnist", tmp_path / "data", monkeypatch)
    path = tmp_path / "data/MNIST/raw/t10k-labels-idx1-ubyte"
    path.unlink()
    Path(f"{path}.gz").write_bytes(content)
    with pytest.raises(RequestError, match=r"t10k-labels-idx1-ubyte\.gz is damaged\ndelete it and fetch again"):
        vision.load(options("mnist", tmp_path / "data"))
    assert not path.exists()


@pytest.mark.parametrize("name", ["emnist", *ARCHIVES])
def test_an_archive_is_unpacked_without_a_network(name, tmp_path, monkeypatch):
    written = write(name, tmp_path / "data", monkeypatch)
    (archive,) = packed(name, tmp_path / "data", monkeypatch).values()
    path = tmp_path / "data" / ("EMNIST/raw/gzip.zip" if name == "emnist" else ARCHIVES[name])
    path.parent.mkdir(parents=True)
    path.write_bytes(archive)
    asked, said = network(monkeypatch).asked, []
    assert downloads.missing(vision.files(options(name, tmp_path / "data"))) == []
    np.testing.assert_array_equal(vision.load(options(name, tmp_path / "data"), said.append).labels, written.labels)
    assert asked == []
    assert said == [f"dataset={name}: unpacking {path}"]


# downloads


@pytest.mark.parametrize("name", vision.NAMES)
def test_what_is_missing_is_downloaded_once_and_said(name, tmp_path, monkeypatch, capsys):
    written = write(name, tmp_path / "data", monkeypatch)
    served = packed(name, tmp_path / "data", monkeypatch)
    stand_in = network(monkeypatch, served)
    assert len(downloads.missing(vision.files(options(name, tmp_path / "data")))) == len(vision.files(options(name)))
    np.testing.assert_array_equal(vision.load(options(name, tmp_path / "data")).inputs, written.images)
    assert set(stand_in.asked) == set(served)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"dataset={name}: downloading {downloads.size(vision.SETS[name].megabytes)} from http")
    stand_in.served.clear()
    np.testing.assert_array_equal(vision.load(options(name, tmp_path / "data")).labels, written.labels)


def test_a_server_may_be_silent_for_a_few_seconds_only_and_the_timeout_of_others_is_put_back(tmp_path, monkeypatch):
    stand_in = network(monkeypatch)
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(77.0)
    try:
        with pytest.raises(RequestError):
            vision.load(options("cifar10", tmp_path))
        assert socket.getdefaulttimeout() == 77.0
    finally:
        socket.setdefaulttimeout(before)
    assert stand_in.timeouts == {servers.PATIENCE}
    assert servers.PATIENCE <= 10.0


@pytest.mark.parametrize("name", vision.NAMES)
def test_without_a_network_the_error_says_which_file_belongs_where_and_who_can_get_it(name, tmp_path, monkeypatch):
    network(monkeypatch)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RequestError) as caught:
        vision.load(options(name))
    first, second, third = str(caught.value).split("\n")
    wanted = vision.files(options(name))[0]
    assert first.startswith(f"dataset={name}: {wanted.downloaded} is missing and cannot be downloaded: ")
    assert first.endswith("Temporary failure in name resolution")
    assert second.startswith(f"put {wanted.downloaded.name}")
    assert f" into {wanted.downloaded.parent}; from {wanted.url.rpartition('/')[0]}/" in second
    assert third == f"or, where there is a network: labrunner fetch dataset={name}"


def test_the_error_names_all_archives_of_a_set_and_the_root_that_was_asked_for(tmp_path, monkeypatch):
    network(monkeypatch)
    with pytest.raises(RequestError) as caught:
        vision.load(options("mnist", tmp_path / "my sets"))
    message = str(caught.value)
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        assert f"{name}-ubyte.gz" in message
    assert message.endswith(f"labrunner fetch dataset=mnist 'dataset.root={tmp_path / 'my sets'}'")


@pytest.mark.parametrize("name", vision.NAMES)
def test_half_a_download_is_not_taken_for_a_whole_one(name, tmp_path, monkeypatch):
    written = write(name, tmp_path / "data", monkeypatch)
    served = packed(name, tmp_path / "data", monkeypatch)
    network(monkeypatch, {url: data[: len(data) // 2] for url, data in served.items()})
    with pytest.raises(RequestError, match="cannot be downloaded"):
        vision.load(options(name, tmp_path / "data"))
    assert [path for path in (tmp_path / "data").rglob("*") if path.is_file()] == []
    network(monkeypatch, served)
    np.testing.assert_array_equal(vision.load(options(name, tmp_path / "data")).inputs, written.images)


def test_what_came_whole_before_the_network_broke_is_kept(tmp_path, monkeypatch):
    write("mnist", tmp_path / "data", monkeypatch)
    served = packed("mnist", tmp_path / "data", monkeypatch)
    first = [url for url in served if "train-" in url]
    network(monkeypatch, {url: served[url] for url in first})
    with pytest.raises(RequestError, match=r"t10k-images-idx3-ubyte\.gz is missing"):
        vision.load(options("mnist", tmp_path / "data"))
    stand_in = network(monkeypatch, served)
    vision.load(options("mnist", tmp_path / "data"))
    assert not set(stand_in.asked) & set(first)


def test_an_interrupt_in_a_download_stays_one_and_leaves_no_half_file(tmp_path, monkeypatch):
    write("cifar10", tmp_path / "data", monkeypatch)
    (url, data), *_ = packed("cifar10", tmp_path / "data", monkeypatch).items()
    stand_in = network(monkeypatch, {url: data})

    class Cut:
        """Answers with a few bytes and is then interrupted."""

        def __init__(self, answer):
            self.answer, self.url, self.length = answer, answer.url, answer.length

        def read(self, size):
            if self.answer.tell():
                raise Interrupted(2)
            return self.answer.read(100)

        def __enter__(self):
            return self

        def __exit__(self, *exception):
            return None

    monkeypatch.setattr("urllib.request.urlopen", lambda request: Cut(stand_in(request)))
    with pytest.raises(Interrupted):
        vision.load(options("cifar10", tmp_path / "data"))
    assert [path for path in (tmp_path / "data").rglob("*") if path.is_file()] == []


def test_an_archive_that_came_half_is_replaced_or_named_where_there_is_no_network(tmp_path, monkeypatch):
    written = write("cifar10", tmp_path / "data", monkeypatch)
    served = packed("cifar10", tmp_path / "data", monkeypatch)
    (data,) = served.values()
    path = tmp_path / "data/cifar-10-python.tar.gz"
    path.parent.mkdir()
    path.write_bytes(data[:500])
    network(monkeypatch)
    with pytest.raises(RequestError, match=r"cifar-10-python\.tar\.gz is damaged and cannot be downloaded"):
        vision.load(options("cifar10", tmp_path / "data"))
    network(monkeypatch, served)
    np.testing.assert_array_equal(vision.load(options("cifar10", tmp_path / "data")).inputs, written.images)
    assert path.read_bytes() == data


def test_a_folder_that_cannot_be_made_is_an_error_in_one_to_three_lines(tmp_path, monkeypatch):
    network(monkeypatch)
    (tmp_path / "data").write_text("a file")
    for name in vision.NAMES:
        with pytest.raises(RequestError) as caught:
            vision.load(options(name, tmp_path / "data"))
        assert str(caught.value).count("\n") == 2
        assert "cannot be downloaded" in str(caught.value)


# damage


@pytest.mark.parametrize("name", vision.NAMES)
@pytest.mark.parametrize("number", [0, 1])
def test_a_damaged_file_is_named_and_nothing_else_is(name, number, tmp_path, monkeypatch):
    asked = network(monkeypatch).asked
    write(name, tmp_path / "data", monkeypatch)
    paths = [file.path for file in vision.files(options(name, tmp_path / "data"))]
    paths[number].write_bytes(paths[number].read_bytes()[:-7])
    with pytest.raises(RequestError) as caught:
        vision.load(options(name, tmp_path / "data"))
    first, second = str(caught.value).split("\n")
    assert first == f"dataset={name}: {paths[number]} is damaged"
    assert second.startswith(f"delete it and fetch again: labrunner fetch dataset={name} dataset.root=")
    assert asked == []


@pytest.mark.parametrize("content", [b"", b"\0\0\x08", b"\0\0\x09\x03" + bytes(12), b"PK\3\4" + bytes(3000)])
def test_a_file_that_is_no_mnist_file_is_named(content, tmp_path, monkeypatch):
    write("mnist", tmp_path / "data", monkeypatch)
    path = tmp_path / "data/MNIST/raw/train-images-idx3-ubyte"
    path.write_bytes(content)
    with pytest.raises(RequestError, match="train-images-idx3-ubyte is damaged"):
        vision.load(options("mnist", tmp_path / "data"))


def test_files_that_are_whole_and_do_not_fit_each_other_are_refused(tmp_path, monkeypatch):
    write("mnist", tmp_path / "data", monkeypatch)
    idx(tmp_path / "data/MNIST/raw/train-labels-idx1-ubyte", np.zeros(TRAIN - 1))
    with pytest.raises(RequestError, match=f"dataset=mnist: {TRAIN + TEST} samples and {TRAIN + TEST - 1} labels"):
        vision.load(options("mnist", tmp_path / "data"))


@pytest.mark.parametrize("parts", [("train", "t10k"), ("train",), ("t10k",)])
def test_images_of_another_size_are_refused(parts, tmp_path, monkeypatch):
    write("mnist", tmp_path / "data", monkeypatch)
    for part in parts:
        idx(tmp_path / f"data/MNIST/raw/{part}-images-idx3-ubyte", np.zeros((TRAIN if part == "train" else TEST, 8, 8)))
    with pytest.raises(RequestError, match=r"shape \(1, 8, 8\), described as \(1, 28, 28\)"):
        vision.load(options("mnist", tmp_path / "data"))


def test_files_that_name_other_classes_are_refused(tmp_path, monkeypatch):
    write("stl10", tmp_path / "data", monkeypatch)
    (tmp_path / "data/stl10_binary/class_names.txt").write_text("apple\npear\n")
    with pytest.raises(RequestError, match="the files name the classes apple, pear, …; described are airplane, bird"):
        vision.load(options("stl10", tmp_path / "data"))


def test_the_unlabelled_images_of_stl10_need_not_be_there(tmp_path, monkeypatch):
    from torchvision.datasets import STL10

    write("stl10", tmp_path / "data", monkeypatch)
    assert STL10.train_list[2][0] == "unlabeled_X.bin"
    assert not (tmp_path / "data/stl10_binary/unlabeled_X.bin").exists()
    assert len(vision.load(options("stl10", tmp_path / "data")).labels) == TRAIN + TEST


def test_the_checksums_are_those_of_the_files_written(tmp_path, monkeypatch):
    for name in ("cifar10", "svhn"):
        write(name, tmp_path / name, monkeypatch)
        sums = vision._checksums(name)
        for file in vision.files(options(name, tmp_path / name)):
            assert sums[file.path.name] == md5(file.path)


@pytest.mark.parametrize("name", ["mnist", "kmnist"])
def test_files_that_an_old_torchvision_processed_do_not_win_over_the_raw_ones(name, tmp_path, monkeypatch):
    write(name, tmp_path, monkeypatch)
    expected = vision.load(options(name, tmp_path)).inputs
    processed = vision.files(options(name, tmp_path))[0].path.parents[1] / "processed"
    processed.mkdir()
    for part in ("training.pt", "test.pt"):
        (processed / part).write_bytes(b"not what was checked")
    np.testing.assert_array_equal(vision.load(options(name, tmp_path)).inputs, expected)


@pytest.mark.parametrize("root", ["~nobody-of-this-name/data", "x" * 5000, "a\0b"])
def test_a_root_that_is_no_path_is_refused(root):
    with pytest.raises(RequestError, match="is no path") as refused:
        vision.files(options("mnist", root))
    assert len(str(refused.value)) < 300


def test_a_download_that_fails_leaves_no_empty_folders(tmp_path, monkeypatch):
    network(monkeypatch)
    (tmp_path / "kept").mkdir()
    with pytest.raises(RequestError, match="cannot be downloaded"):
        vision.load(options("mnist", tmp_path / "kept" / "data"), say=lambda text: None)
    assert [path.name for path in tmp_path.rglob("*")] == ["kept"]
