"""Dictionaries: one module per published weight format, one type that they are all read into.

recipe's [[dictionary]] -> `load_dictionary` -> the format's module -> `Dictionary` (encode, decoder, metadata)
"""

from atlas.dictionaries.base import Dictionary, check_fits
from atlas.dictionaries.load import load_dictionary

__all__ = ["Dictionary", "check_fits", "load_dictionary"]
