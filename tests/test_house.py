"""The house of the design: who may import whom, and that help waits for nothing heavy."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import labrunner

SOURCE = Path(labrunner.__file__).parent

# imports go downward, and within a row the right may import the left
FLOORS = """
verbs  cli  api
course
running  resuming  saved  loading  predicting  tasks  workers  sweeping  planning
trust  trial  build  drawing
trainer  agreement  facts  apart  checks  audit  results  preprocessing  remarks  doctor  verdict  report
data  scratch  deep  probes  features  figures
checkpoint  records  averages  comparison  flips  board  machine  compose  metrics  schedule  signals
errors  own  seeding  initial  learner  kit  relations  labs  known_facts  architectures  schema  combinations  helping  meant  usage  nearby  completing  aliases  selection  numerals  thinning  reg  told  files  servers  children
"""  # noqa: E501
PLACES = {
    unit: (-row, column) for row, line in enumerate(FLOORS.split("\n")) for column, unit in enumerate(line.split())
}

# what stands otherwise in the code than in the table, and why it may
EXCEPTIONS: dict[tuple[str, str], str] = {}

ALONE = [
    "errors",
    "own",
    "thinning",
    "told",
    "known_facts",
    "architectures",
    "labs",
    "relations",
    "seeding",
    "initial",
    "learner",
    "kit",
    "schema",
    "combinations",
    "helping",
    "meant",
    "usage",
    "nearby",
    "completing",
    "reg",
    "scratch",
]
MAY_IMPORT_TORCH = {"deep", "probes", "metrics", "data", "features"}


def module_name(path: Path) -> str:
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(SOURCE.rglob("*.py"))}


def unit(module: str) -> str:
    """The part of the house that a module belongs to; "" for the front door, labrunner/__init__.py."""
    return module.split(".")[1] if "." in module else ""


def visited(tree: ast.AST, inside_functions: bool) -> Iterator[ast.AST]:
    """The statements that can be executed: nothing under `if TYPE_CHECKING`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for other in node.orelse:
                yield from (other, *visited(other, inside_functions))
            continue
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)) and not inside_functions:
            continue
        yield node
        yield from visited(node, inside_functions)


def imports(module: str, inside_functions: bool = True, path: Path | None = None) -> set[str]:
    """Full names of the modules that a module imports, our own ones as far as they are files."""
    path = path or MODULES[module]
    found: set[str] = set()
    for node in visited(ast.parse(path.read_text(encoding="utf-8")), inside_functions):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = module if path.name == "__init__.py" else module.rpartition(".")[0]
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                name = f"{base}.{alias.name}"
                found.add(name if name in MODULES else base)
    return found


def packages(module: str, inside_functions: bool) -> set[str]:
    return {name.partition(".")[0] for name in imports(module, inside_functions)}


def ours(module: str, inside_functions: bool = True) -> set[str]:
    return {name for name in imports(module, inside_functions) if name in MODULES}


def test_the_parser_sees_every_kind_of_import(tmp_path):
    path = tmp_path / "sample.py"
    path.write_text(
        "import a.b as c\nfrom . import errors\nfrom .data import sets\nfrom labrunner import seeding, __version__\n"
        "if TYPE_CHECKING:\n    import never\nelse:\n    import other\n"
        "class K:\n    import in_class\n    def f(self):\n        import in_method\n\n"
        "try:\n    import tried\nexcept ImportError:\n    pass\n"
    )
    top = imports("labrunner.sample", inside_functions=False, path=path)
    assert top == {
        "a.b",
        "labrunner.errors",
        "labrunner.data.sets",
        "labrunner.seeding",
        "labrunner",
        "other",
        "in_class",
        "tried",
    }
    assert imports("labrunner.sample", path=path) - top == {"in_method"}


def test_every_module_has_its_place_on_a_floor():
    assert {unit(module) for module in MODULES} - {""} <= set(PLACES)


def test_imports_go_downward_only():
    upward = {
        (unit(module), unit(other))
        for module in MODULES
        for other in ours(module)
        if unit(module)
        and unit(other)
        and unit(module) != unit(other)
        # a row further up has a larger first number; within a row the right has the larger second
        and PLACES[unit(module)] < PLACES[unit(other)]
    }
    assert upward == set(EXCEPTIONS)


def test_no_import_runs_in_a_circle():
    edges = {module: ours(module) - {"labrunner"} for module in MODULES if module != "labrunner"}
    # what imports nothing that is left goes, until nothing is left or the rest holds a circle
    while leaves := [module for module, targets in edges.items() if not targets & edges.keys() - {module}]:
        for module in leaves:
            del edges[module]
    assert edges == {}


def test_no_part_of_the_house_needs_itself_through_another():
    edges: dict[str, set[str]] = {}
    for module in MODULES:
        if unit(module):
            edges.setdefault(unit(module), set()).update(unit(other) for other in ours(module) if unit(other))
    while leaves := [name for name, targets in edges.items() if not targets & edges.keys() - {name}]:
        for name in leaves:
            del edges[name]
    assert edges == {}


@pytest.mark.parametrize("module", MODULES)
def test_heavy_packages_stay_where_they_belong(module):
    top, anywhere = packages(module, inside_functions=False), packages(module, inside_functions=True)
    if unit(module) not in MAY_IMPORT_TORCH:
        assert not top & {"torch", "torchvision", "torchmetrics", "torchsummary"}
    if unit(module) != "figures":
        assert not anywhere & {"matplotlib", "seaborn"}
    if unit(module) != "compose":
        assert not anywhere & {"hydra", "omegaconf"}


@pytest.mark.parametrize("module", [module for module in MODULES if unit(module) in ALONE])
def test_the_ground_floor_needs_numpy_and_the_standard_library(module):
    allowed = {"labrunner", "numpy", *sys.stdlib_module_names}
    top, anywhere = packages(module, inside_functions=False), packages(module, inside_functions=True)
    if unit(module) == "schema":
        assert top <= allowed | {"annotated_types"}
        assert anywhere <= allowed | {"annotated_types", "pydantic"}
    elif module == "labrunner.scratch.layers":
        assert top <= allowed
        assert anywhere <= allowed | {"scipy"}  # the error function, which NumPy lacks
    else:
        assert anywhere <= allowed


@pytest.mark.parametrize(("one", "other"), [("scratch", "deep"), ("deep", "scratch")])
def test_the_two_sides_know_nothing_of_each_other(one, other):
    assert not [
        (module, name) for module in MODULES if unit(module) == one for name in ours(module) if unit(name) == other
    ]


def test_a_figure_imports_no_learner_and_a_learner_writes_no_file():
    figures = {unit(other) for module in MODULES if unit(module) == "figures" for other in ours(module)}
    assert not figures & {"learner", "scratch", "deep", "trainer", "data"}
    reads = "labrunner.deep.run_weights"  # the weights of another run
    learners = {
        unit(other)
        for module in MODULES
        if unit(module) in ("scratch", "deep") and module != reads
        for other in ours(module)
    }
    assert not learners & {"records", "checkpoint", "running"}
    assert "RunFolder" not in MODULES[reads].read_text(encoding="utf-8"), "the writer"


HEAVY = (
    "torch",
    "hydra",
    "omegaconf",
    "matplotlib",
    "pandas",
    "pydantic",
    "sklearn",
    "mlxtend",
    "torchmetrics",
    "numpy",
)


@pytest.mark.parametrize(
    "code",
    [
        "import labrunner",
        "import labrunner.cli",
        "from labrunner.cli import main; assert main(['--help']) == 0",
        "from labrunner.cli import main; assert main(['--version']) == 0",
        "from labrunner.cli import main; assert main(['explain', 'optim.lr']) == 0",
        "from labrunner.cli import main; assert main(['--halp']) == 2",
        "from labrunner.cli import main; assert main(['optim.learning_rate=1']) == 2",
        "from labrunner.cli import main; assert main(['model=cnm']) == 2",
        "from labrunner.cli import main; assert main(['explain', 'optim.learning_rate']) == 2",
    ],
)
def test_help_and_errors_import_nothing_heavy(code, tmp_path):
    shown = f"{code}\nimport sys\nprint('loaded:', *[name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", shown], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "loaded:"
    assert list(tmp_path.iterdir()) == []
