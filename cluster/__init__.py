"""A farm on Kubernetes from the command line: what stands behind `./manage.sh up`, `forward`, `status`, `logs`, `down`.

It speaks to a cluster through `kubectl` alone, so it has exactly the rights of whoever runs it.
"""
