"""Repositories of the hub as their libraries publish them, with random weights: the files, the names, the layout.

What open_clip and timm write when somebody publishes a model is written by the functions that they write it with. The
tokenizer is the exception: of SigLIP 2's class, Gemma's, one is made that spells words by their bytes and letters.
"""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any

from unifex.models import zoo
from unifex.models.towers import open_clip_config

_SPECIAL = ("<pad>", "<eos>", "<bos>", "<unk>", "<mask>")  # by number, as Gemma's


def write(root: Path, id: str, seed: int = 0) -> Path:
    """The repository of a backbone, ``root/OWNER/NAME``: ``open_clip:NAME:TAG`` or ``timm:NAME``."""
    import torch

    repository = zoo.get(id).hub_file
    assert repository, f"{id} is not on the hub"
    name, folder = zoo.Name.of(id), root / repository.repo
    folder.mkdir(parents=True)
    torch.manual_seed(seed)
    (_of_timm if name.library == "timm" else _of_open_clip)(folder, name.name, name.tag)
    return folder


def _of_timm(folder: Path, name: str, tag: str) -> None:
    import timm
    from timm.models._hub import save_for_hf

    save_for_hf(timm.create_model(name), str(folder), safe_serialization=True)


def _of_open_clip(folder: Path, name: str, tag: str) -> None:
    from open_clip.pretrained import get_pretrained_cfg

    fitting = {key: get_pretrained_cfg(name, tag)[key] for key in ("mean", "std", "interpolation", "resize_mode")}
    write_open_clip(folder, name, open_clip_config(name), fitting)


def write_open_clip(folder: Path, name: str, config: dict[str, Any], fitting: dict[str, Any]) -> None:
    """A model that open_clip can build, into a folder that is there; ``config`` is what is published of it."""
    import open_clip
    from open_clip.push_to_hf_hub import save_for_hf

    model = open_clip.create_model(name, load_weights=False, pretrained_text=False, force_preprocess_cfg=fitting)
    save_for_hf(model, Tokenizer(config["text_cfg"]), config, str(folder), safe_serialization=True)


class Tokenizer:
    """The files of a text tower's tokenizer. Towers that read CLIP's tokens have it in open_clip itself."""

    def __init__(self, text_config: dict[str, Any]):
        self._config = text_config

    def save_pretrained(self, folder: Path) -> None:
        """As open_clip's function asks for them."""
        if "hf_tokenizer_name" not in self._config:
            return
        write_gemma(folder)


def write_gemma(folder: Path) -> None:
    """``tokenizer.json`` and ``tokenizer_config.json``: words are spelled, "<eos>" ends them, and "<pad>" fills up."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    pieces = [*_SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *string.ascii_letters, *string.digits]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    made.normalizer = normalizers.Replace(" ", "▁")
    made.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    made.add_special_tokens(list(_SPECIAL))
    made.post_processor = processors.TemplateProcessing(single="$A <eos>", special_tokens=[("<eos>", 1)])
    made.save(str(folder / "tokenizer.json"))
    told = {
        "tokenizer_class": "GemmaTokenizer", "padding_side": "right", "model_max_length": 64,
        "add_bos_token": False, "add_eos_token": True, "clean_up_tokenization_spaces": False,
        **{f"{piece.strip('<>')}_token": piece for piece in _SPECIAL},
    }  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(told, indent=2))
