#!/usr/bin/env bash
# Generates isthmus/v1/*_pb2*.py(i) from isthmus/v1/*.proto, beside them; arguments: the Python that has the generators,
# and the folder to write to (this one if left out).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python=$1
out=${2:-$here}
mkdir -p "$out"
cd "$here"
PATH="$(dirname "$python"):$PATH" "$python" -m grpc_tools.protoc -I. \
  --python_out="$out" --mypy_out=quiet:"$out" isthmus/v1/*.proto
PATH="$(dirname "$python"):$PATH" "$python" -m grpc_tools.protoc -I. \
  --grpc_python_out="$out" --mypy_grpc_out=quiet:"$out" isthmus/v1/code_server.proto isthmus/v1/control_plane.proto
