"""What follows from weights alone: logit effects and decoder neighbours."""

from atlas.effects.logits import LogitTable, logit_effects
from atlas.effects.neighbours import Nearest, cosines, nearest

__all__ = ["LogitTable", "Nearest", "cosines", "logit_effects", "nearest"]
