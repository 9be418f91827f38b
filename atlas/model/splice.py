"""What the model says when something else is put at a hook point: the loss of each next token.

The whole model runs, head included. Where a hook point's module gives or takes a tensor, positions that count are
replaced in it; BOS, padding and other special tokens keep what is there. The blocks behind it see the change, and so do
those in the same block that come after.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from atlas.errors import AtlasError

if TYPE_CHECKING:
    from atlas.model.hooks import HookPoint
    from atlas.model.lm import LanguageModel


def losses(
    model: LanguageModel, ids: Tensor, mask: Tensor, counted: Tensor, change: tuple[HookPoint, Tensor] | None = None
) -> Tensor:
    """Cross-entropy of every token that counts, in nats, given those before it.

    Args:
        model: A whole model; `trim` must not have dropped a block.
        ids: int64 [B, T], padded on the right.
        mask: bool [B, T], true at real positions.
        counted: bool [B, T], true at positions that count.
        change: A hook point and what is to be there, [B, T, d]; None for what is there anyway.

    Returns:
        float32 [n], on the CPU: for each position that counts, but for the first of a window, the loss of its token.

    Raises:
        AtlasError: If the hook point's value cannot be replaced.
    """
    device = model.device
    remove = None if change is None else _replacing(model, *change, counted.to(device))
    try:
        with torch.inference_mode():
            found: Any = model.lm(input_ids=ids.to(device), attention_mask=mask.long().to(device), use_cache=False)
            logits = found.logits[:, :-1].float()
            nll = torch.nn.functional.cross_entropy(
                logits.flatten(0, 1), ids[:, 1:].flatten().to(device), reduction="none"
            )
    finally:
        if remove is not None:
            remove.remove()
    return nll[counted[:, 1:].flatten().to(device)].cpu()


def _replacing(model: LanguageModel, point: HookPoint, value: Tensor, counted: Tensor) -> Any:
    """A handle; until it is removed, the value is put where it belongs."""
    module = model.base.get_submodule(point.path)
    if point.side == "normalized":
        raise AtlasError(point.name, "is inside a norm, where nothing can be replaced")

    def put(old: Any) -> Any:
        if isinstance(old, (tuple, list)):
            return type(old)((put(old[0]), *old[1:]))
        return torch.where(counted[..., None], value.to(old.dtype), old)

    if point.side == "input":

        def before(
            _module: Any, inputs: tuple[Any, ...], named: dict[str, Any]
        ) -> tuple[tuple[Any, ...], dict[str, Any]]:
            if inputs:
                return (put(inputs[0]), *inputs[1:]), named
            return inputs, {**named, "hidden_states": put(named["hidden_states"])}

        return module.register_forward_pre_hook(before, with_kwargs=True)
    return module.register_forward_hook(lambda _module, _inputs, output: put(output))
