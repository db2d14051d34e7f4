#!/usr/bin/env bash
#: ./manage.sh VERB [OPTIONS]: everything one does with this folder. It needs Python 3.11 or newer, git and nothing else.
#:
# What follows `#:` is the text that `help` prints. Verbs are the functions verb_*; each is a few lines.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
unset PYTHONPATH PYTHONHOME # another project's modules must not stand in front of ours
venv=$PWD/.venv

#: demo            from nothing to finished builds: an embedded farm builds examples/, verifies every artifact and ends
verb_demo() {
  environment run
  exec "$venv/bin/python" -m buildyard.cli.demo "$@"
}

#: local           the embedded farm in the foreground, until Ctrl-C; it prints its addresses
verb_local() {
  environment run
  exec "$venv/bin/python" -m buildyard.cli local "$@"
}

#: tui             the dashboard over a running farm (--demo: over a simulated one; --replay FILE: over a recording)
verb_tui() {
  environment run
  exec "$venv/bin/python" -m tui "$@"
}

#: dashboard       the dashboard's overview as text (-w: again every two seconds; --json)
verb_dashboard() {
  environment run
  exec "$venv/bin/python" -m tui --once "$@"
}

#: up              a farm on Kubernetes: on Minikube, else kind, or on --context NAME with --overlay; may be repeated
verb_up() { on_cluster up "$@"; }

#: forward         opens it here until Ctrl-C: producer 8000, dashboard 8080, RabbitMQ 15672
verb_forward() { on_cluster forward "$@"; }

#: down            takes it away; asks before data go (--yes, --keep-data, --delete-data)
verb_down() { on_cluster down "$@"; }

#: status          what is there and what waits for what, on one screen
verb_status() { on_cluster status "$@"; }

#: logs            logs of producer and scaler, or of the parts named (-f: follow; --tail N)
verb_logs() { on_cluster logs "$@"; }

#: images          builds all images and loads them into Minikube or kind; or only those named
verb_images() { on_cluster images "$@"; }

#: test            all tests; options go to pytest, as in: ./manage.sh test tests/buildyard -k archive
verb_test() {
  environment dev
  # All of it runs side by side: most tests wait for processes. What is picked runs as one would expect.
  [ $# != 0 ] || set -- --numprocesses "$(($(getconf _NPROCESSORS_ONLN) < 4 ? 2 : 4))"
  "$venv/bin/python" -m pytest "$@"
}

#: lint            format, style, types and import rules; changes nothing
verb_lint() {
  environment dev
  local check failed=0
  for check in "ruff format --check ." "ruff check ." mypy lint-imports; do
    "$venv/bin"/$check || failed=1 # split into words; all are run, so that one round shows everything
  done
  return $failed
}

#: docs            the documentation as pages for a browser, in .cache/docs; a link that leads nowhere fails it
verb_docs() {
  environment dev
  "$venv/bin/python" -m sphinx --fail-on-warning --nitpicky --quiet docs .cache/docs
  say "The pages are made: $PWD/.cache/docs/index.html"
}

#: check           all that has to be right before a change is proposed: lint, docs, then test
verb_check() {
  verb_lint
  verb_docs
  verb_test
}

#: bench           measures start latency, throughput and idle cost, and writes docs/benchmarks.md
verb_bench() {
  environment dev
  exec "$venv/bin/python" -m bench "$@"
}

#: chaos           builds under seeded faults, then counts what was lost or doubled (--seed, --minutes, --on, --own-servers)
verb_chaos() {
  environment dev
  exec "$venv/bin/python" -m chaos "$@"
}

#: lock            writes requirements/*.txt anew from pyproject.toml (--upgrade: with the newest versions)
verb_lock() {
  environment dev
  lock run --extra web "$@"
  lock dev --extra dev --extra web --extra docs --extra docker --extra ssh --extra kubernetes "$@"
  lock images --extra web --extra docker --extra ssh --extra kubernetes --constraint requirements/dev.txt "$@" # as tested
}

#: help            this text
verb_help() {
  sed -n 's/^#: \{0,1\}//p' manage.sh
}

# ---------------------------------------------------------------- environment
# environment run|dev: makes .venv hold exactly what requirements/run.txt or dev.txt names; instant when it does.
environment() {
  ! prepared "$1" || return 0
  exec 8>"$venv.lock"; ! command -v flock >/dev/null || flock 8 # of two verbs at once the second finds all there
  prepared "$1" || prepare "$1"
  exec 8>&-
}

prepared() {
  [ "$(cat "$venv/$1.stamp" 2>/dev/null)" != "$(wanted "$1")" ] || return 0
  [ "$1" = run ] && [ "$(cat "$venv/dev.stamp" 2>/dev/null)" = "$(wanted dev)" ] # dev holds all of run
}

prepare() {
  say "Setting up Python in .venv (once; about half a minute)"
  if ! "$venv/bin/python" -c '' 2>/dev/null; then
    local python; python=$(suitable_python)
    "$python" -m venv --clear "$venv"
  fi
  pip_install --require-hashes -r "requirements/$1.txt"
  pip_install --no-deps --no-build-isolation -e .
  wanted "$1" >"$venv/$1.stamp"
}

# What a finished set-up is known by: the lock, and the project file that names our packages and commands.
# Nothing comes out where .venv has no working Python, so that a broken one is made again.
wanted() {
  "$venv/bin/python" - "requirements/$1.txt" pyproject.toml <<'PYTHON' 2>/dev/null || echo none
import hashlib, pathlib, sys
print(sys.prefix, *(hashlib.sha256(pathlib.Path(name).read_bytes()).hexdigest() for name in sys.argv[1:]))
PYTHON
}

# The first Python that is new enough and can make virtual environments.
suitable_python() {
  local name old='' bare=''
  for name in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11 python; do
    "$name" -c '' 2>/dev/null || continue
    "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { old=$("$name" -V 2>&1); continue; }
    "$name" -c 'import venv, ensurepip' 2>/dev/null || { bare=$name; continue; }
    printf %s "$name"; return 0
  done
  [ -z "$bare" ] || fail "$bare cannot make virtual environments. On Debian or Ubuntu: apt install python3-venv."
  fail "Buildyard needs Python 3.11 or newer; found: ${old:-none}. Install one, or name it: PYTHON=/path/to/python3 $0 …"
}

# pip install with a few lines of progress in place of pages; the whole output is shown when it fails.
pip_install() {
  local output; output=$(mktemp)
  "$venv/bin/python" -m pip install --disable-pip-version-check --no-input --progress-bar off "$@" 2>&1 |
    tee "$output" | awk '
      /^Collecting / && ++n % 15 == 0 { print "  " n " libraries fetched"; fflush() }
      /^Installing collected packages/ && n { print "  installing " n " libraries"; fflush() }' >&2 || {
    cat "$output" >&2
    fail "The libraries could not be installed (pip's own words are above). Is the package index reachable?"
  }
  rm -f "$output"
}

# lock NAME OPTIONS...: pins versions and hashes for all platforms; the address of no index gets into the file.
lock() {
  local file=requirements/$1.txt; shift
  say "Locking $file (a minute or two)"
  env -u PIP_FIND_LINKS "$venv/bin/pip-compile" --quiet --generate-hashes --allow-unsafe --strip-extras --no-header \
    --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --build-deps-for editable \
    --extra rabbitmq --extra producer --extra scaler --extra tui --extra worker "$@" --output-file "$file" pyproject.toml
}

# on_cluster VERB OPTIONS...: a verb of the package `cluster`.
on_cluster() {
  environment run
  exec "$venv/bin/python" -m cluster "$@"
}

say() { printf '%s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

verb=${1:-help}; shift || true
case $verb in -h | --help) verb=help ;; esac
declare -F "verb_$verb" >/dev/null || { say "There is no verb '$verb'. ./manage.sh help lists them."; exit 2; }
"verb_$verb" "$@"
