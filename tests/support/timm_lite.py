"""The bundled backbones' networks as timm has them, for comparison."""

from __future__ import annotations

from typing import Any

from unifex.models.lite_weights import LiteNetwork


def classifier(network: LiteNetwork) -> Any:
    """With its 1000 ImageNet classes, in evaluation mode: float [B, 3, H, W] -> [B, 1000]. The checkpoint has timm's
    tensors in timm's order, under other names."""
    import timm
    import torch

    made = timm.create_model(network.name, pretrained=False)
    state = torch.load(network.weights(), map_location="cpu", weights_only=True)
    made.load_state_dict(dict(zip(made.state_dict(), state.values(), strict=True)))
    return made.eval()
