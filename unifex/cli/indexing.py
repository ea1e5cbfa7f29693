"""The commands that read images: ``index``, ``embed``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from unifex.cli import exchange
from unifex.cli.options import OF_ITSELF, TO_ADD, Parser, UsageError, named, on_disk, plain_path
from unifex.cli.shared import adding_to, check_out, chosen_source, embedder, reading, refuse, say
from unifex.core import ranges
from unifex.core.console import watched
from unifex.core.files import ready, write_atomically_with
from unifex.core.text import command, duration, plural
from unifex.data import sources


def add_commands(command: Callable[..., Parser]) -> None:
    """Add their parsers; ``command`` makes one."""
    index = command("index", _index, "build or update a gallery from images", model=TO_ADD)
    index.add_argument("source", nargs="?", type=on_disk, help=sources.forms())
    index.epilog = " ".join(kind.sentence for kind in sources.SOURCES if kind.form)
    index.add_argument(
        "--from-embeddings", type=plain_path, metavar="DIR", help="instead: what `embed --engine ray` wrote"
    )
    index.share("--gallery", "--exclude", "--follow-links", "--frames")
    index.add_argument("--store", help="where its vectors are searched: faiss (default), milvus or milvus:URI")
    index.add_argument("--prune", action="store_true", help="remove items that this source no longer has")
    index.add_argument("--prune-all", action="store_true", help="also when less than half of them is left")
    index.add_argument("--rehash", action="store_true", help="read every file again, also of unchanged size and time")
    index.add_argument("--watch", action="store_true", help="go on following the folder, with --prune, until Ctrl+C")
    index.add_argument("--poll", action="store_true", help="with --watch: look by itself, as on network drives")
    index.add_argument("--quiet", type=ranges.QUIET, help="with --watch: seconds of rest (default: 2)")

    embed = command("embed", _embed, "write the embeddings of images to a file", model=OF_ITSELF)
    further = "with --engine ray also .tar and .parquet files, and s3://..."
    embed.add_argument("source", type=on_disk, help=f"{sources.forms()}; {further}")
    embed.share("--exclude", "--follow-links", "--frames")
    embed.share("--out", help="FILE.npz: path, label, domain, split, embedding; ray: a folder")
    embed.add_argument("--extra", action="store_true", help="also an array extra: further CSV columns, a JSON an image")
    embed.share("--dim", help="length of the embeddings (default: the model's; with ray: features)")
    embed.add_argument("--engine", choices=("local", "ray"), default="local", help="ray: on many machines, in shards")
    embed.add_argument("--address", help="of a Ray cluster (default: this machine)")


def _index(options: argparse.Namespace) -> dict[str, Any]:
    if bool(options.source) == bool(options.from_embeddings):
        raise UsageError("give a source, or --from-embeddings DIR")
    if not options.watch:
        refuse(options, "this is for --watch", "poll", "quiet")
    if options.from_embeddings:
        of_a_source = ("watch", "prune", "prune_all", "rehash", "exclude", "follow_links", "frames")
        refuse(options, "this is for a source, not for --from-embeddings", *of_a_source)
        return exchange.import_embeddings(options, options.from_embeddings, options.store)
    from unifex.cli import following
    from unifex.data.sources import require_items
    from unifex.gallery.indexing import index

    source = chosen_source(options)
    if options.watch:
        following.check(source)
    if not (options.prune or options.prune_all):
        require_items(source)
    with adding_to(options, options.store) as gallery:
        report = watched(index(gallery, source, options.prune, options.prune_all, options.rehash), goes_on=True)
    for refused in report.failed:
        say(options, f"  {refused.path}: {refused.reason}")
    for remark in report.remarks:
        say(options, f"  {remark}")
    say(
        options,
        f"gallery '{report.gallery}': {plural(report.items, 'item')}, {report.added:,} added, "
        f"{report.skipped:,} unchanged, {report.moved:,} moved, {report.relabelled:,} relabelled, "
        f"{report.removed:,} removed, {len(report.failed):,} refused, in {duration(report.seconds)}",
    )
    if report.left_out:
        undo = command("correct", report.gallery)
        say(options, f"corrections leave out {plural(report.left_out, 'item')} more: `{undo}` lists them")
    if report.missing:
        say(options, f"{plural(report.missing, 'item')} of this source cannot be found there; --prune removes such")
    return following.follow(options, gallery, source, report) if options.watch else asdict(report)


def _embed(options: argparse.Namespace) -> dict[str, Any]:
    if options.engine == "ray":
        refuse(options, "this is for --engine local", "extra")
    else:
        refuse(options, "this is for --engine ray", "address")
    return {"local": _embed_here, "ray": _embed_on_ray}[options.engine](options)


def _embed_on_ray(options: argparse.Namespace) -> dict[str, Any]:
    from unifex.scale import ray_embedding

    if "://" not in options.out:
        ready(named(options.out) / ray_embedding.PLAN)
    model = embedder(options)
    dim = options.dim and model.neck.check_dim(options.dim)
    work = ray_embedding.embed(options.source, options.out, model, dim, options.address, reading(options))
    written = watched(work, goes_on=True)
    for refused in written.failed:
        say(options, f"  {refused.path}: {refused.reason}")
    shards = f"{plural(written.shards, 'shard')} ({written.kept:,} were there)"
    say(options, f"{plural(written.images, 'image')} in {shards} below {written.out}, {len(written.failed):,} refused")
    return asdict(written)


def _embed_here(options: argparse.Namespace) -> dict[str, Any]:
    import tempfile

    import numpy as np

    from unifex.data.sources import require_items
    from unifex.gallery.gallery import Gallery
    from unifex.gallery.indexing import index

    out = named(options.out, ".npz")
    source = chosen_source(options)
    require_items(source)
    check_out(options, out, [b"path.npy"], source.spec)
    model = embedder(options)
    dim = model.neck.check_dim(options.dim or model.default_dim)
    with tempfile.TemporaryDirectory(prefix="unifex-embed-") as scratch:
        gallery = Gallery.create(Path(scratch) / "embed", model, dim)
        report = watched(index(gallery, source))
        snapshot = gallery.snapshot()
        records = gallery.records(snapshot.columns.ids)
    texts = ("path", "label", "domain", "split")
    arrays: dict[str, Any] = {name: np.array([getattr(record, name) for record in records], str) for name in texts}
    if options.extra:
        arrays["extra"] = np.array([record.labels.row[3] for record in records], str)
    write_atomically_with(out, lambda file: np.savez(file, **arrays, embedding=snapshot.embeddings))
    say(
        options,
        f"{plural(len(records), 'embedding')} of {dim} values in {out}, {plural(len(report.failed), 'image')} refused",
    )
    return {
        "out": str(out),
        "items": len(records),
        "dim": dim,
        "failed": [asdict(refused) for refused in report.failed],
        "seconds": report.seconds,
    }
