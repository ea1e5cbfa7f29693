"""The margin losses that there are: what each is for and what its paper sets, without torch."""

from __future__ import annotations

from dataclasses import dataclass

from unifex.core.language import to_say


@dataclass(frozen=True)
class Loss:
    """A margin loss: its class in :mod:`unifex.training.losses`, by name so that torch is loaded by trainings alone.

    ``margin`` (in radians, for CosFace a cosine; 0 where it has none) and ``sub_centres`` are its paper's; ``public``:
    what the public UniFEx code calls it.
    """

    implementation: str
    advice: str
    margin: float = 0.5
    sub_centres: int = 1
    public: str = ""


LOSSES: dict[str, Loss] = {
    "arcface": Loss(
        "ArcFace", to_say("ArcFace: an angle between classes; the safe choice for clean labels"), public="ArcFace"
    ),
    "subcentre-arcface": Loss(
        "ArcFace",
        to_say("ArcFace to the nearest of several centres, the paper's choice: varied classes, noisy labels"),
        sub_centres=3,
    ),
    "dynamic-arcface": Loss(
        "DynamicMarginArcFace",
        to_say("ArcFace with larger margins for smaller classes: for very unequal classes"),
        public="DynM-ArcFace",
    ),
    "cosface": Loss(
        "CosFace",
        to_say("CosFace: a cosine between classes; steadier than ArcFace where classes are hard"),
        margin=0.35,
    ),
    "adacos": Loss(
        "AdaCos", to_say("AdaCos: no margin, the scale finds itself; nothing to tune"), margin=0.0, public="AdaCos"
    ),
    "adacos-fixed": Loss("FixedAdaCos", to_say("AdaCos with the scale fixed by the number of classes"), margin=0.0),
    "li-arcface": Loss(
        "LiArcFace",
        to_say("Li-ArcFace: linear in the angle; steady for small dimensions"),
        margin=0.45,
        public="LiArcFace",
    ),
    "curricularface": Loss(
        "CurricularFace",
        to_say("CurricularFace: easy classes first, hard ones later; for long trainings"),
        public="CurricularFace",
    ),
    "adaface": Loss(
        "AdaFace",
        to_say("AdaFace: margins by image quality, as the length of the embedding tells it"),
        margin=0.4,
        public="AdaFace",
    ),
    "softmax": Loss(
        "NormalisedSoftmax",
        to_say("Softmax of cosines without any margin: the control that a margin has to beat"),
        margin=0.0,
    ),
}
