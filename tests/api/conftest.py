from tests.unsynced import unsynced  # noqa: F401 (for every test here)
