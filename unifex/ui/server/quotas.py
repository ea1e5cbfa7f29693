"""How much a visitor of a public server may have, ask and send: the numbers, and where each is counted."""

from __future__ import annotations

from dataclasses import dataclass

from anyio import CapacityLimiter

from unifex.cli.settings import Settings
from unifex.core.language import say, to_say
from unifex.ui.server.rates import Open, Rate, Turns
from unifex.ui.server.visitor_files import nobody_at

MAX_BODY_BYTES = 4 * 2**20  # of all requests of one visitor that wait together
MAX_LOGIN_BYTES = 64 * 2**10
MAX_CHOSEN_BYTES = 256 * 2**10  # the names of as many items as can be chosen one by one
MAX_FILES = 1000  # in one upload
MAX_TEXTS = 100_000  # in one request
MAX_WAITING = 24  # events of one visitor that are queued or run
MAX_STREAMS = 64  # answers that one visitor has open
MAX_PICTURES = 12  # of one visitor that are being made or wait for that: large ones, and what looks alike
MAX_UPLOADS = 12  # uploads of one visitor at once
NEW_SESSIONS = 120  # pages that one visitor opens in an hour
FOLLOWED = 3000  # uploads whose progress one visitor's page follows in an hour
PICTURES = 40  # pictures of items that a page shows for each thing that it asks for: it scrolls through thousands
LOOKS = 4  # a page asks to be shown something so many times as often as it asks for something to be done
DOWNLOADS = 4  # what may be kept can be downloaded so many times in an hour
DECODERS = 2  # pictures that are shown at once, of all visitors
SHARED_ADDRESS = 8  # so many visitors may sit behind one address


@dataclass(frozen=True)
class Limits:
    """What one visitor may keep: images, bytes on disk, trainings of so many seconds each; all of it for ``seconds``
    after the last use."""

    images: int
    bytes: int
    trainings: int
    training_seconds: float
    seconds: float

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """Those that the server was started with."""
        much = settings.visitor_images, settings.visitor_megabytes * 10**6, settings.visitor_trainings
        return cls(*much, settings.visitor_minutes * 60, settings.visitor_hours * 3600)


@dataclass(frozen=True)
class Caller:
    """Who asks: a visitor, or nobody known (empty) at an address."""

    visitor: str
    address: str

    @property
    def owner(self) -> str:
        """Whose everything is that is sent or made."""
        return self.visitor or nobody_at(self.address)


@dataclass
class Limit:
    """A rate of every visitor, and of every address with all visitors behind it."""

    maximum: int
    seconds: float
    sentence: str  # of a refusal; ``{maximum}`` in it is how much there may be

    def __post_init__(self) -> None:
        self.owners, self.addresses = (
            Rate(self.maximum, self.seconds),
            Rate(self.maximum * SHARED_ADDRESS, self.seconds),
        )

    def check(self, caller: Caller, amount: int = 1) -> None:
        """Count it. Raises :class:`Refusal`."""
        for rate, name in ((self.owners, caller.owner), (self.addresses, caller.address)):
            rate.check(name, amount, say(self.sentence, maximum=rate.maximum))


class Quotas:
    """What is counted of every visitor while the server runs. ``rate``: requests a minute."""

    def __init__(self, limits: Limits, rate: int):
        much = to_say("that is much for an hour; go on in the next one")
        many = to_say("more than {maximum} requests a minute; wait a moment")
        self.asked, self.looked = Limit(rate, 60, many), Limit(LOOKS * rate, 60, many)
        self.pictures = Limit(PICTURES * rate, 60, many)
        self.sessions = Limit(NEW_SESSIONS, 3600, to_say("more than {maximum} pages an hour; reload fewer"))
        self.followed = Limit(FOLLOWED, 3600, to_say("more than {maximum} uploads an hour"))
        self.uploaded = Limit(2 * limits.bytes, 3600, much)
        self.downloaded = Limit(DOWNLOADS * limits.bytes, 3600, much)
        self.streams = Open(MAX_STREAMS, to_say("too many pages of yours are open"))
        self.made = Open(MAX_PICTURES, to_say("enough pictures of yours are being made; wait for one"))
        self.uploads = Open(MAX_UPLOADS, to_say("too many uploads at once"))
        self.turns = Turns(MAX_WAITING, MAX_BODY_BYTES)
        self.decoders = CapacityLimiter(DECODERS)
