"""How long OpenMP's threads wait for more work before they sleep.

torch's threads on Linux are GNU OpenMP's. After every operation they spin, by default 300,000 rounds, some
milliseconds: good if the next operation is torch's, bad if it is ours. The threads that sift and accumulate
(`engines.worker`) then share the cores with threads that do nothing. A thirtieth of that still bridges the gaps
between a model's operations.

Measured on two cores: one more dictionary of 1,024 features costs 1.32 to 1.43 times its product by default, 1.23 to
1.30 times with 10,000 rounds, and 1.30 to 1.32 times with 1,000, which also make a forward pass 2 to 3% slower.
"""

from __future__ import annotations

import os

ROUNDS = "10000"


def wait_briefly() -> None:
    """Set it for this process, unless the user has; to be called before torch is imported, and of no effect later."""
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", ROUNDS)
