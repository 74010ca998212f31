"""Whether the source of a program shows that it had read nothing before it imported MLflow."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mlflow_dvc.observe.beginning import Beginning, _Place

NOTHING = [
    "import os, sys\nimport numpy as np\n",
    "'''What it does.'''\nfrom __future__ import annotations\nimport pandas as pd\n",
    "import logging\nlog = logging.getLogger('x')\nlog.setLevel(10)\nlogging.basicConfig()\n",
    "import numpy as np, random\nrandom.seed(1)\nnp.random.seed(1)\n",
    "import os\nos.environ['A'] = str(1)\nos.environ.setdefault('B', '2')\n",
    "import sys\nfrom pathlib import Path\nROOT = Path('x').resolve().parent\n"
    "sys.path.insert(0, str(ROOT))\n",
    "import matplotlib\nmatplotlib.use('Agg')\n",
    "def read():\n    return open('data.csv').read()\n",
    "class Reader:\n    size = 3\n    def read(self):\n        return open('x')\n",
    "from dataclasses import dataclass\n@dataclass\nclass A:\n    x: int = 1\n",
    "try:\n    import polars\nexcept ImportError:\n    polars = None\n",
    "import argparse\nparser = argparse.ArgumentParser()\nparser.add_argument('x')\n"
    "args = parser.parse_args()\n",
    "key = lambda path: open(path).read()\n",
    "import warnings as w\nw.filterwarnings('ignore')\n",
    "name = 'a b'.split()[0]\n",
]
SOMETHING = [
    "text = open('data.csv').read()\n",
    "import pandas as pd\nframe = pd.read_csv('data.csv')\n",
    "from pathlib import Path\ntext = Path('data.csv').read_text()\n",
    "from pathlib import Path\npath = Path('data.csv')\ntext = path.read_text()\n",
    "from sklearn.datasets import load_files\ndata = load_files('data')\n",
    "import os\nos.system('cat data.csv')\n",
    "import os\nfile = os.open('data.csv', 0)\n",
    "with open('data.csv') as file:\n    pass\n",
    "if True:\n    import x\n    x.anything()\n",
    "class A:\n    text = open('data.csv').read()\n",
    "@register\ndef read(): ...\nmain()\n",
    "for name in ['a']:\n    load(name)\n",
    "import runpy\nrunpy.run_path('other.py')\n",
    "def broken(:\n",
]


def fault(source: str, folder: Path) -> str | None:
    file = folder / "train.py"
    file.write_text(source + "import mlflow\n")
    begun = Beginning(None, str(folder / "nowhere"))
    begun._places = [_Place(str(file), source.count("\n") + 1, 0)]
    return begun.fault


@pytest.mark.parametrize("source", NOTHING)
def test_imports_and_settings(source: str, tmp_path: Path):
    """Imports, definitions and settings read no data."""
    assert fault(source, tmp_path) is None


@pytest.mark.parametrize("source", SOMETHING)
def test_anything_else(source: str, tmp_path: Path):
    """Any other call may read some, and so may a source that nobody understands."""
    assert "train.py" in (fault(source, tmp_path) or "")


def test_what_comes_after(tmp_path: Path):
    """What stands after the import had not run."""
    file = tmp_path / "train.py"
    file.write_text("import mlflow\nopen('data.csv').read()\n")
    begun = Beginning(None, str(tmp_path / "nowhere"))
    begun._places = [_Place(str(file), 1, 0)]
    assert begun.fault is None


def test_in_a_function():
    """A program that imports MLflow in a function has run up to there."""
    assert "test_beginning.py had run" in (Beginning(sys._getframe(), "/nowhere").fault or "")


def test_modules_that_were_imported_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A module of the project that reads data while it is imported is looked at, too."""
    (tmp_path / "tables_of_before.py").write_text("import csv\nTEXT = load('data.csv')\n")
    module = type(sys)("tables_of_before")
    module.__file__ = str(tmp_path / "tables_of_before.py")
    monkeypatch.setitem(sys.modules, "tables_of_before", module)
    assert Beginning(None, str(tmp_path)).fault == (
        "line 2 of tables_of_before.py had run before observing began"
    )


def test_empty_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A module without a line, as many an ``__init__.py`` is, has read nothing."""
    module = type(sys)("package_of_before")
    module.__file__ = str(tmp_path / "__init__.py")
    (tmp_path / "__init__.py").touch()
    monkeypatch.setitem(sys.modules, "package_of_before", module)
    assert Beginning(None, str(tmp_path)).fault is None
