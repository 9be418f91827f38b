"""The language model: fetched, loaded, and run up to a hook point.

    recipe's [model] -> `fetch_model` -> a folder of safetensors -> `LanguageModel` -> activations at hook points

`fetch` and `convert` bring the weights, `hooks` knows the names of places in a model, `inputs` pads windows, `lm` runs.
"""

from atlas.model.fetch import FetchedModel, fetch_model
from atlas.model.hooks import HookPoint, layer_of
from atlas.model.inputs import pad
from atlas.model.lm import FoldedNorm, LanguageModel, pick_device

__all__ = ["FetchedModel", "FoldedNorm", "HookPoint", "LanguageModel", "fetch_model", "layer_of", "pad", "pick_device"]
