"""Where the collect pass runs. `local`: the devices of this machine, one pass for every dictionary, restartable."""

from atlas.engines.local import run_local
from atlas.engines.parts import Parts
from atlas.engines.state import Shape, State
from atlas.engines.worker import Worker

__all__ = ["Parts", "Shape", "State", "Worker", "run_local"]
