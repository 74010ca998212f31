"""Keep the record of a run as later versions are to read it.

``python tests/records/keep.py RUN_ID tests/records/schema-N``: the run's tags and what is attached
to it, as they lie on the server of MLFLOW_TRACKING_URI.
"""

import json
import sys
from pathlib import Path

import mlflow


def keep(run_id: str, folder: Path) -> None:
    client = mlflow.MlflowClient()
    folder.mkdir(parents=True)
    client.download_artifacts(run_id, "dvc", str(folder))
    tags = client.get_run(run_id).data.tags
    ours = {key: tags[key] for key in sorted(tags) if not key.startswith("mlflow.")}
    (folder / "tags.json").write_text(json.dumps(ours, indent=1) + "\n")


if __name__ == "__main__":
    keep(sys.argv[1], Path(sys.argv[2]))
