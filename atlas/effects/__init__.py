"""What follows from weights alone: logit effects and decoder neighbours."""

from atlas.effects.logits import LogitTable, logit_effects
from atlas.effects.neighbours import Nearest, nearest

__all__ = ["LogitTable", "Nearest", "logit_effects", "nearest"]
