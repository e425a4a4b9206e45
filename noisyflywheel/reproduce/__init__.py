"""The paper's experiments: one run to one JSON file, its figures, and the tables of many runs."""

from noisyflywheel.reproduce.benchmarks import Benchmark, load_benchmark
from noisyflywheel.reproduce.measures import CycleMeasures
from noisyflywheel.reproduce.plan import Plan
from noisyflywheel.reproduce.run import reproduce
from noisyflywheel.reproduce.tables import read_results, write_tables

__all__ = [
    "Benchmark",
    "CycleMeasures",
    "Plan",
    "load_benchmark",
    "read_results",
    "reproduce",
    "write_tables",
]
