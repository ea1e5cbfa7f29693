"""The paper's experiment on a miniature M4D with a tiny backbone: every step, stopped and gone on."""

import numpy as np
import torch

from benchmarks import reproduce_paper
from tests.support import tiny_clip
from tests.support.drawing import LABELS, encoded, picture
from unifex.models.embedder import Embedder

FOLDERS = (
    "products-10k/train",
    "google_landmark_recognition_2021/train",
    "deepfashion/train",
    "stanford_cars/cars_train",
)


def write_m4d(root):
    """Four sources of one class each, eight images a class."""
    lines = ["img_path,label"]
    for number, (folder, label) in enumerate(zip(FOLDERS, LABELS)):
        (root / folder).mkdir(parents=True)
        for view in range(8):
            (root / folder / f"{view}.jpg").write_bytes(encoded(picture(label, view), "JPEG", quality=95))
            lines.append(f"{folder}/{view}.jpg,{number}")
    (root / "m4d-35k_train.csv").write_text("\n".join(lines))
    return root


def test_from_images_to_a_submission(tmp_path, capsys):
    data, work = write_m4d(tmp_path / "data"), tmp_path / "work"
    backbone = f"local-dir:{tiny_clip.write(tmp_path / 'tiny')}"
    asked = [str(data), "--work", str(work), "--backbone", backbone, "--epochs", "2"]
    reproduce_paper.main([*asked, "--forecast"])
    assert "32 images: about" in capsys.readouterr().out
    assert not work.exists()
    reproduce_paper.main(asked)
    out, progress = capsys.readouterr()
    assert "32 items, 0 could not be read" in out
    assert "epoch 2: 2 of 2" in progress
    model = Embedder.load("paper-64", models=work / "models")
    pixels = np.asarray(picture("signs/cross", 3), np.float32).transpose(2, 0, 1)[None]
    found = torch.jit.load(work / "submission.pt")(torch.from_numpy(pixels)).numpy()
    assert found.shape == (1, 64)
    assert (found * model.embed([picture("signs/cross", 3)], 64)).sum() > 0.999
    weights = model.neck.weight.copy()
    reproduce_paper.main(asked)  # everything is there: nothing is trained again
    assert "epoch" not in capsys.readouterr().err
    assert np.array_equal(Embedder.load("paper-64", models=work / "models").neck.weight, weights)
