#!/bin/sh
set -e
exec python web/server.py "$1"
