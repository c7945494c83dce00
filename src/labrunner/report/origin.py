"""Where a shown number stands: the text on the page together with its record.

The attribute ``data-src`` takes these forms; counting starts at 1, a blank cell is shown as –:

========================================  =======================================================================
``test.json#accuracy``                    a value of a JSON or YAML file, by its keys; in a list by its position
``metrics.csv#7/val_loss``                a cell of the row whose epoch is 7 (also ``timing.csv``)
``per_class.csv#3/recall``                a cell of the third row below the header (also ``checks.csv``, ``freeze.csv``)
``confusion.csv#3/5``                     samples of the third class that were predicted as the fifth
``predictions.csv#3,9,12/index``          cells of several rows, with commas between them
``samples.npz#3/confidence``              a value of the third sample kept (also ``index``)
``samples.npz#3/image/2``                 the second feature of the third sample kept, of a table of numbers
``samples.npz#3/5``                       how many of the samples kept are in that cell of ``confusion.csv``
``timing.csv#*/seconds``                  the sum of a column
``conf/optim/adam.yaml#lr``               a value of the YAML that labrunner ships; ``defaults`` by their group
``A over B``                              the quotient of two of the above
``A plus B``                              their sum
``sweep.csv#1,4,7/val_loss mean``         the mean of the cells of these rows (also ``sd``: sample standard deviation)
``sweep.csv#1,4,7/number count``          how many cells that are, also in a list: ``sweep.yaml#runs/1,4/number count``
``verdict.csv count``                     how many rows a file has below its header
``A in points``                           a hundred times A
``minus A``                               A with the other sign: what one leads by, the other lags behind
``0/config.yaml#optim/lr``                a value of a run's own file, in a folder beside the page
``0/config.yaml#optim/lr key``            its key, with dots; of a group its name
``environment.json#command anew``         a command without ``hydra.run.dir`` and the like (``anew in again``: with
                                          the folder ``again`` in their place, or in that of the run resumed)
``summary.txt``                           the whole file
========================================  =======================================================================

The text is the record rounded to the digits that are shown, times 100 if it ends in %. On a run's own page accuracies
and other shares of samples are percentages; precision, recall, F1, AUROC and losses are not. Amounts have a comma at
the thousands, epochs and indexes have none.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from markupsafe import Markup

BLANK = "–"


class Shown(NamedTuple):
    """A text of the page and the record it shows; renders itself as an element that carries both."""

    text: str
    source: str

    def __html__(self) -> str:
        return Markup('<span data-src="{}">{}</span>').format(self.source, self.text)


def _is_blank(value: Any) -> bool:
    return value is None or (isinstance(value, float) and not math.isfinite(value))


def number(value: Any, source: str, digits: int = 3) -> Shown:
    """A measured number with a fixed count of decimals."""
    return Shown(BLANK if _is_blank(value) else f"{float(value):.{digits}f}", source)


def measured(value: Any, source: str, digits: int = 6, padded: bool = False) -> Shown:
    """A number of any size, to so many digits; `padded` with zeros where it has fewer, for columns of such."""
    return Shown(BLANK if _is_blank(value) else f"{float(value):{'#' if padded else ''}.{digits}g}", source)


def percent(value: Any, source: str, digits: int = 1) -> Shown:
    """A share in [0, 1] as a percentage."""
    return Shown(BLANK if _is_blank(value) else f"{float(value):.{digits}%}", source)


def probability(value: Any, source: str) -> Shown:
    """A probability as a percentage; one below 1 gets as many decimals, up to five, as keep it from looking certain."""
    shown = [percent(value, source, digits) for digits in range(1, 6)]
    return next((each for each in shown if value == 1 or each.text.rstrip("0%") != "100."), shown[-1])


def metric(value: float | None, source: str) -> Shown:
    """A metric with four decimals, or with six digits where those would say nothing or too much."""
    if _is_blank(value) or value is None or value == 0 or 5e-5 <= abs(value) < 1e5:
        return number(value, source, 4)
    return Shown(f"{value:#.6g}", source)


def amount(value: Any, source: str) -> Shown:
    """How many there are of something, with a comma at the thousands."""
    return Shown(BLANK if _is_blank(value) else f"{int(value):,}", source)


def count(value: Any, source: str) -> Shown:
    """A whole number that is a name more than an amount: an epoch, an index, a number of few digits."""
    return Shown(BLANK if _is_blank(value) else str(int(value)), source)


def exact(value: Any, source: str) -> Shown:
    """A value as it was set or recorded, the way YAML writes it."""
    return Shown(_written(value), source)


def _written(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + ", ".join(_written(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_written(item)}" for key, item in value.items()) + "}"
    return str(value)
