"""``labrunner completion``: the scripts of bash, zsh and fish, each in that shell itself, and what they ask for."""

from __future__ import annotations

import os
import pty
import re
import select
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from labrunner.verbs.completion import BREAKS, bash, cut, fish, typed, zsh
from tests.cli.lab import PATIENCE
from tests.folders import write_run


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to be in, with the command on the path as its installed script would start it."""
    program = tmp_path / "bin" / "labrunner"
    program.parent.mkdir()
    start = "import sys; from labrunner.cli import main; sys.exit(main())"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -P -c "{start}" "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    return here


def need(shell: str) -> str:
    path = shutil.which(shell)
    if path is None:
        pytest.skip(f"{shell} is not installed")
    return path


# the verb


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_says_how_it_is_installed_and_the_shell_can_read_it(lab, shell):
    ended = lab("completion", shell)
    assert (ended.code, ended.err) == (0, "")
    comments = [line for line in ended.out.splitlines() if line.startswith("#")]
    assert any(f"labrunner completion {shell}" in line for line in comments)
    path = lab.write(f"script.{shell}", ended.out)
    subprocess.run([need(shell), "-n", str(path)], check=True)


@pytest.mark.parametrize("words", [[], ["tcsh"], ["bash", "zsh"], ["shell=bash"]])
def test_a_shell_that_there_is_none_of_is_refused(lab, words):
    ended = lab("completion", *words)
    assert (ended.code, ended.out) == (2, "")
    not_given = f", and not {' '.join(words)}" if words else ""
    assert f"completion takes the name of a shell, bash, zsh or fish{not_given}\n" in ended.err


@pytest.mark.parametrize("argv", [[], ["tcsh"], ["bash"], ["zsh", "--"], ["fish"], ["zsh", "--", "--cfg=job=", "\0"]])
def test_whatever_a_script_asks_there_is_no_error_in_the_middle_of_what_is_typed(lab, monkeypatch, argv):
    monkeypatch.delenv("COMP_LINE", raising=False)
    assert lab("completion", "words", *argv).err == ""


# the shells' languages


@pytest.mark.parametrize(
    ("line", "word", "kept", "quote"),
    [
        ("labrunner ", "", 0, ""),
        ("labrunner mod", "mod", 0, ""),
        ("labrunner model=", "model=", 6, ""),
        ("labrunner model=mlp,cn", "model=mlp,cn", 6, ""),
        ("labrunner hydra.run.dir=a:b", "hydra.run.dir=a:b", 16, ""),
        ("labrunner 'model=m", "model=m", 0, "'"),
        ('labrunner model="m', "model=m", 6, '"'),
        ("labrunner 'a b'", "a b", 0, ""),
        (r"labrunner my\ run/x", "my run/x", 0, ""),
        (r'labrunner "a\"b', 'a"b', 0, '"'),
        ("labrunner a\\", "a", 0, ""),
    ],
)
def test_a_line_is_cut_as_bash_cuts_it(line, word, kept, quote):
    found = cut(line)
    assert (found.before, found.word, found.kept, found.quote) == (["labrunner"], word, kept, quote)


def answers(line: str, breaks: str = BREAKS) -> list[str]:
    return list(bash({"COMP_LINE": line, "COMP_POINT": str(len(line)), "COMP_WORDBREAKS": breaks}))


def test_bash_gets_what_is_behind_its_own_breaks(shelf):
    assert answers("labrunner -m model=mlp,cn") == ["mlp,cnn"]
    assert answers("labrunner -m model=mlp,cn", breaks=" \t\n") == ["model=mlp,cnn"], "where a user has none at ="
    assert answers("labrunner figures=f") == ["few"]
    assert answers("labrunner 'figures=f") == ["figures=few"]
    assert answers("labrunner optim=sgd optim.mo") == ["optim.momentum="]
    line = "labrunner model=cn epochs=3"
    assert list(bash({"COMP_LINE": line, "COMP_POINT": "18"})) == ["cnn"], "the cursor is behind model=cn"


def test_letters_that_mean_something_to_bash_are_escaped_outside_of_quotes(shelf):
    (shelf / "my $run (1)").mkdir()
    assert answers("labrunner ls my") == [r"my\ \$run\ \(1\)/"]
    assert answers(r"labrunner ls my\ ") == [r"my\ \$run\ \(1\)/"]
    assert answers("labrunner ls 'my") == ["my $run (1)/"]
    shown = subprocess.run(
        ["bash", "-c", f"echo {typed('a b$x(1)#~!;', '')}"], capture_output=True, text=True, check=True
    )
    assert shown.stdout == "a b$x(1)#~!;\n"


def test_zsh_and_fish_get_what_a_word_means(shelf):
    assert list(zsh([], "figures=f")) == [".\tfigures=few\tfew"]
    assert list(zsh([], "epo")) == ["+\tepochs=\tepochs=:passes through the training split (30)"]
    (shelf / "a:b").mkdir()
    assert list(zsh(["ls"], "a")) == ["+\ta:b/\ta\\:b/"]
    assert list(fish([], "epo")) == ["epochs=\tpasses through the training split (30)"]
    assert list(fish([], "'figures=f")) == ["figures=few\t"]
    assert next(fish([], "probes=[gradc")).startswith("probes=[gradcam]\t")


# the shells themselves


def test_bash_completes_by_its_own_variables(shelf):
    """COMP_WORDS as bash fills it: cut at each = and :."""
    program = """
        eval "$(labrunner completion bash)"
        complete -p labrunner
        COMP_LINE='labrunner -m model=mlp,cn' COMP_POINT=25
        COMP_WORDS=(labrunner -m model = mlp,cn) COMP_CWORD=4
        _labrunner; printf '%s\\n' "${COMPREPLY[@]}"
        COMP_LINE='labrunner resume run' COMP_POINT=20 COMP_WORDS=(labrunner resume run) COMP_CWORD=2
        _labrunner; printf '%s\\n' "${COMPREPLY[@]}"
    """
    write_run(shelf / "run 1", epochs=2)
    done = subprocess.run([need("bash"), "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["complete -F _labrunner labrunner", "mlp,cnn", r"run\ 1"]
    assert done.stderr == ""


class Terminal:
    """A shell at a terminal, into which keys are typed."""

    def __init__(self, *command: str) -> None:
        self.seen = ""
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            os.environ.update(PS1="$ ", TERM="xterm", HISTFILE="", INPUTRC="/dev/null")
            os.execv(command[0], command)

    def type(self, keys: str, until: str) -> str:
        """What the terminal shows from here on, once a pattern is in it; without what moves the cursor."""
        os.write(self.descriptor, keys.encode())
        self.seen = ""
        deadline = time.monotonic() + PATIENCE
        while re.search(until, self.seen) is None:
            assert time.monotonic() < deadline, f"{until!r} is not in {self.seen!r}"
            ready, _, _ = select.select([self.descriptor], [], [], 0.1)
            if ready:
                more = os.read(self.descriptor, 65536).decode(errors="replace")
                self.seen = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|\x07", "", self.seen + more)
        return self.seen

    def close(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.descriptor)


TYPED = (  # keys, and what the line is once the shell has completed it
    ("labrunner -m model=mlp,cn\t", "model=mlp,cnn $"),
    ("labrunner figures=fe\t", "figures=few $"),
    ("labrunner optim=sgd optim.mo\t", r"optim\.momentum=$"),
    ("labrunner 'monitor=val_f\t", "'monitor=val_f1' $"),
    ("labrunner ls he\t", "ls here/$"),
)


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_at_a_terminal_words_are_completed_and_a_space_put_behind_what_is_whole(shelf, shell):
    (shelf / "here").mkdir()
    options = {"bash": ("--norc", "--noprofile", "-i"), "zsh": ("-f", "-i")}[shell]
    terminal = Terminal(need(shell), *options)
    try:
        if shell == "zsh":
            terminal.type("autoload -Uz compinit && compinit -u -D; echo com''pinit\n", "compinit\r")
        terminal.type(f'eval "$(labrunner completion {shell})"; echo rea""dy\n', "ready\r")
        for keys, line in TYPED:
            terminal.type(keys, line)
            terminal.type("\x15\n", r"\$ ")  # the line is taken away
    finally:
        terminal.close()


def test_fish_completes_with_what_words_mean(shelf):
    write_run(shelf / "outputs/runs/2026-01-01_00-00-00_aaaa", epochs=2)

    def asked(line: str) -> list[str]:
        program = f"labrunner completion fish | source; complete -C {shlex.quote(line)}"
        command = [need("fish"), "--no-config", "-c", program]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()

    (found,) = asked("labrunner -m model=mlp,cn")
    assert found.startswith("model=mlp,cnn\tConvolutional network")
    assert asked("labrunner resume ") == ["outputs/runs/2026-01-01_00-00-00_aaaa\tmlp on digits, done"]
    assert asked("labrunner 'figures=fe") == ["figures=few"]
    assert asked("labrunner optim=sgd optim.mo")[0].startswith("optim.momentum=\t")
