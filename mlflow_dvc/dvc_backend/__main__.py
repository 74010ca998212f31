"""``python -m mlflow_dvc.dvc_backend``: one JSON request on stdin, one JSON answer on stdout."""

import json
import sys

from mlflow_dvc.dvc_backend.resolve import resolve_here

if __name__ == "__main__":
    request = json.load(sys.stdin)
    json.dump(resolve_here(**request), sys.stdout, default=str)
