"""Figures of a run or a sweep in Python: those in its folder, and any other on demand, as a PNG or as matplotlib's."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labrunner.errors import RequestError
from labrunner.files import atomic_write, read_bytes
from labrunner.records.names import odd

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Picture:
    """One figure; a notebook shows it."""

    def __init__(self, name: str, path: Path, kind: str, recorded: Any) -> None:
        self.name = name
        self._path, self._kind, self._recorded = path, kind, recorded
        self._content: bytes | None = None

    def figure(self) -> Figure:
        """A new `matplotlib.figure.Figure` of it, drawn from the recorded files, to change or to save as one likes.

        Raises
        ------
        KeyError
            where there is nothing to draw.
        """
        from labrunner.figures import FIGURES
        from labrunner.figures.comparison import COMPARISONS
        from labrunner.figures.look import look

        functions: Mapping[str, tuple[Any, Any]] = FIGURES if self._kind == "run" else COMPARISONS
        if self.name not in functions:
            close = difflib.get_close_matches(self.name, functions, n=1)
            hint = f"; did you mean {close[0]}?" if close else f"; there are {', '.join(functions)}"
            raise KeyError(f"there is no figure {self.name}{hint}")
        with look():
            figure: Figure | None = functions[self.name][0](self._recorded)
        if figure is None:
            raise KeyError(f"the {self._kind} has nothing to show in a figure {self.name}")
        return figure

    @property
    def png(self) -> bytes:
        """The content of a PNG file: that of the folder, where it was drawn, else drawn now."""
        if self._content is None and is_drawn(self._path):
            if (said := odd(self._path)) is not None:
                raise RequestError(f"{self._path}: {said}")
            self._content = read_bytes(self._path)
        if self._content is None:
            from labrunner.figures import png
            from labrunner.figures.look import look

            figure = self.figure()
            with look():
                self._content = png(figure)
        return self._content

    def save(self, path: str | Path) -> None:
        """Write the PNG to a file."""
        atomic_write(Path(path), self.png)

    def _repr_png_(self) -> bytes:
        return self.png

    def __repr__(self) -> str:
        return f"<figure {self.name}>"


def is_drawn(path: Path) -> bool:
    """Whether a figure lies there: a link that a stranger put there may lead to any file, and is none."""
    return path.is_file() and not path.is_symlink() and not path.parent.is_symlink()


class Figures(Mapping[str, Picture]):
    """Name -> figure. It lists those that were drawn, and draws any other that is asked for by name."""

    def __init__(self, folder: Path, kind: str, recorded: Any) -> None:
        self._folder, self._kind, self._recorded = folder, kind, recorded
        self._known: dict[str, Picture] = {}

    def __getitem__(self, name: str) -> Picture:
        """A figure. Raises KeyError where there is none of that name, or nothing to show in it."""
        if name not in self._known:
            picture = Picture(name, self._folder / f"{name}.png", self._kind, self._recorded)
            if name not in self._names():
                _ = picture.png
            self._known[name] = picture
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())

    def __contains__(self, name: object) -> bool:
        return name in self._names()

    def _names(self) -> list[str]:
        return sorted(path.stem for path in self._folder.glob("*.png") if is_drawn(path))

    def __repr__(self) -> str:
        return f"<figures: {', '.join(self) or 'none drawn'}>"
