import contextlib
import os
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unifex.models.torch_checkpoint import read_checkpoint

NUMBERS = torch.arange(720)


@st.composite
def tensors(draw) -> torch.Tensor:
    """Views of one storage or of several: turned, cut, spread, of one number or of none."""
    numbers = draw(st.sampled_from([NUMBERS, NUMBERS.float(), NUMBERS.float() / 7]))
    shape = draw(st.sampled_from([(720,), (2, 360), (3, 4, 60), (2, 3, 4, 30)]))
    found = numbers.clone() if draw(st.booleans()) else numbers
    found = found.view(shape).permute(*draw(st.permutations(range(len(shape)))))
    for dim in range(found.ndim):
        first = draw(st.integers(0, found.shape[dim]))
        found = found.narrow(dim, first, draw(st.integers(0, found.shape[dim] - first)))
    if draw(st.booleans()) and found.ndim:
        found = found.unsqueeze(0).expand(3, *found.shape)
    return found.flatten()[0] if draw(st.booleans()) and found.numel() else found


@given(held=st.dictionaries(st.text(min_size=1, max_size=5), tensors(), min_size=1, max_size=5))
def test_it_reads_what_torch_wrote(tmp_path_factory, held):
    path = tmp_path_factory.mktemp("checkpoint") / "weights.pth"
    torch.save(held, path, _use_new_zipfile_serialization=False)
    found = read_checkpoint(path)
    assert list(found) == list(held)
    for name, tensor in held.items():
        assert found[name].dtype == tensor.numpy().dtype
        assert np.array_equal(found[name], tensor.numpy())
        assert found[name].flags["C_CONTIGUOUS"]
        assert found[name].flags["WRITEABLE"]


@given(data=st.data())
def test_a_damaged_one_is_refused_or_read(tmp_path_factory, data):
    """Whatever bytes are others, nothing but ValueError comes of it."""
    path = tmp_path_factory.mktemp("checkpoint") / "weights.pth"
    torch.save({"a": NUMBERS.float().view(8, 90).T}, path, _use_new_zipfile_serialization=False)
    whole = bytearray(path.read_bytes())
    for place in data.draw(st.lists(st.integers(0, 700), min_size=1, max_size=4)):
        whole[place] = data.draw(st.integers(0, 255))
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole)) | st.just(len(whole)))])
    with contextlib.suppress(ValueError):
        assert all(isinstance(tensor, np.ndarray) for tensor in read_checkpoint(path).values())


class Harmful:
    def __reduce__(self):
        return os.mkdir, ("harm",)


def test_nothing_but_tensors_is_made_of_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "weights.pth"
    torch.save({"a": torch.zeros(2), "b": Harmful()}, path, _use_new_zipfile_serialization=False)
    with pytest.raises(ValueError, match=f"{os.mkdir.__module__}.mkdir"):
        read_checkpoint(path)
    path.write_bytes(pickle.dumps(Harmful()) * 5)
    with pytest.raises(ValueError, match="mkdir"):
        read_checkpoint(path)
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("kept", [{"a": torch.zeros(2).half()}, [torch.zeros(2)], torch.zeros(2), {"a": 1}, {}, 1])
def test_what_holds_something_else_is_refused(tmp_path, kept):
    path = tmp_path / "weights.pth"
    torch.save(kept, path, _use_new_zipfile_serialization=False)
    if kept == {}:
        assert read_checkpoint(path) == {}
    else:
        with pytest.raises(ValueError, match="is no checkpoint of torch's"):
            read_checkpoint(path)


def test_a_newer_checkpoint_is_refused(tmp_path):
    torch.save({"a": torch.zeros(2)}, tmp_path / "weights.pth")
    with pytest.raises(ValueError, match="is no checkpoint of torch's"):
        read_checkpoint(tmp_path / "weights.pth")
