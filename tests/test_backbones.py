from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.support.timm_lite import classifier
from unifex.models import backbones, graphs
from unifex.models.backbones import BackboneError
from unifex.models.efficientnet_lite import LITE0, LITE0_LITE2
from unifex.models.embedder import Embedder
from unifex.models.lite_network import LiteStages
from unifex.models.lite_weights import NETWORKS


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_network_is_timms(network):
    """Of pictures of odd sides, too, where TensorFlow pads unevenly; tensors are called as timm calls them."""
    theirs, ours = classifier(network), LiteStages(network.widths, network.repeats).eval()
    state = network.state(network.weights())
    ours.load_state_dict({name: torch.from_numpy(tensor) for name, tensor in state.items()})
    names = {"conv_stem": "stem.0", "bn1": "stem.1", "conv_head": "head.0", "bn2": "head.1"}
    renamed = {
        names.get(layer := name.rpartition(".")[0], layer) + "." + name.rpartition(".")[2]: tensor
        for name, tensor in theirs.state_dict().items() if not name.startswith("classifier.")
    }  # fmt: skip
    assert list(ours.state_dict()) == list(renamed)
    assert all(torch.equal(ours.state_dict()[name], tensor) for name, tensor in renamed.items())
    rng = torch.Generator().manual_seed(0)
    for side in ((224, 224), (260, 260), (97, 130), (33, 64)):
        batch = torch.randn((2, 3, *side), generator=rng)
        with torch.inference_mode():
            found = ours.head(ours.blocks(ours.stem(batch)))
            assert torch.allclose(found, theirs.forward_features(batch), atol=1e-4)


@pytest.mark.parametrize(("network", "spec"), [("lite0", LITE0), ("lite2", LITE0_LITE2)])
def test_the_weights_recognise_real_photographs(photographs, network, spec):
    """ImageNet classes: 281-285 are cats, 292 is the tiger, 967 espresso, 698 palace; a dahlia, which is none of
    them, is taken for a daisy (985) or a honeycomb (599)."""
    recognised = classifier(NETWORKS[network])
    cat, coffee, _, palace, flower = photographs
    found = []
    for photograph in (cat, coffee, palace, flower):
        pixels = replace(spec.preprocessing, fit="crop").to_input(photograph)
        batch = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
        with torch.inference_mode():
            found.append(set(recognised(batch).topk(1).indices[0].tolist()))
    for classes, one_of in zip(found, [{281, 282, 283, 284, 285}, {967}, {698}, {985, 599}], strict=True):
        assert classes & one_of


@pytest.mark.parametrize("spec", [LITE0, LITE0_LITE2], ids=lambda spec: spec.id)
def test_spec_tells_the_truth(photographs, spec):
    network = backbones.build(spec)
    assert not network.training
    assert sum(parameter.numel() for parameter in network.parameters()) == spec.parameters
    pixels = torch.from_numpy(spec.preprocessing.to_input(photographs[0]).copy())[None]
    with torch.inference_mode():
        features = network(pixels)
    assert features.shape == (1, spec.feature_dim)
    norms = [float(part.norm()) for part in features[0].split([pool.channels for pool in spec.pools])]
    assert norms == pytest.approx([pool.weight for pool in spec.pools], abs=1e-4)


@pytest.mark.parametrize("spec", [LITE0, LITE0_LITE2], ids=lambda spec: spec.id)
def test_pooling_against_a_slow_computation(photographs, spec):
    """Generalised mean over positions, normalised, weighted, concatenated: with loops, from the stages' own maps."""
    network = backbones.build(spec)
    pixels = spec.preprocessing.to_input(photographs[1])
    with torch.inference_mode():
        features = network(torch.from_numpy(pixels.copy())[None])[0].numpy()
        maps = network.stages((torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255 - 0.5) / 0.5)
    expected = []
    for pool in spec.pools:
        channels = []
        for channel in maps[pool.stage][0].numpy().astype(np.float64):
            values = [max(value, 1e-6) if pool.power != 1 else value for value in channel.flatten()]
            channels.append((sum(value**pool.power for value in values) / len(values)) ** (1 / pool.power))
        length = sum(value**2 for value in channels) ** 0.5
        expected += [pool.weight * value / length for value in channels]
    assert np.abs(features - expected).max() < 1e-5


@pytest.mark.parametrize("model", ["raw:lite0", "unifex-lite-4", "unifex-base-3"])
def test_the_graph_that_is_drawn_is_the_one_that_is_traced(photographs, model):
    """Of the plain backbone, and of the adapted ones; in the engine of either kind."""
    spec = Embedder.load(model).backbone
    pixels = np.stack([spec.preprocessing.to_input(photograph) for photograph in photographs])
    core, found = graphs.openvino_module().Core(), []
    for graph in (spec.graph(spec), graphs.traced(backbones.build(spec), spec.preprocessing.size)):
        assert graph.input(0).partial_shape == graphs.openvino_module().PartialShape([-1, *pixels.shape[1:]])
        found.append(core.compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(pixels)[0])
    assert np.abs(found[0] - found[1]).max() < 1e-6
    with torch.inference_mode():
        assert np.abs(found[0] - backbones.build(spec)(torch.from_numpy(pixels)).numpy()).max() < 1e-5


def test_damaged_weights_name_the_remedy(tmp_path):
    network = NETWORKS["lite0"]
    damaged = tmp_path / "weights.pth"
    damaged.write_bytes(network.weights().read_bytes()[:-1000])
    with pytest.raises(BackboneError, match=r"weights\.pth is no checkpoint of torch.*--force-reinstall eff"):
        network.state(damaged)
    with pytest.raises(BackboneError, match=r"No such file.*--force-reinstall"):
        network.state(tmp_path / "none.pth")


def test_hash_depends_on_the_recipe():

    spec = LITE0
    other = replace(spec, preprocessing=replace(spec.preprocessing, fit="squash"))
    assert spec.weight_hash() == replace(spec, title="another title").weight_hash()
    assert spec.weight_hash() != other.weight_hash()
