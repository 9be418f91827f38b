"""Where the collect pass runs. `local`: this machine, one pass for every dictionary, restartable by shard."""

from atlas.engines.local import Job, run_local
from atlas.engines.shards import ShardStore

__all__ = ["Job", "ShardStore", "run_local"]
