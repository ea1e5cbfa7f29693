"""A two-tower model small enough for tests: open_clip's own code, random weights, a folder as the hub holds one."""

from __future__ import annotations

import json
from pathlib import Path

SIZE, DIM = 32, 48
MODEL = {
    "embed_dim": DIM,
    "vision_cfg": {"image_size": SIZE, "layers": 2, "width": 64, "patch_size": 8, "head_width": 32},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}
PREPROCESS = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "resize_mode": "squash", "interpolation": "bilinear"}


TIMM_TOWER = {"image_size": 224, "timm_model_name": "vit_tiny_patch16_224", "timm_pool": "token", "timm_proj": "linear"}


def write(folder: Path, seed: int = 0, vision: dict | None = None, text: dict | None = None) -> Path:
    """``open_clip_config.json`` and weights into a new folder; ``vision``, ``text``: another tower."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True)
    towers = {"vision_cfg": vision, "text_cfg": text}
    model = MODEL | {name: tower for name, tower in towers.items() if tower} | ({"custom_text": True} if text else {})
    config = {"model_cfg": model, "preprocess_cfg": PREPROCESS}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    torch.manual_seed(seed)
    model = open_clip.create_model(f"local-dir:{folder}", load_weights=False)
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    return folder
