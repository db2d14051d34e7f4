#!/usr/bin/env bash
# Starts Minikube with the values of values.env, or goes on with the one that is there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
while IFS='=' read -r name value; do
  case $name in '' | \#*) continue ;; esac
  [ -n "${!name:-}" ] || export "$name=$value"
done <values.env

exec minikube start --cpus "$MINIKUBE_CPUS" --memory "$MINIKUBE_MEMORY" --disk-size "$MINIKUBE_DISK_SIZE" \
  --cni "$MINIKUBE_CNI" --addons "$MINIKUBE_ADDONS"
