"""What a pool on Kubernetes declares: where its worker Jobs run, what their pods are like, and when it gives up."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, JsonValue, model_validator

from buildyard.contracts.wire import Request

DnsLabel = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
"""A name as Kubernetes takes it for namespaces, containers and volumes (RFC 1123)."""
ObjectName = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")]
"""The name of any other object: a DNS subdomain."""
Quantity = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti|P|Pi|E|Ei)?$")]
"""An amount as Kubernetes writes it: `500m`, `2`, `4Gi`."""
LabelValue = Annotated[str, Field(pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$")]
AbsolutePath = Annotated[str, Field(pattern=r"^/[^\x00:]*$", max_length=1000)]


class PendingBounds(Request):
    """For how many seconds, from its creation, a worker may wait to run; by why it waits.

    A node that has to be bought takes minutes (no_node), and a first pull of a large image too (starting); a name that
    is wrong stays wrong (bad_spec).
    """

    image_pull: float = Field(default=300, gt=0)
    no_node: float = Field(default=900, gt=0)
    quota: float = Field(default=300, gt=0)
    bad_spec: float = Field(default=30, gt=0)
    volume: float = Field(default=300, gt=0)
    starting: float = Field(default=900, gt=0)


class Toleration(Request):
    """A taint that the pool's pods put up with, in Kubernetes' own words."""

    key: str = Field(default="", max_length=317)
    operator: str = Field(default="Equal", pattern="^(Equal|Exists)$")
    value: LabelValue = ""
    effect: str = Field(default="", pattern="^(|NoSchedule|PreferNoSchedule|NoExecute)$")
    toleration_seconds: int | None = Field(default=None, ge=0)


class PodVolume(Request):
    """A volume of the pool's pods beside the three empty folders that every worker has.

    `source` is the volume as a pod's spec has it, without its name, for example
    `{ persistentVolumeClaim = { claimName = "nuget" } }`. Folders of the node are refused: a build could leave its pod.
    """

    name: DnsLabel = Field(max_length=50)
    path: AbsolutePath
    source: dict[str, JsonValue]
    read_only: bool = True

    @model_validator(mode="after")
    def _no_folder_of_the_node(self) -> Self:
        if len(self.source) != 1:
            msg = "source must name one kind of volume"
            raise ValueError(msg)
        if "hostPath" in self.source:
            msg = "a hostPath would let a build out of its pod"
            raise ValueError(msg)
        return self


class KubernetesPool(Request):
    """The table `kubernetes` of a pool. Its workers are Jobs of one namespace, made by a kubeconfig's context.

    Without `kubeconfig` and `context` a scaler that runs in a pod uses its own service account, another one uses
    KUBECONFIG or `~/.kube/config`.
    """

    namespace: DnsLabel = "buildyard"
    kubeconfig: str = ""
    context: str = ""
    farm: LabelValue = Field(default="buildyard", min_length=1)
    """Farms that share a namespace tell their workers apart by this label."""

    image: str = Field(min_length=1, max_length=1000, pattern=r"^\S+$")
    image_pull_policy: str = Field(default="IfNotPresent", pattern="^(Always|IfNotPresent|Never)$")
    image_pull_secrets: tuple[ObjectName, ...] = ()
    command: tuple[str, ...] = ("python", "-P", "-m", "worker")
    """What the container runs; ` --pool P --name N` is added."""

    requests: dict[str, Quantity] = Field(default_factory=lambda: {"cpu": "1", "memory": "1Gi"})
    limits: dict[str, Quantity] = Field(default_factory=lambda: {"memory": "4Gi", "ephemeral-storage": "20Gi"})
    workspace_size: Quantity = "20Gi"
    """At most so much in the folders that a worker may write to."""

    node_selector: dict[str, LabelValue] = Field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()
    priority_class: str = ""
    runtime_class: str = ""
    """For example `gvisor`."""
    service_account: str = ""
    """Its token is never mounted."""
    run_as_user: int = Field(default=10001, ge=1)
    user_namespaces: bool = False
    """Run pods in user namespaces of their own (`hostUsers: false`): needs Kubernetes 1.33 and a runtime that can."""

    labels: dict[str, LabelValue] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    volumes: tuple[PodVolume, ...] = ()
    environment: dict[str, str] = Field(default_factory=dict)
    environment_secret: str = ""
    """A Secret whose keys become variables of the worker: BUILDYARD_TOKEN, BUILDYARD_BROKER_URL, S3 credentials.

    With one, the scaler writes neither of those two into its Jobs."""
    work_path: AbsolutePath = "/w"
    """Where the worker's own folder is; /tmp and /home/buildyard can be written too, and nothing else."""

    deadline_seconds: int = Field(default=6 * 3600, ge=60)
    """A Job ends after this time; its worker claims nothing that could still run then."""
    grace_seconds: int = Field(default=120, ge=1)
    """Between SIGTERM and SIGKILL: long enough to end a short job or to hand a long one back."""
    ttl_seconds: int = Field(default=3600, ge=0)
    """An ended Job stays so long, and its log with it."""
    pending_seconds: PendingBounds = PendingBounds()
