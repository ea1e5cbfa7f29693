"""``gallery.json``, and the model that a gallery is searched with: its own, or another one with the same backbone."""

from __future__ import annotations

import re
import uuid
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from unifex.core.derived import Origin
from unifex.core.files import verify, with_checksum, write_atomically
from unifex.core.language import say
from unifex.core.text import command, reason
from unifex.gallery.errors import GalleryError, NoSuchGallery, damaged, lost
from unifex.models import zoo
from unifex.models.embedder import MODELS, Embedder

SCHEMA = 1
FILE = "gallery.json"


@dataclass(frozen=True)
class GalleryConfig:
    """``gallery.json``: which model the gallery is searched with; ``previous``: with which it was before that;
    ``dims``: of the models that it was searched with before, at which dimension.

    ``store``: where its vectors are searched, see :func:`unifex.vector_index.index_types.of_store`; empty for FAISS.
    ``collection``: what the names of its collections there begin with.
    """

    id: str
    model: str
    backbone: str
    backbone_hash: str
    neck_hash: str
    dim: int
    previous: str = ""
    store: str = ""
    collection: str = ""
    schema: int = SCHEMA
    dims: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        kinds = {name: kind.partition("[")[0] for name, kind in self.__annotations__.items()}
        wrong = [name for name, kind in kinds.items() if type(getattr(self, name)).__name__ != kind]
        if wrong or self.dim < 1 or not re.fullmatch(r"[0-9a-f]{32}", self.id):
            named = say(" and ").join(wrong or [say("id or dim")])
            raise ValueError(say("its {fields} cannot be right", fields=named))
        if self.store and not re.fullmatch(r"unifex_[0-9a-f]{32}", self.collection):
            raise ValueError(say("its collection is not its own"))  # whatever begins with its name is dropped with it

    def as_json(self) -> dict[str, Any]:
        """As it is written: without ``dims`` where there are none, which programs of before them would not read."""
        values = asdict(self)
        return values if self.dims else {name: value for name, value in values.items() if name != "dims"}

    @classmethod
    def new(cls, embedder: Embedder, dim: int | None = None) -> GalleryConfig:
        """Of a new gallery. Raises ``DimensionError`` for a ``dim`` that the model has not."""
        return cls(
            id=uuid.uuid4().hex,
            model=embedder.name,
            backbone=embedder.backbone.id,
            backbone_hash=embedder.backbone.weight_hash(),
            neck_hash=embedder.neck.hash,
            dim=embedder.neck.check_dim(embedder.default_dim if dim is None else dim),
        )

    @classmethod
    def read(cls, folder: Path) -> GalleryConfig:
        """Of the gallery in a folder. Raises :class:`GalleryError` when there is none, or none that can be used."""
        name = folder.name
        try:
            values = verify((folder / FILE).read_bytes())
            if values["schema"] != SCHEMA:
                raise GalleryError(
                    say(
                        "gallery '{name}' has format {values}, this program reads {known}",
                        name=name,
                        values=values["schema"],
                        known=SCHEMA,
                    )
                )
            return cls(**values)
        except FileNotFoundError:
            if (folder / "items.sqlite").exists():
                raise lost(name, FILE) from None
            where = folder.absolute().parent.name
            raise NoSuchGallery(say("no gallery '{name}' in {folder}", name=name, folder=where)) from None
        except PermissionError as error:
            raise GalleryError(
                say("gallery '{name}' cannot be opened: {reason}", name=name, reason=reason(error))
            ) from error
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise damaged(name, FILE, reason(error)) from error

    @property
    def collection_name(self) -> str:
        """What the collection of the gallery's embeddings is called in its store."""
        return f"{self.collection}_{self.neck_hash[:16]}_{self.dim}"


class GalleryModel:
    """The model of one opened gallery. ``config`` names it; ``stored_config`` is what stands on disk."""

    def __init__(self, folder: Path, config: GalleryConfig, embedder: Embedder | None = None):
        self.folder = folder
        self.config = self.stored_config = config
        self._chosen = embedder

    @cached_property
    def embedder(self) -> Embedder:
        """The model the gallery was opened with, else its own, which may have been trained anew since."""
        embedder = self._chosen or Embedder.load(self.config.model, models=self.folder.parent / MODELS)
        self.adopt(embedder)
        return embedder

    def adopt(self, embedder: Embedder) -> None:
        """Take over a model: its neck may be another than the one that the kept embeddings are from.

        Raises :class:`GalleryError` for another backbone.
        """
        config = self.config
        if not zoo.makes_the_same(embedder.backbone, config.backbone, config.backbone_hash):
            raise GalleryError(
                say(
                    "gallery '{name}' holds features of backbone '{backbone}' ({backbone_hash}), model '{model}' "
                    "needs '{id}' ({weight_hash}): use the gallery's own model, or make another gallery of it "
                    "for this one: `{command}`",
                    name=self.folder.name,
                    backbone=config.backbone,
                    backbone_hash=config.backbone_hash,
                    model=embedder.name,
                    id=embedder.backbone.called,
                    weight_hash=embedder.backbone.weight_hash(),
                    command=command("use", self.folder.name, embedder.name, "--as", "NEW"),
                )
            )
        if (embedder.name, embedder.neck.hash) != (config.model, config.neck_hash):
            wanted = (config.dims.get(embedder.name), config.dim)  # who goes back finds it as it was
            dim = next((dim for dim in wanted if dim in embedder.neck.dims), embedder.default_dim)
            own = replace(config, model=embedder.name, neck_hash=embedder.neck.hash, dim=dim)
            if embedder.name != config.model:
                own = replace(own, previous=config.model, dims={**config.dims, config.model: config.dim})
            self.config = own
        if (own_hash := embedder.backbone.weight_hash()) != config.backbone_hash:  # the same by another path
            self.config = replace(self.config, backbone=embedder.backbone.id, backbone_hash=own_hash)

    def is_of(self, embedder: Embedder | None) -> bool:
        """Whether the gallery was opened with this model (with its own when None)."""
        if embedder is None:
            return self._chosen is None or self.config == self.stored_config
        return (self.config.model, self.config.neck_hash) == (embedder.name, embedder.neck.hash)

    @property
    def is_visiting(self) -> bool:
        """Whether it is another model than the gallery's own: looking changes nothing on disk."""
        return self.config.model != self.stored_config.model

    @property
    def key(self) -> str:
        """What embeddings depend on, but for the images: the neck and the dimension."""
        return f"{self.config.neck_hash}-{self.config.dim}"

    def origin(self, kind: str, model: str = "", content: str = "") -> Origin:
        """The fingerprint of a file that is derived from the gallery."""
        return Origin(kind, self.config.id, model, content)

    def keep(self) -> None:
        """Make the model the gallery's own, on disk. By a writer."""
        write_atomically(self.folder / FILE, with_checksum(self.config.as_json()))
        self.stored_config = self.config
