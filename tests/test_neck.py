import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unifex.core.vectors import l2_normalize
from unifex.models import neck
from unifex.models.neck import DimensionError, Neck


@pytest.fixture
def features() -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.standard_normal((700, 90)) @ rng.standard_normal((90, 90)) + 3).astype(np.float32)


@pytest.mark.parametrize("whitened", [False, True])
def test_pca_against_scikit_learn(features, whitened):
    from sklearn.decomposition import PCA

    ours = neck.pca(features, dims=(8, 32), whitening=0.5 if whitened else 0.0)
    reference = PCA(32, whiten=whitened, svd_solver="full").fit(features).transform(features)
    projected = features @ ours.weight.T + ours.bias
    same = np.abs(
        (projected * reference).sum(0) / np.linalg.norm(projected, axis=0) / np.linalg.norm(reference, axis=0)
    )
    assert same.min() > 0.9999
    scale = np.linalg.norm(projected, axis=0) / np.linalg.norm(reference, axis=0)
    assert np.allclose(scale, 1, atol=2e-3)


def test_pooling_against_torch(features):
    import torch

    expected = torch.nn.AdaptiveAvgPool1d(64)(torch.from_numpy(features)[:, None])[:, 0].numpy()
    pooled = neck.pooling(90, 64)
    assert np.abs(features @ pooled.weight.T - expected).max() < 1e-5


def test_embeddings_are_nested_and_normalised(features):
    nested = neck.pca(features, dims=(16, 32, 64))
    widest = nested.embed(features, 64)
    for dim in nested.dims:
        embedded = nested.embed(features.astype(np.float16), dim)
        assert embedded.dtype == np.float32
        assert embedded.shape == (700, dim)
        assert np.allclose(np.linalg.norm(embedded, axis=1), 1, atol=1e-5)
    assert np.allclose(l2_normalize(widest, 16), nested.embed(features, 16), atol=1e-5)


@given(st.integers(1, 20), st.integers(1, 12))
def test_truncate_is_prefix_divided_by_its_length(rows, dim):
    values = np.random.default_rng(rows).standard_normal((rows, 12)).astype(np.float32)
    for row, cut in zip(values, l2_normalize(values, dim)):
        length = sum(float(value) ** 2 for value in row[:dim]) ** 0.5
        assert np.allclose(cut, row[:dim] / length, atol=1e-5)


def test_a_zero_row_stays_zero():
    assert not l2_normalize(np.zeros((2, 8), np.float32), 4).any()


def test_few_images_give_fewer_dimensions(features):
    assert neck.pca(features[:40], dims=(16, 32, 64)).dims == (16, 32)
    with pytest.raises(DimensionError, match="more than 10 images"):
        neck.pca(features[:10], dims=(16,))


def test_every_axis_has_a_least_variance_if_asked_for(features):
    """Against the definition: the covariance with its small eigenvalues raised."""
    few = features[:10].astype(np.float64)
    found = neck.pca(few, dims=(90,), whitening=0.5, least_variance=0.1)
    covariance = np.cov(few.T, bias=True)
    values, vectors = np.linalg.eigh(covariance)
    raised = np.maximum(values, 0.1 * values.mean())
    expected = vectors / raised @ vectors.T  # of full whitening, whatever the order and the signs of equal axes
    np.testing.assert_allclose(found.weight.T @ found.weight, expected, rtol=1e-3, atol=1e-3 * expected.max())


def test_wrong_dimension_lists_the_right_ones(features):
    with pytest.raises(DimensionError, match="16, 32"):
        neck.pca(features, dims=(16, 32)).embed(features, 20)


@pytest.mark.parametrize(
    ("weight", "bias", "dims"),
    [
        (np.zeros((4, 3)), np.zeros(5), (4,)),
        (np.zeros((4, 3)), np.zeros(4), (2, 3)),
        (np.zeros((4, 3)), np.zeros(4), (4, 2)),
        (np.full((4, 3), np.nan), np.zeros(4), (4,)),
    ],
)
def test_impossible_necks_are_refused(weight, bias, dims):
    with pytest.raises(ValueError, match="neck"):
        Neck("linear", weight.astype(np.float32), bias.astype(np.float32), dims)
