"""Blocks as matrix products, against timm's own, which convolve."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from timm.models import _efficientnet_blocks as timm_blocks

from unifex.models.inverted_residual import Maps, run_block


@settings(max_examples=40, deadline=None)
@given(
    kernel=st.sampled_from([3, 5]),
    stride=st.sampled_from([1, 2]),
    height=st.integers(1, 20),  # up to where it convolves
    width=st.integers(1, 20),
    outputs=st.sampled_from([4, 6]),
    seed=st.integers(0, 2**31),
)
def test_a_block_and_its_slopes_are_those_of_convolutions(kernel, stride, height, width, outputs, seed):
    torch.manual_seed(seed)
    block = timm_blocks.InvertedResidual(
        4, outputs, kernel, stride, exp_ratio=3, act_layer=torch.nn.ReLU6, pad_type="same"
    )
    for norm in (block.bn1, block.bn2, block.bn3):
        torch.nn.init.uniform_(norm.weight, 0.5, 2)
        torch.nn.init.normal_(norm.bias)
        torch.nn.init.normal_(norm.running_mean)
        torch.nn.init.uniform_(norm.running_var, 0.5, 2)
    block.double().eval()  # at a kink of the activation a difference of rounding would be one of the slope
    maps = torch.randn(2, 4, height, width, dtype=torch.float64)
    wanted = block(maps)
    found = run_block(block, Maps.of(maps)).tensor()
    torch.testing.assert_close(found, wanted)
    towards, weights = torch.randn_like(wanted), list(block.parameters())
    by_convolutions = torch.autograd.grad((wanted * towards).sum(), weights)
    by_products = torch.autograd.grad((found * towards).sum(), weights)
    for mine, theirs in zip(by_products, by_convolutions, strict=True):
        torch.testing.assert_close(mine, theirs)


def test_in_bfloat16_larger_maps_are_products_too_and_as_near_as_its_digits():
    torch.manual_seed(0)
    block = timm_blocks.InvertedResidual(8, 8, 5, 1, exp_ratio=3, act_layer=torch.nn.ReLU6, pad_type="same").eval()
    maps = torch.randn(4, 8, 17, 17)
    wanted = block(maps)
    with torch.autocast("cpu", torch.bfloat16):
        found = run_block(block, Maps.of(maps)).tensor()
    assert "Convolution" not in _made_by(found.grad_fn)
    difference = (found.float() - wanted).square().mean().sqrt()
    assert difference < 0.01 * wanted.square().mean().sqrt()


def _made_by(function):
    """The names of the operations behind a result."""
    before = [source for source, _ in function.next_functions if source]
    return " ".join([function.name(), *(_made_by(source) for source in before)])
