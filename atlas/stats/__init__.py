"""Accumulators of the collect pass: each with `update`, `merge` and `arrays`, exact in any order.

An accumulator is a function of the *set* of firings it has seen. Counts are integers, maxima are
maxima, and the two snippet tables keep what a total order puts first; so neither the order of the
micro-batches, nor how they were split over workers, nor the shape of the tree that merged them can
change a byte of the result (DESIGN, decision 6). All of it is numpy: an engine brings the triples
from wherever the dictionary ran.
"""

from atlas.stats.accumulate import Accumulator
from atlas.stats.firings import Batch, Firings, round_significant
from atlas.stats.summary import Summary, summarise

__all__ = ["Accumulator", "Batch", "Firings", "Summary", "round_significant", "summarise"]
