"""A language model, run up to the last hook point that is wanted and no further.

1. The forward pass runs on the base model (no head, no logits, no key-value cache).
2. A hook at each hook point keeps the tensor that passes there.
3. When the last one has come by, a private exception ends the pass. `trim` drops the blocks after it altogether.

Windows are padded on the right; attention is causal, so no real position sees padding. `families.FAMILIES`, for which
a test checks that, run without a mask (flash attention takes none); others are handed one where there is padding.
"""

from __future__ import annotations

from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any, Literal, cast

import torch
from torch import Tensor, nn

from atlas.errors import AtlasError
from atlas.model.blocks import Backend, Blocks
from atlas.model.families import FAMILIES
from atlas.model.hooks import HookPoint, find_hook, normalized
from atlas.model.norm import FoldedNorm, final_norm, fold
from atlas.model.quiet import quiet
from atlas.model.stream import into_stream, width_at

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

Dtype = Literal["float32", "bfloat16", "float16"]
DTYPES: dict[str, torch.dtype] = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class _Enough(Exception):  # noqa: N818  (not an error: it ends a forward pass that has given all that was asked)
    """Raised from the last hook; never leaves `LanguageModel.run`."""


class LanguageModel:
    """A causal language model of transformers, with its tokenizer; see the module's docstring for how it runs.

    Attributes:
        lm: The transformers model, head included.
        tokenizer: Its tokenizer.
        d_model: Width of the residual stream.
        n_layers: Number of blocks, those that `trim` dropped included.
        softcap: What final logits are soft-capped at (Gemma 2), or None. Logit effects are told before it.
    """

    def __init__(self, lm: Any, tokenizer: Any, autocast: Dtype | None = None) -> None:
        """Wrap a transformers model that is loaded already; gradients and dropout are switched off."""
        self.lm: Any = lm.eval().requires_grad_(requires_grad=False)
        self.tokenizer: Any = tokenizer
        text = self.lm.config.get_text_config()
        self._family = str(text.model_type)
        self._base: nn.Module = self.lm.base_model
        self._prefix = str(self.lm.base_model_prefix)
        # A model that also sees pictures keeps its text model one level down: run that alone.
        inner = getattr(self._base, "language_model", None)
        if isinstance(inner, nn.Module):
            self._base, self._prefix = inner, f"{self._prefix}.language_model"
        if getattr(text, "attn_logit_softcapping", None):
            # Older releases of transformers choose an attention that leaves Gemma 2's soft cap out.
            self.lm.set_attn_implementation("eager")
        self._sees_padding = self._family not in FAMILIES or bool(getattr(text, "use_bidirectional_attention", False))
        self._autocast = None if autocast is None else DTYPES[autocast]
        self._blocks = Blocks(self._base)
        self.n_layers = self._blocks.count
        self.d_model = int(text.hidden_size)
        softcap = getattr(text, "final_logit_softcapping", None)
        self.softcap: float | None = float(softcap) if softcap else None

    @classmethod
    def load(
        cls,
        folder: Path,
        dtype: Dtype = "float32",
        device: str | torch.device = "cpu",
        autocast: Dtype | None = None,
    ) -> LanguageModel:
        """Load a model from a folder of safetensors, `config.json` and tokenizer files; nothing is executed.

        Args:
            folder: As `save_pretrained()` writes it.
            dtype: Precision of weights, and of activations unless `autocast` says otherwise.
            device: Where to put it, such as `cpu` or `cuda`.
            autocast: Precision of matrix products and attention; the rest keeps `dtype`. None for `dtype` everywhere.

        Raises:
            AtlasError: If the folder does not hold such a model, or it does not fit into memory.
        """
        from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: PLC0415  (seconds to import)

        options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        try:
            with quiet():
                tokenizer = AutoTokenizer.from_pretrained(folder, **options)
                found: Any = AutoModelForCausalLM.from_pretrained(
                    folder, dtype=DTYPES[dtype], use_safetensors=True, output_loading_info=True, **options
                )
        except Exception as error:
            # transformers raises OSError, ValueError, KeyError, SafetensorError, ...: all of them mean the folder.
            raise AtlasError(folder, f"cannot be loaded as a language model ({error})"[:400]) from error
        lm, loading = found
        missing = sorted(loading["missing_keys"])
        if missing:  # transformers would fill them with random numbers and go on
            raise AtlasError(folder, f"the weights lack {missing[0]} and {len(missing) - 1} more", "fetch them again")
        return cls(lm, tokenizer, autocast).to(device)

    def to(self, device: str | torch.device) -> LanguageModel:
        """Move the weights; `trim` first, and those that are not needed never take the device's memory.

        Raises:
            AtlasError: If they do not fit.
        """
        try:
            self.lm.to(device)
        except torch.OutOfMemoryError as error:
            mend = "use a smaller dtype or the CPU"
            raise AtlasError(self._family, f"the model does not fit on {device}", mend) from error
        return self

    @property
    def base(self) -> nn.Module:
        """The model without its head; paths of hook points are relative to it."""
        return self._base

    @property
    def is_whole(self) -> bool:
        """Whether `trim` has dropped nothing."""
        return self._blocks.is_whole

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return cast("torch.device", self.lm.device)

    @property
    def bos_id(self) -> int | None:
        """The token that windows begin with, or None if the tokenizer has none."""
        return _id(self.tokenizer.bos_token_id)

    @property
    def eos_id(self) -> int | None:
        """The end-of-text token, or None."""
        return _id(self.tokenizer.eos_token_id)

    @property
    def pad_id(self) -> int:
        """A token to pad with: the tokenizer's, else EOS, else 0 (the mask hides it)."""
        return next((i for i in (_id(self.tokenizer.pad_token_id), self.eos_id) if i is not None), 0)

    @property
    def special_ids(self) -> frozenset[int]:
        """BOS, EOS and padding tokens: positions that hold one never count."""
        ids = (self.bos_id, self.eos_id, _id(self.tokenizer.pad_token_id))
        return frozenset(i for i in ids if i is not None)

    @property
    def vocab(self) -> int:
        """Rows of the unembedding; the tokenizer may know fewer tokens."""
        return int(self.unembedding().shape[0])

    def hook(self, name: str) -> HookPoint:
        """The hook point of this name (`atlas.model.hooks` lists the forms).

        Raises:
            AtlasError: If this model has no such hook point, or `trim` dropped its block.
        """
        self._blocks.check(name)
        return find_hook(self._base, self._prefix, self.lm.config.get_text_config(), name)

    def width(self, point: HookPoint) -> int:
        """Width of what passes a hook point; that of the residual stream unless it is read before a linear map."""
        return width_at(self._base, point, self.d_model)

    def into_stream(self, point: HookPoint, rows: Tensor | None) -> Tensor:
        """Directions at a hook point (None: of each number there) as directions in the stream; see `stream`."""
        return into_stream(self._base, point, rows, self.d_model, self.device)

    def eval(self) -> LanguageModel:
        """Make sure that dropout is off (it is, after `load`)."""
        self.lm.eval()
        return self

    def trim(self, hooks: Sequence[HookPoint]) -> None:
        """Drop the blocks behind the last that any of these hook points reads, and free their weights.

        The unembedding and the final norm stay. If a hook point lies outside the blocks, such as at the final norm,
        nothing is dropped. What `run` gives stays the same to the bit.
        """
        self._blocks.trim(hooks)

    def compile(self, backend: Backend = "inductor") -> None:
        """Compile the blocks (`atlas.model.blocks` says how); each kind is compiled when it runs first.

        Values differ from uncompiled ones in the last digits. Inductor may choose kernels by the shape it meets
        first: for the same bytes from every process, run the same shape first in each.

        Args:
            backend: As `torch.compile` takes it.

        Raises:
            AtlasError: If this machine cannot compile.
        """
        self._blocks.compile(backend, self.device)

    def run(self, ids: Tensor, mask: Tensor, hooks: Sequence[HookPoint]) -> dict[str, Tensor]:
        """Run windows through the model and keep what passes the hook points.

        Args:
            ids: Token ids, int64 [B, T], padded on the right.
            mask: bool [B, T], true at real positions.
            hooks: Where to listen; the pass ends behind the last of them.

        Returns:
            Hook point's name -> activations [B, T, d] on the model's device, in its dtype; under autocast float32
            where a residual stream is read, else as it comes. Values at padding mean nothing. They are inference
            tensors: read them, do not change them in place.

        Raises:
            AtlasError: If a hook point gives no [B, T, d] tensor, or lies in a block that was dropped.
        """
        kept: dict[str, Tensor] = {}
        points = {point.name: point for point in hooks}
        for name in points:
            self._blocks.check(name)
        with ExitStack() as stack:
            stack.enter_context(torch.inference_mode())
            if self._autocast is not None:
                stack.enter_context(torch.autocast(self.device.type, self._autocast))
            stack.enter_context(self._blocks.running(list(points.values())))
            for point in points.values():
                stack.callback(self._listen(point, kept, len(points)).remove)
            if points:
                self._forward(ids, mask)
        for name in points:
            value = kept.get(name)
            if value is None or value.shape[:2] != ids.shape or value.dim() != 3:  # noqa: PLR2004  ([B, T, d])
                found = "nothing" if value is None else f"a tensor {list(value.shape)}"
                raise AtlasError(name, f"gives {found}, not [batch, tokens, width]", "choose another hook point")
        return kept

    def unembedding(self) -> Tensor:
        """The unembedding [vocab, d_model], in the model's dtype; a view, not a copy."""
        return cast("Tensor", self.lm.get_output_embeddings().weight.detach())

    def final_norm_fold(self) -> FoldedNorm:
        """The final norm's effect on a direction, apart from its data-dependent length.

        Raises:
            AtlasError: If the norm is not found, or is neither LayerNorm nor an RMS norm.
        """
        return fold(final_norm(self._base), self.d_model, self.device)

    def _forward(self, ids: Tensor, mask: Tensor) -> None:
        """One pass over the base model, which the last hook cuts short."""
        hidden: Tensor | None = None
        if self._sees_padding and not bool(mask.all()):
            hidden = mask.long()
            hidden[:, 0] = 1  # a row of padding alone would attend to nothing, and its NaNs would spread
            hidden = hidden.to(self.device, non_blocking=True)
        ids = ids.to(self.device, non_blocking=True)
        with suppress(_Enough):
            self._base(input_ids=ids, attention_mask=hidden, use_cache=False)

    def _listen(self, point: HookPoint, kept: dict[str, Tensor], wanted: int) -> Any:
        module = self._base.get_submodule(point.path)

        def keep(value: Any) -> None:
            while isinstance(value, (tuple, list)) and value:
                value = value[0]
            if isinstance(value, Tensor):
                kept[point.name] = value
            if len(kept) == wanted:
                raise _Enough

        if point.side == "normalized":
            return module.register_forward_pre_hook(_on_input(lambda x: keep(normalized(module, x))), with_kwargs=True)
        if point.side == "input":
            return module.register_forward_pre_hook(_on_input(keep), with_kwargs=True)
        return module.register_forward_hook(lambda _module, _inputs, output: keep(output))


def _on_input(keep: Callable[[Any], None]) -> Callable[..., None]:
    """A pre-hook that finds the hidden states, wherever the family passes them."""

    def hook(_module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        keep(inputs[0] if inputs else named.get("hidden_states"))

    return hook


def _id(value: Any) -> int | None:
    return value if isinstance(value, int) else None
