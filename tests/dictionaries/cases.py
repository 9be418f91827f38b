"""All layouts: importing their modules registers them."""

from __future__ import annotations

import layouts_gemma
import layouts_learning
import layouts_llama
import layouts_saelens
import layouts_traced
from layouts import CASES, Case

__all__ = ["CASES", "Case", "layouts_gemma", "layouts_learning", "layouts_llama", "layouts_saelens", "layouts_traced"]
