"""labrunner: config-driven experiments for deep-learning labs."""

__version__ = "0.1.0"
