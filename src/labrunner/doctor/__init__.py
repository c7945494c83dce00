"""Whether a run folder is whole and its history healthy: findings, each with its evidence, from the files alone."""

from labrunner.doctor.finding import Finding
from labrunner.doctor.history import history, unjudged
from labrunner.doctor.integrity import Integrity, integrity, strangers

__all__ = ["Finding", "Integrity", "history", "integrity", "strangers", "unjudged"]
