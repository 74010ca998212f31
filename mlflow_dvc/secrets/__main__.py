"""``python -m mlflow_dvc.secrets``: texts in, one a line of JSON; for each where secrets stand."""

import json
import os
import sys

from mlflow_dvc.secrets.detector import find_secrets
from mlflow_dvc.secrets.search import NOT_INSTALLED

if __name__ == "__main__":
    if hasattr(os, "nice"):  # not on Windows
        os.nice(10)
    answer, sys.stdout = sys.stdout, sys.stderr
    for row in sys.stdin:
        path, text = json.loads(row)
        try:
            found = find_secrets(path, text)
        except ModuleNotFoundError:
            sys.exit(NOT_INSTALLED)
        answer.write(json.dumps(found) + "\n")
        answer.flush()  # what was answered counts, also where the next text takes too long
