"""Numbers in YAML that Hydra does not read, as Hydra reads them."""

from __future__ import annotations

import re
from typing import Any

POWER = re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$")


def loader() -> Any:
    """A safe loader of YAML for which 1e-6 is a number; YAML 1.1 takes it for text."""
    import yaml

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_implicit_resolver("tag:yaml.org,2002:float", POWER, list("-+.0123456789"))
    return Loader
