"""Every backbone of the table against the library it is built with: architecture, width, work, preprocessing."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision  # noqa: F401  # torch 2.8 cannot import it under `meta`

from tests.support import forked, tiny_clip
from tests.support.drawing import write_folder
from tests.support.trap import trap
from unifex.cli.main import main
from unifex.gallery.gallery import Gallery
from unifex.gallery.library import Library
from unifex.models import backbones, engines, towers, zoo
from unifex.models.backbones import BackboneError
from unifex.models.embedder import Embedder, check_model
from unifex.models.late_towers import LateTower
from unifex.models.model_config import ModelConfig
from unifex.models.zoo import Name

ROWS = [spec for spec in zoo.table().values() if spec not in zoo.BUNDLED]
FAMILIES = (
    "SigLIP|OpenCLIP ViT|OpenCLIP ConvNeXt|CLIPA|EVA-02-CLIP|MetaCLIP|DINOv2|SAM|SigLIP 2|PE-Core|DINOv3|MobileCLIP2"
)


def count(module: torch.nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


@pytest.mark.slow
@pytest.mark.parametrize("spec", ROWS, ids=lambda spec: spec.id)
def test_a_row_says_what_its_library_says(spec):
    name = Name.parse(spec.id)
    with torch.device("meta"):
        tower = zoo.build_tower(name, None)
    assert not tower.training
    assert count(tower) == spec.parameters
    dim, gigaflops = towers.count_gigaflops(tower, spec.preprocessing.size)
    assert dim == spec.feature_dim
    assert gigaflops == pytest.approx(spec.gigaflops, rel=0.02)
    if name.library == "timm":
        import timm

        assert spec.preprocessing == towers.timm_preprocessing(name.name, name.size)
        assert spec.hub_file.repo == timm.get_pretrained_cfg(name.name).hf_hub_id
        return
    from open_clip.pretrained import get_pretrained_cfg

    pretrained = get_pretrained_cfg(name.name, name.tag)
    assert spec.preprocessing == towers.open_clip_preprocessing(name.name, pretrained, name.size)
    assert spec.hub_file.repo == pretrained["hf_hub"].rstrip("/")
    config = towers.open_clip_config(name.name)
    assert bool(config.get("quick_gelu")) == bool(pretrained.get("quick_gelu"))
    assert spec.tokenizer == config["text_cfg"].get("hf_tokenizer_name", "")
    with torch.device("meta"):
        assert count(towers.open_clip_model(name.name, None)) == spec.parameters + spec.text_parameters


def test_the_papers_families_and_todays_are_there():
    titles = " ".join(spec.title for spec in ROWS)
    assert all(re.search(rf"\b{family}\b", titles) for family in FAMILIES.split("|"))
    assert zoo.get("vit_so400m_patch14_siglip_384").id == ROWS[0].id  # the paper's own name, and it comes first


@pytest.mark.parametrize(
    ("id", "name"),
    [
        ("open_clip:ViT-B-16:openai", Name("open_clip", "ViT-B-16", "openai")),
        ("open_clip:ViT-B-16:openai@336+tower", Name("open_clip", "ViT-B-16", "openai", 336, False)),
        ("timm:samvit_base_patch16.sa1b@224+tower", Name("timm", "samvit_base_patch16.sa1b", "", 224, False)),
        ("hf-hub:a/b@64", Name("hf-hub", "a/b", "", 64)),
        ("local-dir:/x/y z", Name("local-dir", "/x/y z")),
        ("resnet", None),
        ("tf:resnet", None),
        ("timm:", None),
    ],
)
def test_ids(id, name):
    assert Name.parse(id) == name


@pytest.mark.parametrize(
    ("id", "sentence"),
    [
        ("resnet9000", "no backbone 'resnet9000'"),
        ("siglip", "open_clip:ViT-SO400M-14-SigLIP-384:webli"),
        ("timm:resnet18x", "alike: resnet18"),
        ("open_clip:ViT-B-17:openai", "alike: ViT-B-16"),
        ("open_clip:ViT-B-16:nothing", "there are: openai"),
        ("open_clip:ViT-L-14:metaclip_fullcc", "ViT-L-14-quickgelu:metaclip_fullcc"),
        ("open_clip:RN50-quickgelu:openai+tower", "no projection"),
        ("hf-hub:nobody/nothing", "choose it under Model in the Gallery tab to download it"),
        ("local-dir:/nowhere", "must hold open_clip_config.json"),
    ],
)
def test_a_name_that_is_wrong_says_what_is_right(id, sentence):
    with pytest.raises(BackboneError, match=re.escape(sentence)):
        zoo.get(id)


SMALL = {"image_size": 64, "layers": 1, "width": 64, "patch_size": 16}
TEXT = {"context_length": 8, "vocab_size": 100, "width": 64, "heads": 1, "layers": 1}


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ("no JSON", "none of open_clip's"),
        ("[" * 100_000, "none of open_clip's"),
        ("[1]", "none of open_clip's"),
        ("{}", "none of open_clip's"),
        (json.dumps({"model_cfg": {"vision_cfg": SMALL, "text_cfg": [1]}}), "none of open_clip's"),
        (json.dumps({"model_cfg": [1]}), "none of open_clip's"),
        (json.dumps({"model_cfg": {"embed_dim": "wide", "vision_cfg": SMALL, "text_cfg": TEXT}}), "cannot be used"),
        (json.dumps({"model_cfg": {"vision_cfg": {"image_size": "large"}, "text_cfg": TEXT}}), "cannot be used"),
    ],
)
def test_a_folder_whose_configuration_is_none_says_so(tmp_path, config, why):
    (tmp_path / "open_clip_config.json").write_text(config)
    (tmp_path / "open_clip_model.safetensors").touch()
    with pytest.raises(BackboneError, match=f"{re.escape(str(tmp_path))}.*{why}"):
        zoo.get(f"local-dir:{tmp_path}")


def test_any_other_name_of_the_libraries_is_described_by_them():
    spec = zoo.get("timm:resnet18.a1_in1k")
    assert (spec.feature_dim, spec.parameters) == (512, 11_176_512)
    assert (spec.preprocessing.size, spec.preprocessing.crop_fraction) == (224, 0.95)
    larger = zoo.get("timm:resnet18.a1_in1k@288")
    assert larger.gigaflops == pytest.approx(spec.gigaflops * (288 / 224) ** 2, rel=0.05)
    clip = zoo.get("open_clip:RN50-quickgelu:openai")
    assert (clip.feature_dim, clip.preprocessing.fit, clip.text is not None) == (1024, "crop", True)


@pytest.mark.parametrize("id", ["open_clip:ViT-B-16:laion2b_s34b_b88k", "open_clip:convnext_base_w:laion2b_s13b_b82k"])
def test_the_tower_without_its_projection_is_as_wide_as_the_network(id):
    """768 and 1024 are the widths of ViT-B and of ConvNeXt-B; upstream's ``proj_layer: False``."""
    bare = zoo.get(f"{id}+tower")
    assert bare.feature_dim == {"ViT-B-16": 768, "convnext_base_w": 1024}[Name.parse(id).name]
    assert bare.text is None  # words live in the projected space


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> str:
    return f"local-dir:{tiny_clip.write(tmp_path_factory.mktemp('models') / 'tiny')}"


def test_a_folder_is_found_from_elsewhere_and_under_any_name(tmp_path, monkeypatch):
    tiny_clip.write(tmp_path / "tiny")
    tiny_clip.write(tmp_path / "tiny@64")
    monkeypatch.chdir(tmp_path)
    whole = f"local-dir:{tmp_path / 'tiny'}"
    assert zoo.absolute("raw:local-dir:tiny+tower") == f"raw:{whole}+tower"
    assert zoo.absolute(whole) == whole
    assert (zoo.absolute("raw:lite0"), zoo.absolute("mine")) == ("raw:lite0", "mine")
    assert zoo.get(f"{whole}@64").preprocessing.size == zoo.get(whole).preprocessing.size  # the folder of that name
    library = ["--library", str(tmp_path / "indexes")]
    write_folder(tmp_path / "pictures")
    assert main(["index", "pictures", "--gallery", "g", "--model", "raw:local-dir:tiny", *library]) == 0
    monkeypatch.chdir("/")
    assert main(["search", str(next((tmp_path / "pictures").rglob("*.png"))), "--gallery", "g", *library]) == 0


def test_a_folder_that_a_gallery_knows_by_another_path_is_the_same_model(tmp_path, monkeypatch):
    """As galleries of before names were made whole know it, and after the folder was moved."""
    tiny_clip.write(tmp_path / "tiny")
    write_folder(tmp_path / "pictures")
    monkeypatch.chdir(tmp_path)
    galleries = Library(tmp_path / "indexes")
    with Gallery.create(galleries.folder / "g", Embedder.load("raw:local-dir:tiny")).write():
        pass  # as an earlier version made it
    library = ["--library", str(galleries.folder)]
    picture = str(next((tmp_path / "pictures").rglob("*.png")))
    assert main(["index", "pictures", "--gallery", "g", "--model", "raw:local-dir:tiny", *library]) == 0
    torch.save(torch.eye(8, Embedder.load("raw:local-dir:tiny").backbone.feature_dim), "layer.pth")
    assert main(["import", "layer.pth", "--save", "M", "--backbone", "local-dir:tiny", *library]) == 0
    assert ModelConfig.read(galleries.models / "M" / "config.json").backbone == f"local-dir:{tmp_path / 'tiny'}"
    assert main(["use", "g", "M", *library]) == 0
    assert main(["pack", "g", "--out", "g.zip", *library]) == main(["unpack", "g.zip", "--gallery", "h", *library]) == 0
    (tmp_path / "tiny").rename(tmp_path / "moved")
    assert main(["search", picture, "--gallery", "g", "--model", "raw:local-dir:moved", *library]) == 0
    assert main(["search", picture, "--gallery", "g", "--model", "raw:local-dir:moved+tower", *library]) == 1
    assert main(["use", "g", "raw:local-dir:moved", *library]) == 0
    assert Library(galleries.folder).get("g").config.backbone == f"local-dir:{tmp_path / 'moved'}"


def test_a_backbone_is_a_model_with_and_without_raw(tiny):
    assert Embedder.load("lite0").name == Embedder.load("raw:lite0").name == "raw:lite0"
    check_model("lite0")
    assert main(["download", "raw:lite0"]) == 0
    model = Embedder.load(f"raw:{tiny}")
    assert model.embed_text("a red car").shape == (1, model.backbone.feature_dim)
    np.testing.assert_array_equal(model.embed_text("a red car"), model.embed_text(["a red car"]))
    assert model.embed_text([]).shape == (0, model.backbone.feature_dim)


def test_features_are_the_librarys_own(tiny, photographs):
    """Decoded, fitted, normalised, embedded by open_clip alone, from the same folder."""
    import open_clip

    embedder = Embedder.load(f"raw:{tiny}", engine="torch")
    model, _, transform = open_clip.create_model_and_transforms(tiny)
    with torch.inference_mode():
        expected = model.eval().encode_image(torch.stack([transform(image) for image in photographs]), normalize=True)
    ours = embedder.embed(photographs)
    assert (ours * expected.numpy()).sum(1).min() > 0.999


@pytest.mark.parametrize("id", ["{tiny}", "{tiny}+tower", "{tiny}@48"])
def test_engines_agree_on_transformers(id, tiny, photographs):
    spec = zoo.get(id.format(tiny=tiny))
    pixels = Embedder.raw(spec.id).pixels(photographs)
    found = {name: make(spec).features(pixels) for name, make in engines.ENGINES.items()}
    with torch.inference_mode():
        expected = backbones.build(spec)(torch.from_numpy(pixels)).numpy()
    for name, features in found.items():
        assert (features * expected).sum(1).min() > 0.999, name


@pytest.mark.parametrize("architecture", ["vit_tiny_patch16_224", "vit_tiny_patch16_dinov3_qkvb", "convnext_atto"])
def test_engines_agree_on_small_networks_of_timm(architecture, photographs, tmp_path):
    """With random weights; those that transformers of DINOv2's and v3's kind are made of."""
    import timm
    from safetensors.torch import save_file

    torch.manual_seed(0)
    network = timm.create_model(architecture, num_classes=0).eval()
    save_file(network.state_dict(), tmp_path / "model.safetensors")
    dim = network.num_features
    size = timm.get_pretrained_cfg(architecture).input_size[-1]
    spec = replace(
        zoo.get("timm:vit_small_patch16_dinov3.lvd1689m"),
        id=f"timm:{architecture}", architecture=architecture, hub_file=None,
        weights_files=lambda: (tmp_path / "model.safetensors",), pools=(backbones.MapPool("tower", dim),),
        stages=lambda file: LateTower(towers.timm_images(architecture, file, None, True), size),
    )  # fmt: skip
    spec = replace(spec, preprocessing=replace(spec.preprocessing, size=size))

    pixels = np.stack([spec.preprocessing.to_input(image) for image in photographs[:2]])
    mean, std = (np.array(values, np.float32) for values in (spec.preprocessing.mean, spec.preprocessing.std))
    batch = torch.from_numpy(((pixels / 255 - mean) / std).astype(np.float32)).permute(0, 3, 1, 2)
    with torch.inference_mode():
        expected = torch.nn.functional.normalize(network(batch), dim=1).numpy()
    for name, make in engines.ENGINES.items():
        assert (make(spec).bulk(pixels) * expected).sum(1).min() > 0.999, name
    _check_its_late_blocks(backbones.build(spec), torch.from_numpy(pixels), torch.from_numpy(expected))


def _check_its_late_blocks(network, pixels: torch.Tensor, expected: torch.Tensor) -> None:
    """A tower gives the same in two parts, and what is behind the first learns alone."""
    maps = network.early(pixels, 2)
    torch.testing.assert_close(network.late(maps, 2), expected, rtol=1e-3, atol=1e-4)
    names = list(dict(network.stages.named_parameters()))
    learning = network.learning(2)
    assert 0 < len(learning) < len(names) / 2
    assert not any("patch_embed" in name or "stem" in name for name in learning)
    assert not any(weight.requires_grad for weight in network.parameters())
    with pytest.raises(towers.TowerError, match="at least one learns"):
        network.early(pixels, 99)


@pytest.mark.parametrize("vision", [None, tiny_clip.TIMM_TOWER], ids=["open_clip's tower", "timm's tower"])
def test_weights_are_loaded_for_another_image_size(vision, tmp_path, photographs):
    folder = tiny_clip.write(tmp_path / "model", vision=vision)
    usual, larger = (Embedder.load(f"raw:local-dir:{folder}{size}", engine="torch") for size in ("", "@256"))
    assert larger.backbone.preprocessing.size == 256
    assert larger.embed(photographs).shape == usual.embed(photographs).shape
    assert larger.backbone.weight_hash() != usual.backbone.weight_hash()


@pytest.mark.parametrize("vision", [None, tiny_clip.TIMM_TOWER], ids=["open_clip's tower", "timm's tower"])
@pytest.mark.parametrize("damage", ["half", "rubbish", "pickle", "checkpoint"])
def test_weights_that_cannot_be_used_say_so_and_run_nothing(vision, damage, tmp_path):
    folder, sprung = tiny_clip.write(tmp_path / "model", vision=vision), tmp_path / "sprung"
    sound = folder / "open_clip_model.safetensors"
    if damage in ("half", "rubbish"):
        sound.write_bytes(sound.read_bytes()[:5000] if damage == "half" else b"rubbish")
    else:
        sound.unlink()
        (folder / "open_clip_pytorch_model.bin").write_bytes(trap(sprung))
    if damage == "checkpoint":
        torch.save({"state_dict": torch.zeros(3), "more": Path}, folder / "open_clip_pytorch_model.bin")
    with pytest.raises(BackboneError, match="cannot be used"):
        Embedder.load(f"raw:local-dir:{folder}", engine="torch").embed([tmp_path / "never read"])
    assert not sprung.exists()


def test_sams_weights_are_loaded_for_the_papers_size(tmp_path):
    """They are for 1024 pixels, and the paper runs it at 224."""
    import timm
    from safetensors.torch import save_file

    network = timm.create_model("samvit_base_patch16.sa1b", num_classes=0)
    save_file(network.state_dict(), tmp_path / "model.safetensors")
    tower = towers.timm_images("samvit_base_patch16.sa1b", tmp_path / "model.safetensors", 224, whole=False)
    with torch.inference_mode():
        assert tower(torch.zeros(1, 3, 224, 224)).shape == (1, 768)


def test_sixteen_bits_keep_a_transformers_features(tiny, photographs):
    """What GPUs compute in, through the same code on the CPU."""
    spec = zoo.get(tiny)
    pixels = Embedder.raw(spec.id).pixels(photographs)
    exact, low = (engines.TorchEngine(spec, "cpu", precision).features(pixels) for precision in ("float32", "bfloat16"))
    assert low.dtype == np.float32
    assert not np.array_equal(exact, low)
    assert np.allclose(np.linalg.norm(low, axis=1), 1, atol=1e-5)
    assert (exact * low).sum(1).min() > 0.999


def test_a_second_backbone_is_made_while_the_first_infers(tiny, photographs):
    """OpenVINO can deadlock there; a process of its own, so that it fails and does not hang."""
    code = f"""
import threading
import numpy as np
import open_clip
from unifex.models import engines, zoo
first = engines.load_engine(zoo.get("lite0"), "openvino")
going = threading.Event()
def infer():
    while not going.is_set():
        first.bulk(np.zeros((4, 224, 224, 3), np.uint8))
threads = [threading.Thread(target=infer) for _ in range(4)]
for thread in threads: thread.start()
for size in (32, 40, 48, 56):
    second = engines.load_engine(zoo.get("{tiny}@" + str(size)), "openvino")
    second.features(np.zeros((1, size, size, 3), np.uint8))
going.set()
for thread in threads: thread.join()
print("done")
"""
    done = forked.run("-c", code)
    assert done.stdout.strip() == "done", done.stderr


def test_words_and_images_share_a_space(tiny, photographs):
    import open_clip

    spec = zoo.get(tiny)
    words = spec.text(*spec.weights_files()).embed(["a cat", "a cup of coffee"])
    model = open_clip.create_model(tiny).eval()
    with torch.inference_mode():
        expected = model.encode_text(open_clip.get_tokenizer(tiny)(["a cat", "a cup of coffee"]), normalize=True)
    assert words.shape == (2, spec.feature_dim)
    assert np.abs(words - expected.numpy()).max() < 1e-5
