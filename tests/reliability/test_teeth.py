"""The suite's own teeth: what keeps runs safe is taken out, piece by piece, and a test fails."""

from __future__ import annotations

import pytest

from tests import teeth
from tests.lines import line


@pytest.mark.parametrize("name", teeth.REMOVALS)
def test_a_removal_names_a_piece_that_is_there_once_and_tests_that_exist(name):
    removal = teeth.REMOVALS[name]
    assert (teeth.ROOT / removal.file).read_text().count(removal.before) == 1
    assert all((teeth.ROOT / test).is_file() for test in removal.tests)


@line(17, "a safeguard taken out")
@pytest.mark.slow
@pytest.mark.parametrize("name", teeth.REMOVALS)
def test_without_a_safeguard_a_test_fails(name):
    assert teeth.failures(name), "no test misses it"
