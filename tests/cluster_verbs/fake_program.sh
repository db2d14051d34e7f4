#!/bin/sh
# Stands for kubectl, minikube, kind or docker: it notes its words and answers as the file of answers says.
# `port-forward` of kubectl really forwards, to FAKE_PORT.
line="${0##*/} $*"
printf '%s\n' "$line" >>"$FAKE_FOLDER/calls"
. "$FAKE_FOLDER/answers"
case $line in *' port-forward '*) exec "$FAKE_PYTHON" "$FAKE_FORWARDER" "$FAKE_PORT" ;; esac
