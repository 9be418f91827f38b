"""Names of a map's clusters, by rule, from what their members are called and peak at.

1. A feature says units: the words of a name that was given by hand; of a lexical name what stands in quotes, and the
   source behind its last "in"; and the tokens that its strongest snippets peak at. Each once, folded.
2. For each cluster and unit: the log-odds of its share among the members against its share among all other features
   of the map, with the whole map's counts as prior, over its standard deviation. That is the z-score of B. Monroe,
   M. Colaresi, K. Quinn, "Fightin' Words" (2008), which lets neither rare units nor common ones win by chance.
3. The best units with z >= `Z` that at least `SHARE` of the members (and three of them) say are the name, at most
   `WORDS` of them; one that is part of another chosen one is left out. If there is none, the cluster has no name.

So a name says which words set the members apart on the whole; a single member may have none of them.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence

Z, SHARE, FEWEST, WORDS = 3.0, 0.1, 3, 3
PRIOR = 50.0
"""How many features the prior weighs."""
LONGEST = 28

_QUOTED = re.compile(r"“([^”]*)”")
_SOURCE = re.compile(r"” in ([^“”]+)$")
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_JOINING = re.compile(r"an?|and|as|at|by|for|from|in|into|is|its|of|on|or|that|the|their|this|to|vs|with")


def units(name: str, method: str, peaks: Iterable[str]) -> frozenset[str]:
    """What a feature says of a cluster that it belongs to.

    Args:
        name: Its display name.
        method: How it was named: "hand", "lexical" or "none".
        peaks: Texts of the tokens that its snippets peak at.
    """
    found = set(peaks)
    if method == "hand":
        found.update(word for word in _WORD.findall(name) if not _JOINING.fullmatch(word.casefold()))
    elif method == "lexical":
        found.update(_QUOTED.findall(name))
        found.update(_SOURCE.findall(name))
    folded = {" ".join(text.casefold().split()) for text in found}
    return frozenset(text for text in folded if text and len(text) <= LONGEST)


def cluster_names(members: Sequence[int], said: Sequence[frozenset[str]]) -> list[tuple[str, ...]]:
    """The units that name each cluster, the most telling first; none where nothing stands out.

    Args:
        members: The cluster of each feature, from 0 without gaps; -1 for none.
        said: The units of each feature.
    """
    count = max(members, default=-1) + 1
    within = [Counter[str]() for _ in range(count)]
    everywhere, size = Counter[str](), [0] * count
    for cluster, words in zip(members, said, strict=True):
        everywhere.update(words)
        if cluster >= 0:
            within[cluster].update(words)
            size[cluster] += 1
    return [_choose(within[i], size[i], everywhere, len(said)) for i in range(count)]


def _choose(within: Counter[str], size: int, everywhere: Counter[str], total: int) -> tuple[str, ...]:
    least = max(FEWEST, math.ceil(SHARE * size))
    scored = [
        (-_z(have, size, everywhere[text] - have, total - size, everywhere[text] / total), text)
        for text, have in within.items()
        if have >= least
    ]
    chosen: list[str] = []
    for score, text in sorted(scored):
        if -score < Z or len(chosen) == WORDS:
            break
        if not any(text in other or other in text for other in chosen):
            chosen.append(text)
    return tuple(chosen)


def _z(have: int, of: int, elsewhere: int, others: int, share: float) -> float:
    """The z-score of the log-odds of a unit in a cluster against those elsewhere, with the prior `PRIOR * share`."""
    prior, rest = PRIOR * share, PRIOR * (1 - share) + 1e-9
    inside, outside = have + prior, elsewhere + prior
    odds = math.log(inside / (of - have + rest)) - math.log(outside / (others - elsewhere + rest))
    return odds / math.sqrt(1 / inside + 1 / outside)
