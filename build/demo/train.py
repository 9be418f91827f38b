"""Trains one sparse autoencoder of the demo's kind on the residual stream after a block, and writes it for SAELens.

    python build/demo/train.py --model MODEL --corpus texts.jsonl --layer 9 --width 4096 --out layer_9_width_4096

MODEL is a folder or Hub id of a Gemma 3 text model (any model with `model.layers` will do), the corpus JSON Lines
with a text in each line. torch, transformers and safetensors are all that is needed. The dictionaries in this folder
did not come from this script but from `as_run/`, which does the same by the same rules with other random numbers.
Nothing here runs in CI.

1. Documents are cut into windows of BOS + `context - 1` tokens of one document; shorter rests are left out. The
   windows are shuffled, and the first `windows` are run up to the block. BOS positions are dropped, and positions
   whose norm is `OUTLIER` times the median or more.
2. Activations are centred and scaled to a mean norm of sqrt(d). Dimensions whose deviation is above `WIDEST` times the
   median are shrunk to that, for the loss only: one of them would otherwise carry most of the variance.
3. BatchTopK (Bussmann, Leask and Nanda 2024, arXiv:2412.06410): of a batch of n tokens the k * n greatest
   activations are kept. Adam, warm-up, linear end; decoder rows stay of unit length and their gradient tangent.
4. Features that have not fired for `DEAD` tokens learn from an auxiliary loss: the error that is left, rebuilt by the
   `AUXILIARY` greatest of them (Gao et al. 2024, arXiv:2406.04093).
5. The threshold is a running mean of the smallest activation that was kept. Mean, scale and row lengths are folded
   into the weights, so that the SAE reads raw activations: SAELens's `jumprelu` layout, W_enc and W_dec in bfloat16.
6. Error (FVU) and L0 of the weights as written are measured on held-out tokens and go into `cfg.json`.

Same arguments, machine, versions and threads, same weights.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer

HALF = 64.0  # activations are kept as float16 of 1/64 of them: a power of two, so nothing but range is changed
OUTLIER, WIDEST = 8.0, 3.0
DEAD, AUXILIARY, AUXILIARY_WEIGHT = 150_000, 64, 1 / 32
WARM_UP, MEMORY = 100, 0.99
SAMPLE = 200_000


@dataclass
class Weights:
    """An SAE in the units that it is trained in. `encoder` [d, f], `decoder` [f, d], `b_enc` [f], `b_dec` [d]."""

    encoder: Tensor
    b_enc: Tensor
    decoder: Tensor
    b_dec: Tensor

    def list(self) -> list[Tensor]:
        """The parameters."""
        return [self.encoder, self.b_enc, self.decoder, self.b_dec]


@dataclass
class Units:
    """From raw activations to what is trained on: `(x - mean) * scale`, both [d]."""

    mean: Tensor
    scale: Tensor


def main() -> None:
    """Read the arguments, train, write."""
    args = arguments()
    if (args.out / "cfg.json").exists():
        raise SystemExit(f"{args.out} holds a dictionary already; choose another --out")
    torch.manual_seed(args.seed)
    torch.use_deterministic_algorithms(mode=True, warn_only=True)
    if args.threads:
        torch.set_num_threads(args.threads)
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    windows = cut(args.corpus, args.key, tokenizer, args.context, args.windows, args.seed)
    print(f"windows={len(windows)} tokens={windows[:, 1:].numel()}", flush=True)
    x = activations(args.model, windows, args.layer, args.forward_batch, args.device)  # float16 [n, d]
    held = min(args.holdout, len(x) // 10)
    x, holdout = x[: len(x) - held], x[len(x) - held :]
    units = units_of(x)
    weights, threshold, seen = train(x, units, args)
    folded = fold(weights, units, threshold)
    fvu, l0 = measure(folded, holdout)
    print(f"fvu={fvu:.4f} l0={l0:.2f} tokens_seen={seen}", flush=True)
    training = {
        "method": "BatchTopK", "k": args.k, "seed": args.seed, "tokens_seen": seen, "unique_tokens": len(x),
        "holdout_fvu": fvu, "holdout_l0": l0,
    }  # fmt: skip
    write(args.out, folded, args.layer, args.context, args.model_name or Path(args.model).name, training)


def arguments() -> argparse.Namespace:
    """The command line; defaults are those of the demo."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", required=True, help="folder or Hub id of the language model")
    parser.add_argument("--model-name", default="", help="what cfg.json calls it; by default its last part")
    parser.add_argument("--corpus", type=Path, required=True, help="JSON Lines, a document a line")
    parser.add_argument("--key", default="text", help="key of the text")
    parser.add_argument("--layer", type=int, required=True, help="block after which the residual stream is read")
    parser.add_argument("--width", type=int, required=True, help="number of features")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--k", type=int, default=32, help="features kept a token, on average")
    parser.add_argument("--epochs", type=float, default=2.0, help="passes over the activations")
    parser.add_argument("--windows", type=int, default=12_000, help="windows to read, at most")
    parser.add_argument("--context", type=int, default=128, help="tokens in a window, BOS included")
    parser.add_argument("--holdout", type=int, default=20_000, help="tokens held out (a tenth, if there are few)")
    parser.add_argument("--batch", type=int, default=1024, help="tokens in a step")
    parser.add_argument("--lr", type=float, default=7e-4, help="learning rate")
    parser.add_argument("--seed", type=int, default=0, help="seed of the windows' order, the start and the batches")
    parser.add_argument("--forward-batch", type=int, default=16, help="windows in a forward pass")
    parser.add_argument("--device", default="cpu", help="where to run the model and to train")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 leaves the choice to torch")
    return parser.parse_args()


def cut(corpus: Path, key: str, tokenizer: Any, context: int, most: int, seed: int) -> Tensor:
    """Windows of the corpus, shuffled: int64 [n, context], BOS first."""
    rows: list[list[int]] = []
    step = context - 1
    with corpus.open(encoding="utf-8") as lines:
        for line in filter(str.strip, lines):
            ids = tokenizer(json.loads(line)[key], add_special_tokens=False).input_ids
            rows += [[tokenizer.bos_token_id, *ids[i : i + step]] for i in range(0, len(ids) - step + 1, step)]
    if not rows:
        raise SystemExit(f"{corpus}: no document has {step} tokens")
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))[:most]
    return torch.tensor(rows)[order]


def activations(source: str, windows: Tensor, layer: int, batch: int, device: str) -> Tensor:
    """Residual stream after the block at every position that counts: float16 [n, d], divided by HALF."""
    lm: Any = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
    base: Any = lm.eval().to(device).model
    if not 0 <= layer < len(base.layers):
        raise SystemExit(f"--layer {layer}: the model has {len(base.layers)} blocks")
    base.layers = base.layers[: layer + 1]  # the blocks after it cost nothing
    base.config.num_hidden_layers = layer + 1
    passed: list[Tensor] = []
    base.layers[layer].register_forward_hook(
        lambda _module, _inputs, output: passed.append(output[0] if isinstance(output, tuple) else output)
    )
    parts: list[Tensor] = []
    begun = time.monotonic()
    with torch.inference_mode():
        for low in range(0, len(windows), batch):
            base(windows[low : low + batch].to(device), use_cache=False)
            parts.append((passed.pop()[:, 1:] / HALF).half().cpu().flatten(0, 1))
            if low // batch % 50 == 0:
                done = min(low + batch, len(windows))
                print(f"read {done} of {len(windows)} windows, {time.monotonic() - begun:.0f} s", flush=True)
    x = torch.cat(parts).clone()  # a clone is no inference tensor
    norm = x.float().norm(dim=1)
    usual = norm < OUTLIER * norm.median()
    print(f"left out {int((~usual).sum())} positions of extreme norm", flush=True)
    return x[usual]


def units_of(x: Tensor) -> Units:
    """Mean and scale, from a sample."""
    some = x[torch.randperm(len(x))[:SAMPLE]].float() * HALF
    mean, deviation = some.mean(0), some.std(0)
    shrink = (WIDEST * deviation.median() / deviation).clamp(max=1.0)
    length = ((some - mean) * shrink).norm(dim=1).mean()
    print(f"shrank {int((shrink < 1).sum())} dimensions", flush=True)
    return Units(mean, x.shape[1] ** 0.5 / length * shrink)


def batches(x: Tensor, units: Units, size: int, device: str) -> Iterator[Tensor]:
    """Shuffled batches in the units of training, for ever: float32 [size, d]."""
    while True:
        order = torch.randperm(len(x))
        for low in range(0, len(x) - size + 1, size):
            raw = x[order[low : low + size]].float() * HALF
            yield ((raw - units.mean) * units.scale).to(device)


def start(x: Tensor, units: Units, width: int, device: str) -> Weights:
    """Decoder rows are sampled activations with noise, the encoder is their transpose."""
    chosen = x[torch.randint(len(x), (width,))].float() * HALF
    rows = (chosen - units.mean) * units.scale + 0.3 * torch.randn(width, x.shape[1])
    rows = torch.nn.functional.normalize(rows, dim=1).to(device)
    weights = Weights(rows.T.clone(), torch.zeros(width, device=device), rows, torch.zeros(x.shape[1], device=device))
    for tensor in weights.list():
        tensor.requires_grad_()
    return weights


def train(x: Tensor, units: Units, args: argparse.Namespace) -> tuple[Weights, float, int]:
    """The weights, the threshold, and how many tokens were seen."""
    size = min(args.batch, len(x))
    steps = max(1, int(len(x) * args.epochs / size))
    w = start(x, units, args.width, args.device)
    optimiser = torch.optim.Adam(w.list(), lr=args.lr)
    silent = torch.zeros(args.width, device=args.device)  # tokens since a feature last fired
    threshold: float | None = None
    begun = time.monotonic()
    stream = batches(x, units, size, args.device)
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = args.lr * min(1, (step + 1) / WARM_UP) * min(1, 4 * (steps - step) / steps)
        y = next(stream)  # [n, d]
        pre = torch.relu((y - w.b_dec) @ w.encoder + w.b_enc)  # [n, f]
        smallest = pre.detach().flatten().topk(min(args.k * size, pre.numel()), sorted=False).values.min()
        z = pre * (pre >= smallest)
        error = y - (z @ w.decoder + w.b_dec)
        loss = (error**2).sum(1).mean()
        silent = torch.where((z.detach() > 0).any(0), 0.0, silent + size)
        dead = (silent > DEAD).nonzero().squeeze(1)
        if len(dead):
            loss = loss + AUXILIARY_WEIGHT * auxiliary(w, y, error.detach(), dead)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        update(w, optimiser)
        kept = float(smallest)
        threshold = kept if threshold is None else MEMORY * threshold + (1 - MEMORY) * kept
        if step % 100 == 0 or step == steps - 1:
            fvu = float((error.detach() ** 2).sum() / ((y - y.mean(0)) ** 2).sum())
            took = time.monotonic() - begun
            print(f"step {step} of {steps}: fvu {fvu:.4f}, dead {len(dead)}, threshold {threshold:.3f}, {took:.0f} s")
    return w, threshold or 0.0, steps * size


def auxiliary(w: Weights, y: Tensor, error: Tensor, dead: Tensor) -> Tensor:
    """How badly dead features, the greatest of them, rebuild what the others left over."""
    pre = torch.relu((y - w.b_dec.detach()) @ w.encoder[:, dead] + w.b_enc[dead])
    value, place = pre.topk(min(AUXILIARY, len(dead)), dim=1)
    z = torch.zeros_like(pre).scatter(1, place, value)
    return ((error - z @ w.decoder[dead]) ** 2).sum(1).mean()


def update(w: Weights, optimiser: torch.optim.Optimizer) -> None:
    """One step that keeps decoder rows of unit length."""
    with torch.no_grad():
        gradient = w.decoder.grad
        if gradient is not None:
            gradient -= (gradient * w.decoder).sum(1, keepdim=True) * w.decoder
        torch.nn.utils.clip_grad_norm_(w.list(), 1.0)
        optimiser.step()
        w.decoder /= w.decoder.norm(dim=1, keepdim=True)


def fold(weights: Weights, units: Units, threshold: float) -> dict[str, Tensor]:
    """The same SAE on raw activations, decoder rows of unit length: SAELens's tensors, as they are stored."""
    with torch.no_grad():
        encoder, b_enc, decoder, b_dec = (tensor.detach().cpu() for tensor in weights.list())
        rows = decoder / units.scale  # [f, d]
        length = rows.norm(dim=1)  # [f]; what a row loses, its activation gains
        return {
            "W_enc": (units.scale[:, None] * encoder * length).bfloat16().contiguous(),
            "b_enc": b_enc * length,
            "W_dec": (rows / length[:, None]).bfloat16().contiguous(),
            "b_dec": units.mean + b_dec / units.scale,
            "threshold": threshold * length,
        }


def measure(folded: dict[str, Tensor], holdout: Tensor) -> tuple[float, float]:
    """Fraction of variance unexplained, and mean number of features that fire, on held-out tokens."""
    w = {name: tensor.float() for name, tensor in folded.items()}
    error = fired = 0.0
    for low in range(0, len(holdout), 4096):
        x = holdout[low : low + 4096].float() * HALF
        pre = (x - w["b_dec"]) @ w["W_enc"] + w["b_enc"]
        z = torch.relu(pre) * (pre > w["threshold"])
        error += float(((x - (z @ w["W_dec"] + w["b_dec"])) ** 2).sum())
        fired += float((z > 0).sum())
    whole = holdout.float() * HALF
    return error / float(((whole - whole.mean(0)) ** 2).sum()), fired / len(holdout)


def write(
    out: Path, folded: dict[str, Tensor], layer: int, context: int, model_name: str, training: dict[str, Any]
) -> None:
    """`cfg.json` and `sae_weights.safetensors`, in the layout of SAELens 6."""
    d_in, d_sae = folded["W_enc"].shape
    config = {
        "architecture": "jumprelu", "d_in": d_in, "d_sae": d_sae, "dtype": "bfloat16", "device": "cpu",
        "apply_b_dec_to_input": True, "normalize_activations": "none", "reshape_activations": "none",
        "metadata": {
            "model_name": model_name, "hook_name": f"blocks.{layer}.hook_resid_post",
            "hf_hook_name": f"model.layers.{layer}", "context_size": context, "prepend_bos": True, "training": training,
        },
    }  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    save_file(folded, out / "sae_weights.safetensors")
    (out / "cfg.json").write_text(json.dumps(config, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
