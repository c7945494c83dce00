"""``labrunner fetch model=…``, and what is said of weights that are not there."""

from __future__ import annotations

import hashlib
import io
import socket
from email.message import Message
from urllib.error import URLError

import pytest
import torch

from labrunner import servers
from labrunner.deep import published
from tests.deep import theirs

ARCH = "shufflenet_v2_x0_5"
ASKED = ("model=torchvision", f"model.arch={ARCH}")


class Network:
    """Stands in for torch.hub's `urlopen`; an address that it does not know is one that cannot be reached."""

    def __init__(self) -> None:
        self.served, self.asked, self.timeouts = {}, [], set()

    def __call__(self, request):
        self.asked.append(request.full_url)
        self.timeouts.add(socket.getdefaulttimeout())
        if request.full_url not in self.served:
            raise URLError(OSError(-3, "Temporary failure in name resolution"))
        return Answer(self.served[request.full_url])


class Answer(io.BytesIO):
    def info(self) -> Message:
        return Message()


@pytest.fixture
def network(monkeypatch, lab) -> Network:
    """torch.hub without a network, in a folder of the test's own."""
    stand_in = Network()
    monkeypatch.setattr("torch.hub.urlopen", stand_in)
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(lab.folder / "hub"))
    return stand_in


def serve(network: Network, lab, monkeypatch) -> published.Published:
    """Let the network have a file of weights that is not here."""
    path = theirs.place(ARCH, theirs.network(ARCH).state_dict(), lab.folder, monkeypatch)
    file = published.file_of(ARCH)
    network.served[file.url] = path.read_bytes()
    path.unlink()
    return file


def test_fetch_downloads_weights_once_and_a_run_then_asks_nobody(lab, network, monkeypatch):
    file = serve(network, lab, monkeypatch)
    first = lab("fetch", *ASKED)
    assert (first.code, first.out) == (0, f"weights of {' '.join(ASKED)} are now in {file.path}\n")
    assert first.err == f"{' '.join(ASKED)}: downloading 5 MB from {file.url} into {file.path.parent}\n"
    assert hashlib.sha256(file.path.read_bytes()).hexdigest().startswith(file.prefix)
    second = lab("fetch", *ASKED, "model.weights=imagenet")
    assert (second.code, second.out, second.err) == (
        0,
        f"weights of {' '.join(ASKED)} are already in {file.path}\n",
        "",
    )
    folder = lab.train("run", *ASKED, "model.weights=imagenet", "dataset=digits", "dataset.size=32", "smoke=true")
    assert network.asked == [file.url]
    assert f"torchvision's weights of ImageNet, {file.path.name}" in (folder / "log.txt").read_text()
    assert network.timeouts == {servers.PATIENCE}
    assert socket.getdefaulttimeout() is None


def test_a_run_downloads_what_it_needs_and_its_resume_does_not(lab, network, monkeypatch):
    file = serve(network, lab, monkeypatch)
    folder = lab.train("run", *ASKED, "model.weights=imagenet", "dataset=digits", "dataset.size=32", "smoke=true")
    assert network.asked == [file.url]
    file.path.unlink()
    assert lab("resume", str(folder)).code == 0
    assert network.asked == [file.url]


def test_a_download_that_is_not_what_its_name_says_leaves_nothing_behind(lab, network, monkeypatch):
    file = serve(network, lab, monkeypatch)
    network.served[file.url] += b"!"
    ended = lab("fetch", *ASKED)
    assert ended.code == 2
    assert "invalid hash value" in ended.err
    assert list(file.path.parent.iterdir()) == []


@pytest.mark.parametrize("verb", [("fetch",), (), ("summary",)])
def test_without_a_network_three_lines_say_what_to_put_where(lab, network, verb):
    ended = lab(*verb, "model=efficientnet_b0", "model.weights=imagenet", "dataset=photo_patches")
    assert ended.code == 2
    errors = ended.err[ended.err.index("labrunner: error:") :].splitlines()
    name, folder = "efficientnet_b0_rwightman-7f5810bc.pth", lab.folder / "hub/checkpoints"
    assert [line.strip() for line in errors] == [
        f"labrunner: error: model.weights=imagenet: {folder / name} is missing and cannot be downloaded: "
        "no network: Temporary failure in name resolution",
        f"put {name} into {folder}; from https://download.pytorch.org/models/{name}",
        "or, where there is a network: labrunner fetch model=efficientnet_b0 model.weights=imagenet",
    ]
    assert not (lab.folder / "outputs").exists()


def test_fetch_names_a_damaged_file_instead_of_saying_that_it_is_there(lab, network, monkeypatch):
    file = serve(network, lab, monkeypatch)
    file.path.write_bytes(b"half of it")
    ended = lab("fetch", *ASKED)
    assert ended.code == 2
    assert f"{file.path} is damaged" in ended.err
    assert network.asked == []


def test_weights_and_data_are_fetched_together_where_both_are_torchvisions(lab, network, monkeypatch):
    from tests.data import written

    serve(network, lab, monkeypatch)
    written.write("cifar10", lab.folder / "data", monkeypatch)
    ended = lab("fetch", *ASKED, "dataset=cifar10")
    assert ended.code == 0, ended.err
    assert [line.split(" is ")[0].split(" are ")[0] for line in ended.out.splitlines()] == [
        "dataset=cifar10",
        f"weights of {' '.join(ASKED)}",
    ]


def test_of_a_list_imagenet_is_fetched_and_a_path_needs_nothing(lab, network, monkeypatch):
    file = serve(network, lab, monkeypatch)
    assert lab("fetch", *ASKED, "model.weights=[outputs/x,imagenet,none]").code == 0
    assert network.asked == [file.url]
    ended = lab("fetch", *ASKED, "model.weights=outputs/x")
    assert (ended.code, ended.out) == (0, "model.weights=outputs/x: nothing needs to be fetched\n")


def test_what_torchvision_does_not_have_is_refused(lab, network):
    assert "did you mean resnet18?" in lab("fetch", "model=torchvision", "model.arch=resnet81").err
    assert "torchvision has no weights of model=cnn" in lab("fetch", "model=cnn", "model.weights=imagenet").err
    assert torch.hub.get_dir() == str(lab.folder / "hub")
    assert not (lab.folder / "hub").exists()
