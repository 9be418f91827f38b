"""Accumulators of the collect pass: each with `update`, `merge` and `arrays`, exact in any order.

An accumulator is a function of the *set* of firings it has seen. Counts are integers, maxima are
maxima, and the two snippet tables keep what a total order puts first; so neither the order of the
micro-batches, nor how they were split over workers, nor the shape of the tree that merged them can
change a byte of the result (DESIGN, decision 6). All of it is numpy: an engine brings the firings
from wherever the dictionary ran.
"""

from atlas.stats.accumulate import Accumulator
from atlas.stats.batch import Batch
from atlas.stats.firings import Firings, round_significant
from atlas.stats.summary import Summary, join, summarise
from atlas.stats.together import Listed, Together, most_together, together

__all__ = [
    "Accumulator",
    "Batch",
    "Firings",
    "Listed",
    "Summary",
    "Together",
    "join",
    "most_together",
    "round_significant",
    "summarise",
    "together",
]
