"""Every setting of every process: `BUILDYARD_*` in the environment, documented by its own description.

`docs/settings.md` is generated from here (`python -m buildyard.settings`), and a test keeps it so.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, get_args

from pydantic import AwareDatetime, Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from buildyard.errors import InvalidSettings
from buildyard.wording import plain


def _default_data_dir() -> Path:
    return Path.home() / ".local" / "share" / "buildyard"


class Settings(BaseSettings):
    """The settings; URLs left empty become files below `data_dir`."""

    model_config = SettingsConfigDict(env_prefix="BUILDYARD_", frozen=True, extra="ignore")

    data_dir: Path = Field(
        default_factory=_default_data_dir, description="Where an embedded farm keeps everything it owns."
    )
    broker_url: str = Field(
        default="", description="`sqlite:///FILE` or `amqp://USER:PASSWORD@HOST:5672/VHOST`; empty: a file in DATA_DIR."
    )
    broker_management_url: str = Field(
        default="",
        description="`http://USER:PASSWORD@HOST:15672`, RabbitMQ's management API: a second source of counts, "
        "beside which no 0 of the broker is believed alone; empty: none.",
    )
    store_url: str = Field(
        default="",
        description="`sqlite+aiosqlite:///FILE` or `postgresql+asyncpg://…`; empty: DATABASE_URL, or a DATA_DIR file.",
    )
    objects_url: str = Field(
        default="", description="`file:///FOLDER` or `s3://BUCKET/PREFIX`; empty: a folder in DATA_DIR."
    )
    scan_url: str = Field(default="none:", description="`none:` or `clamav://HOST:3310`: who looks at uploads first.")
    pools_file: Path | None = Field(
        default=None, description="TOML file that declares the pools; none: one pool `linux` of local processes."
    )
    max_workers: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="Workers that all pools may have together; it goes before `max_workers` of `[farm]` in the pools "
        "file; none: each pool's own maximum holds alone.",
    )
    host: str = Field(
        default="127.0.0.1",
        description="Address the producer and the scaler listen on; others than loopback need TOKEN.",
    )
    port: int = Field(
        default=8000, ge=0, le=65535, description="Port of the producer; `PORT` is honoured too; 0: a free one."
    )
    leader_url: str = Field(
        default="file:",
        description="How scalers agree on which of them decides while the others stand by: `file:`, a lock in "
        "DATA_DIR, `lease:NAMESPACE/NAME`, a Lease of their Kubernetes cluster, or `none:`, each decides.",
    )
    advertise_address: str = Field(
        default="",
        description="Address under which other scalers reach this one: one that stands by hands questions on to who "
        "leads; empty: HOST, unless that is 0.0.0.0.",
    )
    scaler_port: int = Field(default=8080, ge=0, le=65535, description="Port of the scaler; 0: a free one.")
    api_url: str = Field(default="", description="Where clients find the producer; empty: HOST and PORT above.")
    scaler_url: str = Field(default="", description="Where clients find the scaler; empty: HOST and SCALER_PORT above.")
    token: str = Field(default="", description="Bearer token that every request must carry; needed outside loopback.")
    allowed_hosts: str = Field(
        default="", description="Further Host names, comma-separated, under which the APIs may be called."
    )
    git_hosts: str = Field(
        default="github.com,gitlab.com",
        description="Hosts to clone from; an origin such as `https://git.corp:8443` may be a private one.",
    )
    git_credentials_file: str = Field(
        default="",
        description="A worker's TOML file of tokens and deploy keys for private git hosts (docs/git.md); empty: none.",
    )
    git_local_roots: str = Field(
        default="", description="Folders, comma-separated, whose local repositories may be built; empty: none."
    )
    call_hosts: str = Field(
        default="",
        description="Services, comma-separated, that rows may call: `api.example.com` (https, public addresses), or "
        "`10.0.0.5:8080`, which may be a private one; empty: none.",
    )
    upload_max_bytes: int = Field(default=8 * 2**30, ge=1, description="Largest upload, in bytes.")
    unpack_max_bytes: int = Field(default=20 * 2**30, ge=1, description="Most bytes an archive may unpack to.")
    unpack_max_entries: int = Field(default=200_000, ge=1, description="Most entries an archive may hold.")
    queue_max_builds: int = Field(
        default=100_000, ge=1, description="Builds that may be open at once; a request above it is told to wait."
    )
    requests_per_minute: int = Field(
        default=0, ge=0, description="Requests for builds that one requester may make in a minute; 0: no limit."
    )
    unbuilt_max_bytes: int = Field(
        default=64 * 2**30,
        ge=0,
        description="Bytes of uploads, on their way in or not built yet, that the farm holds; an upload that would"
        " make it more is told to wait. One is always let in when there is no other. 0: no limit.",
    )
    disk_reserve_bytes: int = Field(
        default=2**30, ge=0, description="Room that uploads leave free where objects are files; builds need it."
    )
    work_disk_bytes: int = Field(
        default=256 * 2**20,
        ge=0,
        description="Room that a worker must find free where it builds before it takes a job; with less it waits.",
    )
    upload_keep_hours: float = Field(default=24, gt=0, description="An upload without a build goes after this time.")
    source_keep_hours: float = Field(
        default=168,
        gt=0,
        description="An ended build may be built again for this long, then its upload goes; a dead letter's stays "
        "until it is settled.",
    )
    build_keep_days: float = Field(
        default=30,
        gt=0,
        description="An ended build goes after this time, with all that belongs to it. Dead letters stay until they "
        "are settled.",
    )
    output_keep_days: float = Field(
        default=30, gt=0, description="Log and artifacts of an ended build go after this time, if not with the build."
    )
    newest_keep_days: float = Field(
        default=365,
        ge=0,
        description="A project's newest build that succeeded is kept for this time, with log and artifacts; 0: like "
        "any other.",
    )
    leftover_keep_hours: float = Field(
        default=1, gt=0, description="What lost attempts stored goes after this time from the end of their build."
    )
    orphan_keep_hours: float = Field(
        default=24, gt=0, description="Objects of builds that there are not go after this time."
    )
    dead_message_keep_days: float = Field(
        default=14, gt=0, description="Messages that nobody could read go after this time."
    )
    dead_messages_max: int = Field(
        default=1000, ge=1, description="So many messages that nobody could read are kept; beyond it the oldest go."
    )
    max_build_minutes: float = Field(
        default=120, gt=0, description="The farm's longest build; a request for more is refused."
    )
    max_attempts: int = Field(
        default=3,
        ge=1,
        description="Attempts of a job in all, whether it loses its worker or fails for a temporary cause.",
    )
    lease_seconds: float = Field(default=30, gt=0, description="A silent attempt is given up after this time.")
    heartbeat_seconds: float = Field(default=10, gt=0, description="How often agents report that they live.")
    cancel_seconds: float = Field(default=30, gt=0, description="A cancelled build ends after this time at the latest.")
    queue_hours: float = Field(default=24, gt=0, description="A build that waits longer than this ends as timed out.")
    no_agent_minutes: float = Field(
        default=10, gt=0, description="A build in a pool that had no agent for so long ends, saying so."
    )
    sweep_seconds: float = Field(default=1, gt=0, description="How often the producer looks for work left alone.")
    tick_seconds: float = Field(default=1, gt=0, description="How often the scaler decides without being rung.")
    decisions_max_bytes: int = Field(
        default=256 * 2**20, ge=2**20, description="Bytes that the scaler's record of decisions may take on disk."
    )
    decisions_keep_days: float = Field(
        default=14, gt=0, le=36_500, description="Decisions of earlier days go when a new file of the record is begun."
    )
    grace_seconds: float = Field(default=25, gt=0, description="Time between SIGTERM and the end of a process.")
    idle_exit_seconds: float = Field(
        default=0,
        ge=0,
        description="A worker leaves by itself after so long without work; 0: never. The scaler sets it for the"
        " workers of a pool with the policy `elastic`.",
    )
    ends_at: AwareDatetime | None = Field(
        default=None,
        description="When the platform takes a worker's place away, in RFC 3339: it claims nothing that could still"
        " run then, MAX_BUILD_MINUTES being the longest. Executors set it where places end; none: it stays.",
    )
    orphan_grace_seconds: float = Field(
        default=600, gt=0, description="How long a worker goes on without broker and producer."
    )
    log_level: str = Field(
        default="info", pattern="^(debug|info|warning|error)$", description="Least level that is logged."
    )
    log_format: str = Field(
        default="text", pattern="^(text|json)$", description="`text` for people, `json` for programs."
    )

    @model_validator(mode="before")
    @classmethod
    def _platform_conventions(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Honour DATABASE_URL and PORT, which hosting platforms set, where ours are not set."""
        if not values.get("store_url") and os.environ.get("DATABASE_URL"):
            values["store_url"] = os.environ["DATABASE_URL"]
        if "port" not in values and os.environ.get("PORT"):
            values["port"] = os.environ["PORT"]
        return values

    @field_validator("store_url")
    @classmethod
    def _async_driver(cls, url: str) -> str:
        for scheme in ("postgres://", "postgresql://"):
            if url.startswith(scheme):
                return "postgresql+asyncpg://" + url.removeprefix(scheme)
        return "sqlite+aiosqlite://" + url.removeprefix("sqlite://") if url.startswith("sqlite://") else url

    @model_validator(mode="after")
    def _outside_loopback_needs_a_token(self) -> Settings:
        if self.host not in {"127.0.0.1", "::1", "localhost"} and not self.token:
            msg = "BUILDYARD_HOST is not loopback, so BUILDYARD_TOKEN must be set"
            raise ValueError(msg)
        return self

    @property
    def broker(self) -> str:
        """The broker's URL with its default filled in."""
        return self.broker_url or f"sqlite:///{self.data_dir / 'broker.sqlite'}"

    @property
    def store(self) -> str:
        """The store's URL with its default filled in."""
        return self.store_url or f"sqlite+aiosqlite:///{self.data_dir / 'store.sqlite'}"

    @property
    def objects(self) -> str:
        """The object store's URL with its default filled in."""
        return self.objects_url or f"file://{self.data_dir / 'objects'}"

    @property
    def api(self) -> str:
        """Where clients find the producer."""
        return (self.api_url or f"http://{self.host}:{self.port}").rstrip("/")

    @property
    def scaler(self) -> str:
        """Where clients find the scaler."""
        return (self.scaler_url or f"http://{self.host}:{self.scaler_port}").rstrip("/")

    def listed(self, name: str) -> tuple[str, ...]:
        """A comma-separated setting as its words."""
        text: str = getattr(self, name)
        return tuple(word.strip() for word in text.split(",") if word.strip())


def load_settings(**overrides: Any) -> Settings:
    """Read the settings from the environment; `overrides` win.

    Raises:
        InvalidSettings: a value is wrong; the sentence names the variable.
    """
    try:
        return Settings(**overrides)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = "BUILDYARD_" + "_".join(str(part) for part in first["loc"]).upper() if first["loc"] else "Settings"
        raise InvalidSettings(
            f"{name} is wrong: {plain(first['msg'])}.", remedy="docs/settings.md lists every setting."
        ) from error


def settings_table() -> str:
    """All settings as the Markdown page `docs/settings.md`."""
    rows = ["# Settings", "", "Generated by `python -m buildyard.settings`; every process reads the same ones.", ""]
    rows += ["| variable | type | default | what it is for |", "|---|---|---|---|"]
    for name, field in Settings.model_fields.items():
        kind = getattr(field.annotation, "__name__", None) or " or ".join(
            part.__name__ for part in get_args(field.annotation) if part is not type(None)
        )
        default = "`~/.local/share/buildyard`" if name == "data_dir" else f"`{field.default!r}`".replace("'", '"')
        default = "" if field.default in ("", None) else default
        rows.append(f"| `BUILDYARD_{name.upper()}` | {kind} | {default} | {field.description} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    import sys

    sys.stdout.write(settings_table())
