"""Logging: one line a fact, on standard error, for people or for programs."""

from __future__ import annotations

import logging
import sys

import structlog

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure_logging(level: str, form: str, process: str) -> None:
    """Set up structlog for this process; `form` is `text` or `json`."""
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), sort_keys=False)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(process=process)
    take_in_foreign_logs(max(_LEVELS[level], logging.WARNING))


def take_in_foreign_logs(level: int) -> None:
    """Let what libraries say by way of `logging` come out as our own lines, from `level` on; once a process."""
    root = logging.getLogger()
    if not any(isinstance(handler, _Bridge) for handler in root.handlers):
        root.addHandler(_Bridge())
    root.setLevel(level)


class _Bridge(logging.Handler):
    """Hands the records of `logging` to structlog: one shape for every line, whoever wrote it."""

    def emit(self, record: logging.LogRecord) -> None:
        """Say it again; `part` is the library's name for itself."""
        said = record.getMessage().strip()
        structlog.get_logger(part=record.name).log(record.levelno, said, exc_info=record.exc_info)


def logger(part: str) -> structlog.stdlib.BoundLogger:
    """The logger of one part of a process."""
    bound: structlog.stdlib.BoundLogger = structlog.get_logger(part=part)
    return bound
