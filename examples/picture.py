"""Draw docs/demo.svg, the picture in the README: the demo as a terminal shows it.

python examples/picture.py
"""

import io
import os
import tempfile
from pathlib import Path

from rich.console import Console

from mlflow_dvc.cli.demo_story import run_demo
from mlflow_dvc.cli.terminal import DemoOutput

TARGET = Path(__file__).resolve().parent.parent / "docs" / "demo.svg"

console = Console(
    record=True, width=136, file=io.StringIO(), force_terminal=True, emoji=False, highlight=False
)
with tempfile.TemporaryDirectory() as directory:
    os.chdir(directory)
    run_demo("mlflow-dvc-demo", DemoOutput(console))
    os.chdir(TARGET.parent)
TARGET.write_text(console.export_svg(title="mlflow-dvc demo"), encoding="utf-8")
print(TARGET)
