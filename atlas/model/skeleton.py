"""A model without its weights: enough to say how wide a hook point is before the model is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from atlas.errors import AtlasError
from atlas.model.lm import LanguageModel
from atlas.model.quiet import quiet

if TYPE_CHECKING:
    from pathlib import Path


def skeleton(folder: Path) -> LanguageModel:
    """The model of a folder's `config.json`, on torch's meta device, with no tokenizer.

    Raises:
        AtlasError: If the folder has no configuration of a causal language model.
    """
    from transformers import AutoConfig, AutoModelForCausalLM  # noqa: PLC0415  (seconds to import)

    try:
        with quiet(), torch.device("meta"):
            config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
            make: Any = AutoModelForCausalLM.from_config  # untyped
            return LanguageModel(make(config), None)
    except AtlasError:
        raise
    except Exception as error:  # transformers raises OSError, ValueError, KeyError, ...: all of them mean the folder
        raise AtlasError(folder, f"cannot be read as a language model ({error})"[:400]) from error
