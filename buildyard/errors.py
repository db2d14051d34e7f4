"""Every error that Buildyard raises on purpose, in one tree.

The two branches answer the one question a caller asks: does it help to try again?

    BuildyardError
    ├── PermanentError              the same request will fail the same way
    │   ├── InvalidRequest          a field, a value or a shape is wrong (HTTP 422 / 400)
    │   ├── InvalidUpload           the bytes are not what they should be (HTTP 400 / 415)
    │   ├── TooLarge                a limit of size or number is passed (HTTP 413)
    │   ├── NotFound                no such build, upload, artifact, agent or object (HTTP 404)
    │   │   └── Gone                there was one, and it was removed when its time was over (HTTP 410)
    │   ├── Conflict                the thing is not in a state that allows this (HTTP 409)
    │   ├── Forbidden               the caller may not (HTTP 403)
    │   ├── Unauthorized            no token, or a wrong one (HTTP 401)
    │   ├── HostileArchive          an archive tries to leave its folder or to blow up
    │   ├── UnreadableMessage       a message from the broker is not one of ours
    │   └── InvalidSettings         a setting or a configuration file is wrong
    └── TemporaryError              trying again after `retry_after` seconds may succeed
        ├── BrokerUnavailable       the broker cannot be reached or refuses for now
        │   ├── DeliveryLost        the broker no longer counts a message in hand as ours
        │   └── ChannelFull         a channel holds as many messages as it may
        ├── Unroutable              a publish found no queue: nothing was accepted
        ├── StoreUnavailable        the database cannot be reached or is locked too long
        ├── ObjectsUnavailable      the object store cannot be reached
        ├── ProducerUnavailable     the producer's API cannot be reached
        ├── ScalerUnavailable       the scaler's API cannot be reached
        ├── UnknownCount            a count could not be read; it is never taken as 0
        └── Overloaded              a limit on work in hand is reached (HTTP 429 / 503)

An error's text is one sentence for the person who meets it; `remedy`, where present, is what to do next.
"""

from __future__ import annotations


class BuildyardError(Exception):
    """The root: `str(error)` is one sentence, `remedy` what to do, `code` a snake_case word."""

    code = "error"

    def __init__(self, sentence: str, *, remedy: str = "") -> None:
        super().__init__(sentence)
        self.remedy = remedy


class PermanentError(BuildyardError):
    """The same request will fail the same way."""

    code = "permanent"


class InvalidRequest(PermanentError):
    """A field, a value or a shape is wrong; `field` is its dotted path where one is to blame."""

    code = "invalid_request"

    def __init__(self, sentence: str, *, remedy: str = "", field: str = "") -> None:
        super().__init__(sentence, remedy=remedy)
        self.field = field


class InvalidUpload(PermanentError):
    """The uploaded bytes are not what they should be."""

    code = "invalid_upload"


class TooLarge(PermanentError):
    """A limit of size or number is passed."""

    code = "too_large"


class NotFound(PermanentError):
    """No such thing."""

    code = "not_found"


class Gone(NotFound):
    """There was such a thing; it was removed when its time was over."""

    code = "gone"


class Conflict(PermanentError):
    """The thing is not in a state that allows this."""

    code = "conflict"


class Forbidden(PermanentError):
    """The caller may not do this."""

    code = "forbidden"


class Unauthorized(PermanentError):
    """No token, or a wrong one."""

    code = "unauthorized"


class HostileArchive(PermanentError):
    """An archive tries to leave its folder, to blow up, or is broken."""

    code = "hostile_archive"


class UnreadableMessage(PermanentError):
    """A message from the broker is not one of ours."""

    code = "unreadable_message"


class InvalidSettings(PermanentError):
    """A setting or a configuration file is wrong."""

    code = "invalid_settings"


class TemporaryError(BuildyardError):
    """Trying again after `retry_after` seconds may succeed."""

    code = "temporary"

    def __init__(self, sentence: str, *, remedy: str = "", retry_after: float = 1.0) -> None:
        super().__init__(sentence, remedy=remedy)
        self.retry_after = retry_after


class BrokerUnavailable(TemporaryError):
    """The broker cannot be reached or refuses for now."""

    code = "broker_unavailable"


class DeliveryLost(BrokerUnavailable):
    """The broker no longer counts a message in hand as ours: it goes to another consumer, or comes again."""

    code = "delivery_lost"


class ChannelFull(BrokerUnavailable):
    """A channel holds as many messages as it may; it takes more when some of them were read."""

    code = "channel_full"


class Unroutable(TemporaryError):
    """A publish found no queue: nothing was accepted."""

    code = "unroutable"


class StoreUnavailable(TemporaryError):
    """The database cannot be reached, or stayed locked too long."""

    code = "store_unavailable"


class ObjectsUnavailable(TemporaryError):
    """The object store cannot be reached."""

    code = "objects_unavailable"


class ProducerUnavailable(TemporaryError):
    """The producer's API cannot be reached."""

    code = "producer_unavailable"


class ScalerUnavailable(TemporaryError):
    """The scaler's API cannot be reached."""

    code = "scaler_unavailable"


class UnknownCount(TemporaryError):
    """A count could not be read; nobody may take it as 0."""

    code = "unknown_count"


class Overloaded(TemporaryError):
    """A limit on work in hand is reached."""

    code = "overloaded"
