# All images of Buildyard: docker build --target producer|scaler|worker|worker-dotnet|slow-api .   (docs/images.md)
#
# BASE is a Debian with Python 3.11 or newer; it may be an image of your own. pip's index, proxy and certificates come from the secrets `pip` (a pip.conf) and `ca` (a bundle); without
# them pip does as it does anywhere. Neither gets into a layer.
ARG BASE=python:3.13-slim-trixie
ARG DOTNET=mcr.microsoft.com/dotnet/sdk:9.0

# ---------------------------------------------------------------- what is built: stays behind
FROM ${BASE} AS wheels
WORKDIR /make
RUN python3 -c 'import ensurepip' 2>/dev/null || (apt-get -q update && apt-get -q install -y --no-install-recommends python3-venv)
RUN python3 -m venv tools
COPY requirements/images.txt requirements.txt
# Each file must have the hash that the lock says, and is a wheel: nothing that comes from outside runs here.
RUN --mount=type=secret,id=pip,target=/etc/pip.conf --mount=type=secret,id=ca,target=/run/secrets/ca \
    tools/bin/pip --disable-pip-version-check --no-cache-dir download --quiet --no-deps --only-binary :all: \
    --require-hashes --requirement requirements.txt --dest wheels
RUN tools/bin/pip install --quiet --no-index --find-links wheels hatchling editables
COPY pyproject.toml README.md LICENSE ./
COPY buildyard buildyard
COPY orchestrator orchestrator
COPY scaler scaler
COPY tui tui
COPY worker worker
RUN tools/bin/pip wheel --quiet --no-index --no-deps --no-build-isolation --wheel-dir wheels .

# One environment each, of verified wheels only, without pip, and with those of our packages that the process imports.
FROM wheels AS producer-environment
ARG EXTRAS=rabbitmq,producer
RUN python3 -m venv --without-pip /opt/buildyard \
    && tools/bin/pip --python /opt/buildyard/bin/python install --quiet --no-index --find-links wheels "buildyard[$EXTRAS]" \
    && cd /opt/buildyard/lib/python3*/site-packages && rm -r scaler tui worker

FROM wheels AS scaler-environment
ARG EXTRAS=rabbitmq,scaler,tui,web,docker,ssh,kubernetes
RUN python3 -m venv --without-pip /opt/buildyard \
    && tools/bin/pip --python /opt/buildyard/bin/python install --quiet --no-index --find-links wheels "buildyard[$EXTRAS]" \
    && cd /opt/buildyard/lib/python3*/site-packages && rm -r orchestrator worker

FROM wheels AS worker-environment
ARG EXTRAS=rabbitmq,worker
RUN python3 -m venv --without-pip /opt/buildyard \
    && tools/bin/pip --python /opt/buildyard/bin/python install --quiet --no-index --find-links wheels "buildyard[$EXTRAS]" \
    && cd /opt/buildyard/lib/python3*/site-packages && rm -r orchestrator scaler tui

FROM ${DOTNET} AS dotnet

# ---------------------------------------------------------------- what runs
FROM ${BASE} AS runtime
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="Buildyard" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION"
# An account without a name in any other container, folders that it may write, and no pip where the base brings one.
RUN printf 'buildyard:x:10001:10001:Buildyard:/work:/usr/sbin/nologin\n' >>/etc/passwd \
    && printf 'buildyard:x:10001:\n' >>/etc/group \
    && install -d -o 10001 -g 10001 -m 0750 /work /data /objects \
    && (python3 -m pip --version >/dev/null 2>&1 && python3 -m pip uninstall --yes --quiet --root-user-action ignore pip || true) \
    && rm -rf /root/.cache /tmp/*
COPY --chmod=0755 images/healthcheck.py /opt/healthcheck.py
ENV PATH=/opt/buildyard/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    BUILDYARD_LOG_FORMAT=json
USER 10001:10001
STOPSIGNAL SIGTERM

FROM runtime AS producer
LABEL org.opencontainers.image.description="Buildyard's producer: the HTTP API that takes uploads and keeps the state"
COPY --from=producer-environment /opt/buildyard /opt/buildyard
ENV BUILDYARD_DATA_DIR=/data BUILDYARD_HOST=0.0.0.0 BUILDYARD_PORT=8000 BUILDYARD_PROBE_PORT=8000
WORKDIR /data
EXPOSE 8000
HEALTHCHECK --interval=5s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python3", "/opt/healthcheck.py", "http", "/api/v1/live"]
ENTRYPOINT ["python", "-P", "-m", "orchestrator"]

FROM runtime AS scaler
LABEL org.opencontainers.image.description="Buildyard's scaler: starts workers by what waits"
COPY --from=scaler-environment /opt/buildyard /opt/buildyard
ENV BUILDYARD_DATA_DIR=/data BUILDYARD_HOST=0.0.0.0 BUILDYARD_SCALER_PORT=8080 BUILDYARD_PROBE_PORT=8080
WORKDIR /data
EXPOSE 8080
HEALTHCHECK --interval=5s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python3", "/opt/healthcheck.py", "http", "/healthz"]
ENTRYPOINT ["python", "-P", "-m", "scaler"]

FROM runtime AS worker
LABEL org.opencontainers.image.description="Buildyard's worker: takes one job at a time and builds it"
# What builds find here; name more where they need it, such as: gcc libc6-dev cmake.
ARG PACKAGES="git make python3-venv"
USER 0:0
RUN missing=; for name in $PACKAGES; do dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q 'ok installed' || missing="$missing $name"; done; \
    [ -z "$missing" ] || { apt-get -q update && apt-get -q install -y --no-install-recommends $missing; } \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt /var/log/dpkg.log
USER 10001:10001
COPY --from=worker-environment /opt/buildyard /opt/buildyard
ENV BUILDYARD_DATA_DIR=/work
WORKDIR /work
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s --retries=3 CMD ["python3", "/opt/healthcheck.py", "worker"]
ENTRYPOINT ["python", "-P", "-m", "worker"]

FROM worker AS worker-dotnet
LABEL org.opencontainers.image.description="Buildyard's worker with a .NET SDK"
ARG DOTNET_PACKAGES="libstdc++6 zlib1g"
USER 0:0
RUN missing=; for name in $DOTNET_PACKAGES; do dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q 'ok installed' || missing="$missing $name"; done; \
    [ -z "$missing" ] || { apt-get -q update && apt-get -q install -y --no-install-recommends $missing; } \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt /var/log/dpkg.log
COPY --from=dotnet /usr/share/dotnet /usr/share/dotnet
RUN ln -s /usr/share/dotnet/dotnet /usr/bin/dotnet
USER 10001:10001
ENV DOTNET_ROOT=/usr/share/dotnet DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1 \
    DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_SKIP_FIRST_TIME_EXPERIENCE=1 DOTNET_NOLOGO=1 \
    LD_LIBRARY_PATH=/usr/share/dotnet/lib

FROM runtime AS slow-api
LABEL org.opencontainers.image.description="A slow HTTP service with moods, to try calls with"
COPY examples/slow_api /opt/slow/examples/slow_api
ENV PYTHONPATH=/opt/slow BUILDYARD_PROBE_PORT=9000
EXPOSE 9000
HEALTHCHECK --interval=5s --timeout=5s --start-period=10s --retries=3 \
    CMD ["python3", "/opt/healthcheck.py", "http", "/stats"]
ENTRYPOINT ["python3", "-m", "examples.slow_api"]
CMD ["--host", "0.0.0.0", "--port", "9000"]
