"""Embedding in parts and on Ray: real clusters on this machine, a worker killed, S3 as moto serves it."""

import io
import json
import os
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.support.drawing import encoded, picture, write_folder
from tests.support.galleries import run_index
from unifex.cli.main import main
from unifex.core.progress import finish
from unifex.data.item import Item, Options, Skipped, SourceError
from unifex.gallery.gallery import Gallery
from unifex.gallery.library import Library
from unifex.models.embedder import Embedder
from unifex.scale import partitions, ray_embedding

pytestmark = pytest.mark.scale


def workers() -> list[int]:
    """Process numbers of Ray's actors."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "cmdline").read_bytes().startswith(b"ray::MapWorker"):
                found.append(int(entry.name))
        except OSError:  # it has ended
            continue
    return found


def embeddings_by_path(gallery: Gallery) -> dict[str, np.ndarray]:
    current = gallery.snapshot()
    return {record.path: e for record, e in zip(gallery.records(current.columns.ids), current.embeddings)}


@pytest.mark.slow
def test_a_worker_dies_and_the_gallery_is_as_indexed_here(folder, embedder, tmp_path, capsys):
    for view in range(200):
        (folder / "many" / "disc").mkdir(parents=True, exist_ok=True)
        picture("shapes/disc", view).save(folder / "many" / "disc" / f"{view}.jpg")
    (folder / "many" / "notes.txt").write_text("no image")
    (folder / "many" / "broken.jpg").write_bytes(encoded(picture("shapes/disc", 0), "JPEG")[:300])
    out = str(tmp_path / "shards")
    embedder.embed([picture("shapes/disc", 0)])  # its engine is there, and stays here
    killed = []

    def kill(step):
        if step.done == 2:
            killed.extend(workers())
            for process in killed:
                os.kill(process, signal.SIGKILL)

    written = finish(ray_embedding.embed(str(folder), out, embedder, files_per_shard=20), kill)
    assert len(killed) == 1
    assert (written.images, written.kept, written.shards) == (224, 0, 12)
    assert sorted(refused.path for refused in written.failed) == ["many/broken.jpg", "many/notes.txt"]

    table = tmp_path / "shards" / "metadata" / "metadata_00003.parquet"
    before = table.stat().st_mtime_ns, (tmp_path / "shards/metadata/metadata_00004.parquet").stat().st_mtime_ns
    table.unlink()
    again = finish(ray_embedding.embed(str(folder), out, embedder, files_per_shard=20))
    assert (again.kept, again.images) == (11, 224)
    assert table.stat().st_mtime_ns > before[0]
    assert (tmp_path / "shards/metadata/metadata_00004.parquet").stat().st_mtime_ns == before[1]

    arguments = ["index", "--from-embeddings", out, "--gallery", "far", "--library", str(tmp_path / "indexes")]
    assert main(arguments) == 0
    assert "224 rows" in capsys.readouterr().out
    far = Library(tmp_path / "indexes").get("far")
    here = Gallery.create(tmp_path / "indexes" / "here", embedder)
    run_index(here, folder)
    expected, found = embeddings_by_path(here), embeddings_by_path(far)
    assert found.keys() == expected.keys()
    assert max(np.abs(found[path] - expected[path]).max() for path in expected) <= 1e-5
    record, twin = far.item_at("many/disc/7.jpg"), here.item_at("many/disc/7.jpg")
    assert (record.label, record.domain, record.sha256, record.width) == ("disc", "many", twin.sha256, twin.width)
    assert far.thumbnail(record.sha256) == here.thumbnail(twin.sha256)
    assert far.original(record) == (folder / "many/disc/7.jpg").read_bytes()

    (folder / "many" / "new.png").write_bytes(encoded(picture("shapes/disc", 0)))
    with pytest.raises(SourceError, match=r"another plan .* empty folder"):
        finish(ray_embedding.embed(str(folder), out, embedder, files_per_shard=20))


@pytest.mark.slow
def test_on_a_cluster_by_its_address(folder, embedder, tmp_path):
    import ray

    cluster = ray.init(address="local", include_dashboard=False, log_to_driver=False)
    address = cluster.address_info["address"]
    command = ["embed", str(folder), "--engine", "ray", "--out", str(tmp_path / "out"), "--dim", "64"]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "unifex", *command, "--address", address, "--json"], capture_output=True, text=True
        )
    finally:
        ray.shutdown()
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["images"] == 24
    array = np.load(tmp_path / "out" / "img_emb" / "img_emb_00000.npy")
    paths = parquet.read_table(tmp_path / "out" / "metadata" / "metadata_00000.parquet")["image_path"].to_pylist()
    assert main(["embed", str(folder), "--out", str(tmp_path / "here.npz"), "--dim", "64"]) == 0
    here = np.load(tmp_path / "here.npz")
    expected = {str(folder / path): row for path, row in zip(here["path"], here["embedding"])}
    assert np.abs(array - np.array([expected[path] for path in paths])).max() <= 1e-5


def test_no_cluster_there(folder, tmp_path, capsys):
    out = ["--out", str(tmp_path / "out")]
    assert main(["embed", str(folder), "--engine", "ray", "--address", "127.0.0.1:1", *out]) == 1
    assert "no Ray cluster at 127.0.0.1:1" in capsys.readouterr().err


# --- parts, as a worker reads them ---------------------------------------------------------------------------------


def written(spec: str, out: Path, embedder: Embedder) -> tuple[list[dict], list[Skipped]]:
    """What a worker writes of all parts of a source: rows of the tables, and refusals."""
    worker = ray_embedding.Worker(str(out), embedder, None)
    plan = partitions.plan(spec)
    for shard in plan.shards:
        worker.write(shard)
    tables = [parquet.read_table(path).to_pylist() for path in sorted(out.glob("metadata/*.parquet"))]
    said = [json.loads(path.read_bytes())["refused"] for path in sorted(out.glob("refused/*.json"))]
    return [row for table in tables for row in table], [Skipped(*one) for shard in said for one in shard]


def add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def webdataset(path: Path) -> None:
    with tarfile.open(path, "w") as tar:
        add(tar, "cars/audi/000.jpg", encoded(picture("shapes/disc", 0), "JPEG"))
        add(tar, "0001.png", encoded(picture("shapes/disc", 1)))
        add(tar, "0001.cls", b"7")
        add(tar, "0002.json", json.dumps({"label": "mug", "domain": "pack", "split": "query", "x": [1]}).encode())
        add(tar, "0002.jpeg", encoded(picture("shapes/disc", 2), "JPEG"))
        add(tar, "0003.txt", b"a caption alone")
        add(tar, "0004.jpg", b"no image at all")
        add(tar, "0005.json", b"[]")
        add(tar, "0005.jpg", encoded(picture("shapes/disc", 5), "JPEG"))


def test_webdataset_shards(embedder, tmp_path):
    webdataset(tmp_path / "000.tar")
    rows, refused = written(str(tmp_path), tmp_path / "out", embedder)
    said = [(row["path"], row["domain"], row["label"], row["split"]) for row in rows]
    assert said == [
        ("cars/audi/000.jpg", "cars", "audi", ""), ("0001.png", "", "7", ""), ("0002.jpeg", "pack", "mug", "query")
    ]  # fmt: skip
    assert {(one.path, one.reason) for one in refused} >= {
        ("000.tar/0003", "no image in this sample"), ("000.tar/0005.json", "not a JSON object")
    }  # fmt: skip
    assert len(refused) == 3
    features = np.load(tmp_path / "out" / "img_emb" / "img_emb_00000.npy")
    expected = embedder.features([encoded(picture("shapes/disc", 1))])
    assert np.array_equal(features[1], expected[0].astype(np.float16))


def test_a_tar_that_ends_too_early_keeps_what_came_before(embedder, tmp_path):
    webdataset(tmp_path / "whole.tar")
    (tmp_path / "cut").mkdir()
    data = (tmp_path / "whole.tar").read_bytes()
    (tmp_path / "cut" / "cut.tar").write_bytes(data[: data.index(b"0002.jpeg") + 600])
    rows, refused = written(str(tmp_path / "cut"), tmp_path / "out", embedder)
    assert len(rows) == 2
    assert any("damaged after the images above" in one.reason for one in refused)


def test_parquet_tables(embedder, tmp_path):
    pictures = [encoded(picture("signs/cross", view)) for view in range(3)]
    cells = [
        {"bytes": pictures[0], "path": "a.png"},
        {"bytes": pictures[1], "path": None},
        {"bytes": None, "path": "x"},
    ]
    parquet.write_table(pa.table({"image": cells, "label": [3, None, 1]}), tmp_path / "a.parquet", row_group_size=2)
    named = pa.table({"jpg": pictures[2:], "path": ["signs/2.png"], "domain": ["signs"], "split": ["index"]})
    parquet.write_table(named, tmp_path / "b.parquet")
    parquet.write_table(pa.table({"nothing": [1]}), tmp_path / "c.parquet")
    rows, refused = written(str(tmp_path), tmp_path / "out", embedder)
    said = [(row["path"], row["domain"], row["label"], row["split"]) for row in rows]
    assert said == [("a.png", "", "3", ""), ("a.parquet/0/1", "", "", ""), ("signs/2.png", "signs", "", "index")]
    assert [one.path for one in refused] == ["a.parquet/1/0", "c.parquet"]
    assert refused[0].reason == "no image bytes in this row"
    assert refused[1].reason == "has no column image or img or bytes or jpg or png (found: ['nothing'])"


def test_tables_of_the_hub_name_their_classes(embedder, tmp_path):
    import datasets

    pictures = [{"bytes": encoded(picture("signs/cross", view)), "path": None} for view in range(4)]
    kinds = {"photo": datasets.Image(), "kind": datasets.ClassLabel(names=["cat", "dog"])}
    table = datasets.Dataset.from_dict({"photo": pictures, "kind": [0, 1, -1, None]}, features=datasets.Features(kinds))
    table.to_parquet(str(tmp_path / "a.parquet"))
    table.rename_columns({"photo": "image", "kind": "label"}).to_parquet(str(tmp_path / "b.parquet"))
    rows, refused = written(str(tmp_path), tmp_path / "out", embedder)
    assert [row["label"] for row in rows] == ["cat", "dog", "", ""] * 2
    assert not refused


def test_every_picture_of_a_sample_is_read(embedder, tmp_path):
    """Photographs have dots in their names, and a picture may be there in two forms."""
    names = ("IMG.2020.01.png", "IMG.2020.02.png", "IMG.2020.03.png", "a.png", "a.jpg", "b.png", "b.PNG")
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for view, name in enumerate(names):
            add(tar, f"cat/{name}", encoded(picture("signs/cross", view)))
        add(tar, "cat/b.cls", b"tom")
    rows, refused = written(str(tmp_path / "a.tar"), tmp_path / "out", embedder)
    assert [row["path"] for row in rows] == [f"cat/{name}" for name in names]
    assert [row["label"] for row in rows] == ["cat"] * 5 + ["tom"] * 2
    assert not refused


def test_pictures_beside_archives_are_read_too(embedder, tmp_path):
    source = tmp_path / "source"
    write_folder(source)
    webdataset(source / "000.tar")
    rows, refused = written(str(source), tmp_path / "out", embedder)
    assert len(rows) == 3 + 24
    assert len(refused) == 3  # of the archive, which itself is none
    alone, _ = written(str(source / "000.tar"), tmp_path / "alone", embedder)
    assert [row["path"] for row in alone] == [row["path"] for row in rows[:3]]


def test_archives_in_a_folder_to_exclude_are_none(embedder, tmp_path):
    for folder in ("wanted", "aside/deep"):
        (tmp_path / "source" / folder).mkdir(parents=True)
        webdataset(tmp_path / "source" / folder / "000.tar")
    shards = partitions.plan(str(tmp_path / "source"), Options(exclude=("aside",))).shards
    assert [Path(shard.url).parent.name for shard in shards] == ["wanted"]


def test_pictures_that_changed_are_not_there_already(embedder, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(ray_embedding, "_results", lambda shards, out, model, dim, _: (
        ray_embedding.Worker(out, model, dim).write(shard) for shard in shards
    ))  # fmt: skip
    out = tmp_path / "out"
    again = lambda: finish(ray_embedding.embed(str(folder), str(out), embedder))  # noqa: E731
    assert (again().kept, again().kept) == (0, 1)
    plan = json.loads((out / "plan.json").read_bytes())
    (out / "plan.json").write_text(json.dumps({name: plan[name] for name in plan if name != "state"}))
    assert again().kept == 1  # what an earlier version began
    (out / "plan.json").write_text(json.dumps(plan))
    next(folder.rglob("*.png")).write_bytes(encoded(picture("shapes/disc", 77)))
    with pytest.raises(SourceError, match="pictures that have changed since"):
        again()


def test_labels_and_splits_are_read_as_those_of_a_csv(embedder, tmp_path):
    data = encoded(picture("signs/cross", 0))
    said = [(" dog ", "Test"), ("cat", "gallery"), ("cat", "someday"), ("c\x00t", ""), (3, None)]
    rows = [{"image": data, "path": f"{at}.png", "label": str(a), "split": b} for at, (a, b) in enumerate(said)]
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    with tarfile.open(tmp_path / "b.tar", "w") as tar:
        for at, (label, split) in enumerate(said):
            add(tar, f"{at}.png", data)
            add(tar, f"{at}.json", json.dumps({"label": label, "split": split}).encode())
    rows, refused = written(str(tmp_path), tmp_path / "out", embedder)
    expected = [("dog", "query"), ("cat", "index"), ("3", "")]
    assert [(row["label"], row["split"]) for row in rows] == expected * 2
    assert [one.path for one in refused] == ["a.parquet/0/2", "a.parquet/0/3", "b.tar/2", "b.tar/3"]
    assert ["split 'someday' is none of" in one.reason for one in refused] == [True, False] * 2


@pytest.fixture(scope="module")
def s3():
    """An S3 of one's own; credentials and address are in the environment, where s3fs looks for them."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    settings = {
        "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
    }  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        import s3fs

        files = s3fs.S3FileSystem()
        files.mkdir("photos")
        yield files
    server.stop()


def test_images_and_shards_on_s3(s3, embedder, tmp_path, monkeypatch):
    for view in range(3):
        s3.pipe_file(f"photos/in/signs/cross/{view}.png", encoded(picture("signs/cross", view)))
    s3.pipe_file("photos/in/readme.md", b"text")
    plan = partitions.plan("s3://photos/in")
    assert [one.path for one in plan.refused] == ["readme.md"]
    monkeypatch.setattr(ray_embedding, "_results", lambda shards, out, *_: (
        ray_embedding.Worker(out, embedder, None).write(shard) for shard in shards
    ))  # fmt: skip
    outcome = finish(ray_embedding.embed("s3://photos/in", "s3://photos/out", embedder))
    assert (outcome.images, len(outcome.failed)) == (3, 1)
    with s3.open("photos/out/metadata/metadata_00000.parquet", "rb") as file:
        rows = parquet.read_table(file).to_pylist()
    assert [(row["image_path"], row["label"]) for row in rows][1] == ("s3://photos/in/signs/cross/1.png", "cross")
    webdataset(tmp_path / "1.tar")
    s3.put_file(str(tmp_path / "1.tar"), "photos/tars/1.tar")
    shards = partitions.plan("s3://photos/tars").shards
    assert len([item for shard in shards for item in shard if isinstance(item, Item)]) == 4
    assert embedder.embed([partitions.read_url("s3://photos/in/signs/cross/0.png")]).shape == (1, 256)


@pytest.mark.slow
def test_a_store_that_does_not_answer_refuses_no_image(s3, embedder, tmp_path, monkeypatch):
    shard = partitions.Shard(0, "files", rows=(("s3://photos/a.png", "a.png", "", "", ""),))
    s3.pipe_file("photos/a.png", b"")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    s3.clear_instance_cache()
    with pytest.raises(partitions.Unreachable, match=r"photos/a\.png"):
        ray_embedding.Worker(str(tmp_path), embedder, None).write(shard)
    assert not list(tmp_path.glob("metadata/*"))


@pytest.mark.parametrize(("spec", "said"), [
    ("nowhere", "does not exist"), ("odd://x/y", "odd://x/y"), ("demo:", "cannot be read in parts"),
])  # fmt: skip
def test_sources_that_have_no_parts(spec, said):
    with pytest.raises(SourceError, match=said):
        partitions.plan(spec)


def test_shards_of_another_backbone_or_of_embeddings_make_no_gallery(embedder, folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(ray_embedding, "_results", lambda shards, out, model, dim, _: (
        ray_embedding.Worker(out, model, dim).write(shard) for shard in shards
    ))  # fmt: skip
    out = tmp_path / "out"
    finish(ray_embedding.embed(str(folder), str(out), embedder, 64))
    import_model = ["index", "--from-embeddings", str(out), "--gallery", "far", "--library", str(tmp_path / "indexes")]
    assert main(import_model) == 1
    assert "a gallery needs features" in capsys.readouterr().err
    plan = json.loads((out / "plan.json").read_bytes())
    (out / "plan.json").write_text(json.dumps(plan | {"backbone_hash": "other"}))
    assert main(import_model) == 1
    assert "take them into another gallery" in capsys.readouterr().err
    (out / "plan.json").write_text(json.dumps(plan | {"dim": 0, "parts": 9}))
    assert main(import_model) == 1
    assert "it goes on where it stopped" in capsys.readouterr().err
    assert main(["index", "--gallery", "far"]) == 2
