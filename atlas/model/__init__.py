"""The language model: fetched, loaded, and run up to a hook point.

    recipe's [model] -> `fetch_model` -> a folder of safetensors -> `LanguageModel` -> activations at hook points

`fetch` and `convert` bring the weights, `hooks` knows the names of places in a model, `inputs` pads windows, `lm` runs
them; `splice` puts something else at a hook point, `blocks` drops and compiles blocks, `norm` folds the final norm,
`heap` spares the kernel's page faults.
"""

from atlas.model.device import pick_device
from atlas.model.fetch import FetchedModel, fetch_model
from atlas.model.heap import give_back_freed_memory, keep_freed_memory
from atlas.model.hooks import HookPoint, layer_of
from atlas.model.inputs import pad
from atlas.model.lm import LanguageModel
from atlas.model.norm import FoldedNorm

__all__ = [
    "FetchedModel",
    "FoldedNorm",
    "HookPoint",
    "LanguageModel",
    "fetch_model",
    "give_back_freed_memory",
    "keep_freed_memory",
    "layer_of",
    "pad",
    "pick_device",
]
