"""Logit effects against a dense float64 reference, whatever the size of the chunks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from atlas.effects import LogitTable, logit_effects, logits
from atlas.effects.kernels import LANES
from atlas.effects.logits import BINS

F, D, V, K = 23, 8, 211, 7


def weights(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Decoder, unembedding and norm, whose entries are halves: what is made of them is exact in float32."""
    rng = np.random.default_rng(seed)
    return tuple((rng.integers(-4, 5, shape) / 2).astype(np.float32) for shape in ((F, D), (V, D), (D,)))


def table(
    decoder: np.ndarray, unembedding: np.ndarray, scale: np.ndarray, *, centred: bool = False, k: int = K
) -> LogitTable:
    return logit_effects(*(torch.from_numpy(a) for a in (decoder, unembedding, scale)), centred=centred, k=k)


def dense(decoder: np.ndarray, unembedding: np.ndarray, scale: np.ndarray, *, centred: bool) -> np.ndarray:
    """float64 [features, vocabulary]."""
    rows = decoder.astype(np.float64)
    if centred:
        rows = rows - rows.mean(axis=1, keepdims=True)
    return (rows * scale) @ unembedding.astype(np.float64).T


def order(effects: np.ndarray, k: int) -> list[int]:
    """Token ids by descending effect, then by id."""
    return sorted(range(len(effects)), key=lambda t: (-effects[t], t))[:k]


@pytest.mark.parametrize("centred", [False, True])
def test_tokens_and_values_are_the_extremes_of_the_dense_product(centred: bool) -> None:
    decoder, unembedding, scale = weights()
    found, expected = table(decoder, unembedding, scale, centred=centred), dense(*weights(), centred=centred)
    for f in range(F):
        row = expected[f]
        assert found.top[f].tolist() == order(row, K)
        assert found.bottom[f].tolist() == order(-row, K)
        assert np.array_equal(found.top_value[f], row[found.top[f]].astype(np.float32))
        assert np.array_equal(found.bottom_value[f], row[found.bottom[f]].astype(np.float32))
    assert np.array_equal(found.high, found.top_value[:, 0])
    assert np.array_equal(found.low, found.bottom_value[:, 0])
    ties = sum(len(set(values)) < K for values in found.top_value.tolist())
    assert ties > 3, "the case should hold equal effects"


@pytest.mark.parametrize("k", [1, 40, LANES, LANES + 5])
@pytest.mark.parametrize("kinds", [3, 10**6])
def test_rows_longer_than_the_lanes_and_lists_longer_than_them(k: int, kinds: int) -> None:
    rng = np.random.default_rng(k)
    values = (rng.integers(0, kinds, 3 * LANES + 7) - kinds // 2).astype(np.float32)
    found = table(np.array([[1], [-1], [0]], np.float32), values[:, None], np.ones(1, np.float32), k=k)
    for f, sign in enumerate((1, -1, 0)):
        row = sign * values
        assert found.top[f].tolist() == order(row, k)
        assert found.bottom[f].tolist() == order(-row, k)
        assert np.array_equal(found.top_value[f], row[found.top[f]])
        assert found.moments[f, :2] == pytest.approx([row.mean(), row.astype(np.float64).std()], rel=1e-5)
        edges = np.linspace(row.min(), row.max(), BINS + 1) if sign else [-1, 1]
        near = np.abs(row[:, None] - edges).min(axis=1) <= kinds * 1e-5
        assert np.abs(found.counts[f] - np.histogram(row, edges)[0]).sum() <= 2 * near.sum() or not sign
        assert found.counts[f].sum() == len(row)


@pytest.mark.parametrize("k", [1, 3, 10])
def test_equal_effects_are_taken_by_token_id_even_at_the_cut(k: int) -> None:
    decoder, unembedding, scale = weights()
    unembedding[:] = unembedding[:1]  # as the rows of a vocabulary's unused tokens are
    unembedding[[200, 100]] *= 2
    found, expected = table(decoder, unembedding, scale, k=k), dense(decoder, unembedding, scale, centred=False)
    for f in range(F):
        assert found.top[f].tolist() == order(expected[f], k)
        assert found.bottom[f].tolist() == order(-expected[f], k)


@pytest.mark.parametrize("centred", [False, True])
def test_the_histogram_and_the_moments_are_those_of_the_vocabulary(centred: bool) -> None:
    decoder, unembedding, scale = weights(3)
    found, expected = table(decoder, unembedding, scale, centred=centred), dense(*weights(3), centred=centred)
    assert (found.counts.sum(axis=1) == V).all()
    for f in range(F):
        row = expected[f]
        off = row - row.mean()
        std = np.sqrt((off**2).mean())
        moments = [row.mean(), std, (off**3).mean() / std**3, (off**4).mean() / std**4 - 3]
        assert found.moments[f] == pytest.approx(moments, rel=1e-4, abs=1e-5)
        inner = np.linspace(row.min(), row.max(), BINS + 1)[1:-1]
        clear = np.abs(row[:, None] - inner).min(axis=1) > 1e-4  # what lies on an edge may go either way
        certain = np.histogram(row[clear], BINS, (row.min(), row.max()))[0]
        assert (found.counts[f] >= certain).all()
        assert (found.counts[f] - certain).sum() == (~clear).sum()
        assert clear.mean() > 0.5


@pytest.mark.parametrize("cells", [1, V, 5 * V + 3, F * V, 10**9])
def test_the_size_of_a_chunk_changes_nothing(monkeypatch: pytest.MonkeyPatch, cells: int) -> None:
    whole = table(*weights())
    monkeypatch.setattr(logits, "_CELLS", cells)
    again = table(*weights())
    for name in LogitTable.__dataclass_fields__:
        assert np.array_equal(getattr(again, name), getattr(whole, name)), name


def test_every_feature_is_ticked_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logits, "_CELLS", 5 * V)
    ticks: list[int] = []
    logit_effects(*(torch.from_numpy(a) for a in weights()), centred=False, k=1, tick=ticks.append)
    assert ticks == [5, 5, 5, 5, 3]


def test_a_layer_norm_does_not_see_the_mean_of_a_direction() -> None:
    decoder, unembedding, scale = weights()
    shifted = decoder + np.arange(F, dtype=np.float32)[:, None]
    plain, moved = table(decoder, unembedding, scale, centred=True), table(shifted, unembedding, scale, centred=True)
    assert np.allclose(plain.top_value, moved.top_value, atol=1e-4)
    assert not np.allclose(table(shifted, unembedding, scale).top_value, moved.top_value, atol=1e-1)


def test_more_tokens_than_the_vocabulary_has_are_not_asked_for() -> None:
    decoder, unembedding, scale = weights()
    found = table(decoder, unembedding[:4], scale, k=20)
    assert found.top.shape == found.bottom.shape == (F, 4)
    assert np.array_equal(np.sort(found.top), np.tile(np.arange(4), (F, 1)))


def test_weights_of_half_precision_count_as_they_are() -> None:
    decoder, unembedding, scale = (torch.from_numpy(a) for a in weights())
    half = logit_effects(decoder, unembedding.bfloat16(), scale.bfloat16(), centred=False, k=K)
    full = logit_effects(decoder, unembedding, scale, centred=False, k=K)
    assert np.array_equal(half.top_value, full.top_value)


def test_a_direction_of_zero_has_finite_numbers() -> None:
    decoder, unembedding, scale = weights()
    decoder[3] = 0
    found = table(decoder, unembedding, scale)
    assert np.isfinite(found.moments).all()
    assert found.moments[3, :2].tolist() == [0, 0]
    assert found.counts[3].sum() == V
    assert found.top[3].tolist() == list(range(K))
