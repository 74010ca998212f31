"""``python -m mlflow_dvc.secrets``: texts in, one a line of JSON; for each where secrets stand."""

import json
import os
import sys

from mlflow_dvc.secrets.detector import find_secrets

if __name__ == "__main__":
    if hasattr(os, "nice"):  # not on Windows
        os.nice(10)
    answer, sys.stdout = sys.stdout, sys.stderr
    for row in sys.stdin:
        path, text = json.loads(row)
        answer.write(json.dumps(find_secrets(path, text)) + "\n")
        answer.flush()  # what was answered counts, also where the next text takes too long
