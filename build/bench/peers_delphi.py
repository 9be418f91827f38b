"""Delphi's latent cache on the windows that `peers.py` prepared. Runs in the peers' own environment, never in ours.

    python peers_delphi.py JOB.json RESULT.json

It stores every non-zero activation in `splits` safetensors files; snippets, logit effects and pages are not its
business, so it is to be held against the collect part of the others. Its `run` leaves out the windows that do not
fill a last batch. BOS is in what it stores.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

import torch
from delphi.latents import LatentCache
from sae_lens import SAE
from transformers import AutoModelForCausalLM

BATCH, SPLITS = 32, 5  # its defaults


def main() -> None:
    """Load, cache, write, report."""
    marks = {"import": time.time()}
    job = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    # not AutoModel, as Delphi's own command does: this transformers would leave a converted Gemma's weights random
    model = AutoModelForCausalLM.from_pretrained(job["model"], dtype=torch.float32).model
    sae = SAE.load_from_disk(job["sae"])
    marks["load"] = time.time()
    tokens = torch.tensor(job["windows"])
    layer = job["hook_point"].split(".")[1]
    cache = LatentCache(model, {f"layers.{layer}": sae.encode}, batch_size=min(BATCH, len(tokens)))
    cache.run(tokens.numel(), tokens)
    cache.save_splits(SPLITS, Path(job["out"]))
    marks["collect"] = time.time()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    result = {"marks": marks, "peak_mb": usage.ru_maxrss / 1e3, "cpu": usage.ru_utime + usage.ru_stime}
    (places,) = cache.cache.latent_locations.values()  # window, position, feature
    result |= {"stored": len(places), "firings": int((places[:, 1] > 0).sum())}
    Path(sys.argv[2]).write_text(json.dumps(result), "utf-8")


if __name__ == "__main__":
    main()
