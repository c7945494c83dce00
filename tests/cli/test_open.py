"""``labrunner open``: the page of the newest run or sweep, or of one that is named, and where there is no browser."""

from __future__ import annotations

import os
import shlex
import sys
import webbrowser
from pathlib import Path

import pytest

from labrunner.verbs.open import no_browser
from tests.cli.lab import Lab, ended
from tests.folders import write_run
from tests.sweeps import write_sweep

RUNS, SWEEPS = "outputs/runs", "outputs/sweeps"


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that a browser was asked for; it takes all of them."""
    asked: list[str] = []
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.delenv("BROWSER", raising=False)
    monkeypatch.setattr(webbrowser, "open", lambda address: asked.append(address) or True)
    return asked


def page(lab: Lab, folder: str) -> str:
    """Put a page into a folder; what a browser would be asked for."""
    path = lab.folder / folder / "report.html"
    path.write_text("drawn before")
    return path.as_uri()


def test_a_run_that_is_named_is_shown_and_its_page_is_left_as_it_is(lab: Lab, opened: list[str]):
    write_run(lab.folder / "a run#1", epochs=2)
    address = page(lab, "a run#1")
    found = lab("open", "a run#1")
    assert (found.code, found.out, found.err) == (0, "a run#1/report.html\n", "")
    assert opened == [address]
    assert "a%20run%231" in address
    assert Path("a run#1/report.html").read_text() == "drawn before"
    assert lab("open", "a run#1/report.html").code == 0
    assert opened == [address] * 2


def test_without_a_name_the_run_or_sweep_that_was_begun_last(lab: Lab, opened: list[str]):
    write_run(lab.folder / RUNS / "2026-01-03_00-00-00_aaaa", epochs=2)
    third = page(lab, f"{RUNS}/2026-01-03_00-00-00_aaaa")
    write_run(lab.folder / RUNS / "2026-01-01_00-00-00_bbbb", epochs=2)
    page(lab, f"{RUNS}/2026-01-01_00-00-00_bbbb")
    assert lab("open").code == 0
    write_sweep(lab.folder / SWEEPS / "2026-01-04_00-00-00_cccc", [{"seed": 0}, {"seed": 1}], epochs=2)
    fourth = page(lab, f"{SWEEPS}/2026-01-04_00-00-00_cccc")
    page(lab, f"{SWEEPS}/2026-01-04_00-00-00_cccc/1")
    assert lab("open").code == 0
    assert opened == [third, fourth]


def test_what_has_nothing_to_show_is_passed_over(lab: Lab, opened: list[str]):
    write_run(lab.folder / RUNS / "2026-01-01_00-00-00_aaaa", epochs=2)
    address = page(lab, f"{RUNS}/2026-01-01_00-00-00_aaaa")
    lab.write(f"{RUNS}/2026-01-02_00-00-00_bbbb/metrics.csv", "epoch\n")
    found = lab("open")
    assert found.code == 0
    assert f"passed over: {RUNS}/2026-01-02_00-00-00_bbbb is no run folder" in found.err
    assert opened == [address]


def test_a_report_that_is_missing_is_drawn_now(lab: Lab, opened: list[str]):
    write_run(lab.folder / "run", epochs=2)
    found = lab("open", "run")
    assert (found.code, found.out) == (0, "run/report.html\n")
    assert "run has no report yet; drawing it" in found.err
    assert Path("run/report.html").read_text() == "figures=all"
    assert opened == [(lab.folder / "run/report.html").as_uri()]


def test_a_report_that_cannot_be_drawn_is_an_error(lab: Lab, opened: list[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tests.cli.lab.Undrawn.ask", lambda *anything: None)
    write_run(lab.folder / "run", epochs=2)
    found = lab("open", "run")
    assert (found.code, opened) == (1, [])
    assert "there is nothing to show in run" in found.err


def test_of_a_range_test_and_of_an_evaluation_a_figure_is_shown(lab: Lab, opened: list[str]):
    lab.write("range/lr_range.csv", "lr\n")
    lab.write("range/lr_range.png", "")
    lab.write("evaluation/evaluation.json", "{}")
    found = lab("open", "evaluation")
    assert found.code == 2
    assert "the evaluation in evaluation has no figures" in found.err
    lab.write("evaluation/figures/confusion.png", "")
    assert lab("open", "range").code == lab("open", "evaluation").code == 0
    names = ("range/lr_range.png", "evaluation/figures/confusion.png")
    assert opened == [(lab.folder / name).as_uri() for name in names]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere"], "there is no folder nowhere"),
        (["."], ". is no run folder"),
        (["a", "b"], "open shows one report at a time"),
        (["figures=all"], "open takes a run folder or a sweep folder, and not figures=all"),
        ([], "there are no runs under outputs yet"),
    ],
)
def test_what_cannot_be_shown_is_refused(lab: Lab, opened: list[str], words: list[str], said: str):
    lab.write("report.html", "some page of the user's")
    before = lab.tree()
    found = lab("open", *words)
    assert (found.code, found.out, opened) == (2, "", [])
    assert said in found.err
    assert lab.tree() == before


def test_a_page_that_is_a_link_is_not_followed(lab: Lab, opened: list[str]):
    write_run(lab.folder / "run", epochs=2)
    lab.write("elsewhere.html", "")
    os.symlink(lab.folder / "elsewhere.html", lab.folder / "run" / "report.html")
    found = lab("open", "run")
    assert (found.code, opened) == (2, [])
    assert "run/report.html is a symbolic link" in found.err


@pytest.mark.parametrize(
    ("environment", "platform", "opens"),
    [
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({}, "linux", False),
        ({"DISPLAY": ""}, "linux", False),
        ({}, "darwin", True),
        ({}, "win32", True),
        ({"SSH_CONNECTION": "10.0.0.1 1 10.0.0.2 22"}, "darwin", False),
        ({"SSH_CONNECTION": "10.0.0.1 1 10.0.0.2 22", "DISPLAY": "localhost:10.0"}, "linux", True),
        ({"SSH_CONNECTION": "10.0.0.1 1 10.0.0.2 22", "BROWSER": "helper"}, "linux", True),
    ],
)
def test_a_browser_is_asked_where_the_user_would_see_it(environment: dict[str, str], platform: str, opens: bool):
    assert (no_browser(environment, platform) is None) is opens


def test_without_a_display_the_page_is_named_and_that_is_no_error(
    lab: Lab, opened: list[str], monkeypatch: pytest.MonkeyPatch
):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SSH_CONNECTION", "SSH_TTY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    write_run(lab.folder / "run", epochs=2)
    page(lab, "run")
    found = lab("open", "run")
    assert (found.code, found.out, opened) == (0, "run/report.html\n", [])
    assert "there is no display here: nothing was opened" in found.err


def test_a_browser_that_does_not_start_is_no_error(lab: Lab, opened: list[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(webbrowser, "open", lambda address: False)
    write_run(lab.folder / "run", epochs=2)
    page(lab, "run")
    found = lab("open", "run")
    assert (found.code, found.out) == (0, "run/report.html\n")
    assert "no browser could be started" in found.err


def test_the_program_in_the_variable_browser_gets_the_address(lab: Lab, fresh):
    program = lab.write("browser", f'#!/bin/sh\necho "$1" > {shlex.quote(str(lab.folder / "asked"))}\n')
    program.chmod(0o755)
    write_run(lab.folder / "run", epochs=2)
    address = page(lab, "run")
    found = ended(fresh("open", "run", env={"BROWSER": str(program)}))
    assert (found.code, found.out) == (0, "run/report.html\n")
    assert (lab.folder / "asked").read_text().strip() == address
