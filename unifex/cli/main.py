"""``python -m unifex COMMAND``: everything the app does, from a shell.

With ``--json`` one JSON object goes to stdout and nothing else; progress and warnings go to stderr. Exit code 0: done,
1: failed (the reason on stderr), 2: wrong usage.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from unifex.cli import data, models, settings, training
from unifex.cli.shared import (
    add_reading,
    chosen_embedder,
    chosen_source,
    embedder,
    library,
    new_file,
    place,
    reading,
    say,
)
from unifex.core import console, ranges
from unifex.core.console import watched
from unifex.core.errors import UnifexError
from unifex.core.files import write_atomically, write_atomically_with
from unifex.core.text import duration, plural, size
from unifex.data import sources

EXAMPLES = """examples:
  python -m unifex index photos/ --gallery holiday
  python -m unifex search query.jpg --gallery holiday -k 5
  python -m unifex info holiday
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    return console.run(lambda: _run(arguments), "what was done is kept, the same command goes on from here")


def _run(arguments: Sequence[str] | None) -> int:
    options = _parser().parse_args(arguments)
    with contextlib.redirect_stdout(sys.stderr) if options.json else contextlib.nullcontext():
        answer = options.run(options)  # what libraries print is no part of the answer
    if options.json and answer is not None:
        console.print_json(answer)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = settings.Parser(
        prog="python -m unifex",
        description="A visual search engine of your images.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(name: str, run, help: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=help, description=help)
        added.set_defaults(run=run)
        added.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
        settings.add_options(added, everywhere_only=True)
        return added

    index = command("index", _index, "build or update a gallery from images")
    index.add_argument("source", nargs="?", help=sources.forms())
    index.add_argument("--from-embeddings", type=Path, metavar="DIR", help="instead: what `embed --engine ray` wrote")
    index.add_argument("--gallery", required=True, help="name of the gallery")
    index.add_argument("--store", help="where its vectors are searched: faiss (default), milvus or milvus:URI")
    add_reading(index)
    index.add_argument("--prune", action="store_true", help="remove items that this source no longer has")
    index.add_argument("--prune-all", action="store_true", help="also when less than half of them is left")
    index.add_argument("--rehash", action="store_true", help="read every file again, also of unchanged size and time")

    search = command("search", _search, "find the items of a gallery that look like an image")
    search.add_argument("images", nargs="*", metavar="IMAGE")
    search.add_argument(
        "--words", default="", help="search with words, where the backbone knows some; also with images"
    )
    search.add_argument(
        "--balance", type=ranges.BALANCE, default=0.5, help="of images (0) and --words (1); default 0.5"
    )
    search.add_argument("--gallery", required=True, help="name of the gallery")
    search.add_argument("-k", type=ranges.HITS, default=10, help="hits a query (default 10)")
    search.add_argument("--domain", action="append", default=[], help="only this domain (may be repeated)")
    search.add_argument("--split", action="append", default=[], help="only this split (may be repeated)")
    search.add_argument("--min-score", type=ranges.SIMILARITY, help="only hits at least this similar (-1 to 1)")
    search.add_argument("--dim", type=ranges.DIMENSION, help="length of the embeddings (default: the gallery's)")
    search.add_argument("--context", action="store_true", help="re-rank by the gallery's own neighbourhood")
    search.add_argument(
        "--trust",
        type=ranges.FALSE_ACCEPT_RATE,
        metavar="N",
        help="only matches that at most N %% of queries find whose thing is not here",
    )
    search.add_argument("--together", action="store_true", help="all images show one thing: search with their mean")

    embed = command("embed", _embed, "write the embeddings of images to a file")
    embed.add_argument(
        "source", help=f"{sources.forms()}; with --engine ray also .tar and .parquet files, and s3://..."
    )
    embed.add_argument(
        "--out", required=True, type=place, help="FILE.npz: path, label, domain, split, embedding; ray: a folder"
    )
    embed.add_argument(
        "--dim", type=ranges.DIMENSION, help="length of the embeddings (default: the model's; with ray: features)"
    )
    embed.add_argument("--engine", choices=("local", "ray"), default="local", help="ray: on many machines, in shards")
    add_reading(embed)
    embed.add_argument("--address", help="of a Ray cluster (default: this machine)")

    _add_measuring(command)
    training.add_commands(command)
    models.add_commands(command)
    data.add_commands(command)
    command("galleries", _galleries, "list the galleries")
    info = command("info", _info, "show what is in a gallery")
    info.add_argument("gallery")
    store = command("store", _store, "search a gallery's vectors in FAISS or in Milvus from now on")
    store.add_argument("gallery")
    store.add_argument("store", help="faiss, milvus (a file in the gallery) or milvus:URI (MILVUS_TOKEN: its token)")
    remove = command("remove", _remove, "remove items from a gallery (the image files stay)")
    remove.add_argument("gallery")
    remove.add_argument("paths", nargs="+", metavar="PATH", help="path or uri of an item")
    return parser


def _add_measuring(command: Callable[..., argparse.ArgumentParser]) -> None:
    from unifex.evaluation.protocols import PROTOCOLS

    evaluate = command("evaluate", _evaluate, "measure how well a gallery finds what belongs together (mMP@5 and more)")
    evaluate.add_argument("--gallery", required=True, help="name of the gallery")
    evaluate.add_argument("--dim", type=ranges.DIMENSION, help="length of the embeddings (default: the gallery's)")
    ways = "; ".join(f"{name}: {protocol.sentence}" for name, protocol in PROTOCOLS.items())
    evaluate.add_argument("--protocol", default="auto", help=f"{ways} (default auto)")
    evaluate.add_argument("--seed", type=ranges.SEED, default=0, help="of the queries that are drawn")
    evaluate.add_argument("--copies", action="store_true", help="byte-identical copies count as hits (leave-one-out)")
    evaluate.add_argument("--context", action="store_true", help="re-rank by the neighbourhood, beside plain search")
    evaluate.add_argument(
        "--compare", action="append", default=[], metavar="MODEL", help="a model, raw, pca or pooling"
    )
    evaluate.add_argument("--labels", action="store_true", help="with --json: every label's figures, too")

    map_ = command("map", _map, "write a map of a gallery as one HTML page")
    map_.add_argument("--gallery", required=True, help="name of the gallery")
    map_.add_argument("--out", required=True, type=new_file, help="FILE.html")
    map_.add_argument("--thumbnails", action="store_true", help="put every item's thumbnail into the page")
    map_.add_argument("--compare", default="", metavar="MODEL", help="a second map, by a model, raw, pca or pooling")
    map_.add_argument("--afresh", action="store_true", help="arrange it again, although there is one")

    correct = command("correct", _correct, "say what a gallery's source got wrong, or list what was said")
    correct.add_argument("gallery")
    correct.add_argument("--relabel", nargs=2, action="append", default=[], metavar=("PATH", "LABEL"))
    correct.add_argument("--drop", action="append", default=[], metavar="PATH", help="leave the item out")
    correct.add_argument("--same", nargs=2, action="append", default=[], metavar=("PATH", "PATH"))
    correct.add_argument("--undo", action="append", default=[], metavar="PATH", help="take back all said of an item")
    correct.add_argument("--out", type=new_file, help="FILE.csv: write the list of corrections")


def _index(options: argparse.Namespace) -> dict[str, Any]:
    if bool(options.source) == bool(options.from_embeddings):
        raise UnifexError("give a source, or --from-embeddings DIR")
    if options.from_embeddings:
        return data.take_in(options, options.from_embeddings, options.store)
    from unifex.data.sources import require_items
    from unifex.gallery.indexing import index

    source = chosen_source(options)
    if not (options.prune or options.prune_all):
        require_items(source)  # a wrong source must not leave an empty gallery behind
    library(options).get_or_create(options.gallery, lambda: embedder(options))
    if options.store:
        library(options).move_to(options.gallery, options.store)
    gallery = library(options).get(options.gallery, chosen_embedder(options))
    report = watched(index(gallery, source, options.prune, options.prune_all, options.rehash))
    for refused in report.failed:
        say(options, f"  {refused.path}: {refused.reason}")
    for remark in report.remarks:
        more = f" and {remark.count - 1:,} more" if remark.count > 1 else ""
        say(options, f"  {remark.path}{more}: {remark.text}")
    say(
        options,
        f"gallery '{report.gallery}': {report.items} items, {report.added} added, {report.skipped} unchanged, "
        f"{report.moved} moved, {report.relabelled} relabelled, {report.removed} removed, "
        f"{len(report.failed)} refused, in {duration(report.seconds)}",
    )
    if report.missing:
        say(options, f"{plural(report.missing, 'item')} of this source cannot be found there; --prune removes such")
    return asdict(report)


def _query(text: str) -> Path:
    """An image file, as far as can be told before it is opened. Raises ``UnifexError`` for what people give instead."""
    if "://" in text:
        raise UnifexError(f"'{text}' is an address, and nothing is fetched: save the image and give its file")
    if not text or Path(text).is_dir():
        raise UnifexError(f"'{text}' is a folder: give images of it, or `index` it")
    return Path(text)


def _search(options: argparse.Namespace) -> dict[str, Any]:
    from unifex.core.images import ImageError
    from unifex.retrieval.filters import Filters
    from unifex.retrieval.query import Query
    from unifex.retrieval.search import search

    if not options.images and not options.words:
        raise UnifexError("give an image, or --words")
    given = tuple(_query(image) for image in options.images)
    gallery = library(options).get(options.gallery, chosen_embedder(options))
    trust = None if options.trust is None else options.trust / 100
    filters = Filters(tuple(options.domain), tuple(options.split), options.min_score, false_accept_rate=trust)
    filters.check_known(gallery)
    together = options.together or not options.images
    results = []
    for images in [given] if together else [(image,) for image in given]:
        name = ", ".join([*map(str, images), *([repr(options.words)] if options.words else [])])
        try:
            query = Query(images, text=options.words or "", text_weight=options.balance)
            result = search(gallery, query, options.k, filters, options.dim, options.context)
        except ImageError as error:
            raise ImageError(f"{name}: {error}") from error
        results.append(
            {"query": name, "stranger": result.out_of_gallery, "hits": [hit.as_json() for hit in result.hits]}
        )
        say(options, f"{name}: {len(result.hits)} hits in {result.searched:,} items ({result.model}, {result.index})")
        if result.out_of_gallery:
            say(options, "      probably not in this gallery: nothing is alike enough")
        for hit in result.hits:
            where = "/".join(part for part in (hit.domain, hit.label) if part)
            say(options, f"{hit.rank:4d}  {hit.score:.3f}  {hit.path}  {where}")
    return {"results": results}


def _embed(options: argparse.Namespace) -> dict[str, Any]:
    return {"local": _embed_here, "ray": _embed_on_ray}[options.engine](options)


def _embed_on_ray(options: argparse.Namespace) -> dict[str, Any]:
    from unifex.scale import ray_embedding

    model = embedder(options)
    dim = options.dim and model.neck.check_dim(options.dim)
    work = ray_embedding.embed(options.source, options.out, model, dim, options.address, reading(options))
    written = watched(work)
    for refused in written.failed:
        say(options, f"  {refused.path}: {refused.reason}")
    shards = f"{plural(written.shards, 'shard')} ({written.kept} were there)"
    say(options, f"{written.images:,} images in {shards} below {written.out}, {len(written.failed)} refused")
    return asdict(written)


def _embed_here(options: argparse.Namespace) -> dict[str, Any]:
    import tempfile

    import numpy as np

    from unifex.data.sources import require_items
    from unifex.gallery.gallery import Gallery
    from unifex.gallery.indexing import index

    source = chosen_source(options)
    require_items(source)
    model = embedder(options)
    dim = model.neck.check_dim(options.dim or model.default_dim)
    with tempfile.TemporaryDirectory(prefix="unifex-embed-") as scratch:
        gallery = Gallery.create(Path(scratch) / "embed", model, dim)
        report = watched(index(gallery, source))
        snapshot = gallery.snapshot()
        records = gallery.records(snapshot.columns.ids)
    texts = ("path", "label", "domain", "split")
    columns = {name: np.array([getattr(record, name) for record in records], str) for name in texts}
    out = Path(options.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically_with(out, lambda file: np.savez(file, **columns, embedding=snapshot.embeddings))
    say(options, f"{len(records)} embeddings of {dim} values in {options.out}, {len(report.failed)} images refused")
    return {
        "out": options.out,
        "items": len(records),
        "dim": dim,
        "failed": [asdict(refused) for refused in report.failed],
        "seconds": report.seconds,
    }


def _evaluate(options: argparse.Namespace) -> dict[str, Any]:
    from unifex.evaluation.compare import compare
    from unifex.evaluation.protocols import EvalProtocol

    gallery = library(options).get(options.gallery, chosen_embedder(options))
    protocol = EvalProtocol(options.protocol, options.seed, options.copies)
    assessment = watched(compare(gallery, protocol, options.dim, options.context, options.compare))
    main = assessment.main
    protocol = f"{main.split.protocol.kind}, {main.queries:,} queries among {len(main.split.items):,} items"
    say(options, f"{gallery.name}: {protocol}, {main.skipped:,} without a relevant item left out\n")
    for remark in main.remarks:
        say(options, f"Note: {remark}\n")
    columns = f"{'':32}{'dim':>5}{'mMP@5':>8}   95% interval{'macro':>9}{'R@1':>8}{'R@5':>8}{'mAP@R':>8}"
    say(options, columns)
    for result in assessment.evaluations:
        score, rest = result.overall(), [result.overall(name).value for name in ("recall1", "recall5", "map_r")]
        name = result.model + (" + context" if result.context else "")
        figures = f"{score.value:8.3f}   {score.low:.3f} {score.high:.3f} {result.macro().value:9.3f}"
        say(options, f"{name[:31]:32}{result.dim:5}{figures}{''.join(f'{value:8.3f}' for value in rest)}")
    say(options, f"\n{'domain':32}{'queries':>8}{'mMP@5':>8}   95% interval{'alone':>9}")
    for row in main.domains:
        score = row.mmp5
        figures = f"{score.value:8.3f}   {score.low:.3f} {score.high:.3f} {row.in_domain.value:9.3f}"
        say(options, f"{(row.name or 'no domain')[:31]:32}{row.queries:8,}{figures}")
    return assessment.as_json(options.labels)


def _map(options: argparse.Namespace) -> dict[str, Any]:
    from unifex.maps import page
    from unifex.maps.projection import project

    gallery = library(options).get(options.gallery, chosen_embedder(options))
    models = ["", options.compare] if options.compare else [""]
    maps = [watched(project(gallery, model, options.afresh)) for model in models]
    text = page.page(gallery, *maps, thumbnails=options.thumbnails)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(options.out, text.encode())
    say(options, f"{len(maps[0].ids):,} items in {options.out}, {size(len(text.encode()))}")
    return {"out": str(options.out), "items": len(maps[0].ids), "models": [m.model for m in maps], "bytes": len(text)}


def _correct(options: argparse.Namespace) -> dict[str, Any]:
    from unifex.gallery.corrections import as_csv, drop, relabel, same

    gallery = library(options).get(options.gallery)
    item = gallery.item_at
    said = [relabel(item(path), label) for path, label in options.relabel]
    said += [drop(item(path)) for path in options.drop]
    said += [same(item(a), item(b)) for a, b in options.same]
    undone = [c for c in gallery.corrections() if {c.path, c.uri, c.other_path, c.other_uri} & set(options.undo)]
    if options.undo and not undone:
        raise UnifexError(f"nothing was said of {', '.join(options.undo)}")
    if said or undone:
        with gallery.write() as writer:
            writer.undo(undone)
            writer.correct(said)
    stored = gallery.corrections()
    if options.out:
        write_atomically(options.out, as_csv(stored).encode())
    for correction in stored:
        say(options, f"{correction.kind:8} {correction.sentence}")
    say(options, f"{plural(len(stored), 'correction')} in gallery '{gallery.name}'")
    return {"gallery": gallery.name, "corrections": [asdict(correction) for correction in stored]}


def _galleries(options: argparse.Namespace) -> dict[str, Any]:
    galleries = library(options)
    from unifex.gallery.gallery import Facts, Gallery

    listed = list(galleries.survey(Gallery.facts))
    if not listed:
        say(options, f"no galleries in {options.indexes}/ yet: python -m unifex index FOLDER --gallery NAME makes one")
    for found in listed:
        sound = isinstance(found, Facts)
        told = f"{plural(found.items, 'item')}, {found.model}, {size(found.bytes)}" if sound else found.problem
        say(options, f"{found.name}: {told}")
    return {"galleries": [asdict(found) for found in listed]}


def _info(options: argparse.Namespace) -> dict[str, Any]:
    gallery = library(options).get(options.gallery, chosen_embedder(options))
    facts, index = gallery.facts(), gallery.snapshot().index.candidates
    answer = asdict(facts) | {
        "sources": [source.spec for source in gallery.sources()],
        "index": {"kind": index.title, "exact": index.exact, "recall_at_10": index.recall},
    }
    for name, value in answer.items():
        say(options, f"{name:12} {value}")
    return answer


def _store(options: argparse.Namespace) -> dict[str, Any]:
    gallery = library(options).move_to(options.gallery, options.store)
    kind = gallery.snapshot().index.candidates.title
    say(options, f"gallery '{gallery.name}': {plural(len(gallery), 'item')}, {kind}")
    return {"gallery": gallery.name, "store": gallery.config.store or "faiss", "kind": kind}


def _remove(options: argparse.Namespace) -> dict[str, Any]:

    gallery = library(options).get(options.gallery)
    with gallery.write() as writer:
        found = gallery.find(options.paths, dropped=True)
        missing = [path for path, ids in found.items() if not ids]
        if missing:
            raise UnifexError(f"nothing removed: gallery '{gallery.name}' has no item {', '.join(missing)}")
        removed = writer.remove(sorted({item for ids in found.values() for item in ids}))
        gallery.derived.save()
    say(options, f"{removed} removed, {len(gallery)} left")
    return {"gallery": gallery.name, "removed": removed, "items": len(gallery)}
