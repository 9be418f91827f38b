"""SAEDashboard on the windows that `peers.py` prepared. Runs in the peers' own environment, never in ours.

    python peers_dashboard.py JOB.json RESULT.json

The clock stops, and the peak of memory is read, after the last page; only then is it written down what
`peers_oracle.py` compares. `html_features` features go into one HTML file: the export holds the data of all of a
file's features as Python objects at once, which for 4,096 would come to more than a laptop has (an estimate). This is
in the peer's favour.
"""

from __future__ import annotations

import json
import re
import resource
import sys
import time
from pathlib import Path
from typing import Any

import torch
from sae_dashboard.components_config import Column, SequencesConfig
from sae_dashboard.data_writing_fns import save_feature_centric_vis
from sae_dashboard.layout import SaeVisLayoutConfig
from sae_dashboard.sae_vis_data import SaeVisConfig
from sae_dashboard.sae_vis_runner import SaeVisRunner
from sae_lens import SAE, HookedSAETransformer
from transformers import AutoModelForCausalLM, AutoTokenizer


def told(feature: Any, left: int | None) -> dict[str, Any]:
    """What the dashboard says of one feature; `left`: tokens before the one that a snippet stands for.

    None: the snippet is the window from its second token on, whatever the first one does.
    """
    top, *intervals = feature.sequence_data.seq_group_data
    places = [(s, at) for s in top.seq_data if (at := s.qualifying_token_index)]
    table, density = feature.logits_table_data, feature.acts_histogram_data.title  # no title where it never fires
    return {
        "max": float(re.search(r"MAX = ([\d.]+)", top.title)[1]),
        "density": float(re.search(r"DENSITY = ([\d.]+)%", density)[1]) / 100 if density else 0.0,
        "top": [[s.original_index, at, s.feat_acts[at - 1 if left is None else left]] for s, at in places],
        "lowest": intervals[-1].title,
        "top_logits": [table.top_token_ids, table.top_logits],
        "bottom_logits": [table.bottom_token_ids, table.bottom_logits],
    }


def main() -> None:
    """Load, collect, write pages, report."""
    marks = {"import": time.time()}
    job = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    features, out = job["features"], Path(job["out"])
    tokenizer = AutoTokenizer.from_pretrained(job["model"])
    weights = AutoModelForCausalLM.from_pretrained(job["model"], dtype=torch.float32)
    model = HookedSAETransformer.from_pretrained_no_processing(job["name"], hf_model=weights, tokenizer=tokenizer)
    del weights
    sae = SAE.load_from_disk(job["sae"])
    marks["load"] = time.time()
    config = SaeVisConfig(
        hook_point=job["hook_point"],
        features=list(range(features)),
        minibatch_size_features=256,  # its default
        minibatch_size_tokens=16,
        ignore_tokens=set(job["ignore"]),
        cache_dir=Path(job["cache"]) if job["cache"] else None,
    )
    sequences = config.feature_centric_layout.seq_cfg
    if job["whole"]:
        sequences = SequencesConfig(stack_mode=sequences.stack_mode, buffer=None)
        *others, _last = config.feature_centric_layout.columns.values()
        config.feature_centric_layout = SaeVisLayoutConfig([*others, Column(sequences)])
    data = SaeVisRunner(config).run(encoder=sae, model=model, tokens=torch.tensor(job["windows"]))
    marks["collect"] = time.time()
    for low in range(0, features, job["html_features"]):
        part = list(range(low, min(low + job["html_features"], features)))
        save_feature_centric_vis(data, out / f"features-{low}.html", feature_idx=low, include_only=part)
    marks["html"] = time.time()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    result = {"marks": marks, "peak_mb": usage.ru_maxrss / 1e3, "cpu": usage.ru_utime + usage.ru_stime}
    left, right = sequences.buffer or (None, None)
    said = [told(data.feature_data_dict[i], left) for i in range(features)]
    result |= {"buffer": [left, right], "features": said, "aggregate": data.feature_stats.aggdata}
    Path(sys.argv[2]).write_text(json.dumps(result), "utf-8")


if __name__ == "__main__":
    main()
