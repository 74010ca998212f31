"""Build mlflow-dvc. Everything static about the tools stands in pyproject.toml."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
REPOSITORY = "https://github.com/mlflow-dvc/mlflow-dvc"
VERSION = re.search(
    r'^__version__ = "(.+)"$', (HERE / "mlflow_dvc/_version.py").read_text("utf-8"), re.MULTILINE
)
if VERSION is None:
    raise SystemExit("mlflow_dvc/_version.py names no version")

setup(
    name="mlflow-dvc",
    version=VERSION[1],
    description="Every MLflow run records which code and which DVC data it saw",
    long_description=(HERE / "README.md").read_text("utf-8"),
    long_description_content_type="text/markdown",
    license_expression="Apache-2.0",
    license_files=["LICENSE"],
    url=REPOSITORY,
    project_urls={
        "Documentation": f"{REPOSITORY}#readme",
        "Changelog": f"{REPOSITORY}/blob/main/CHANGELOG.md",
        "Issues": f"{REPOSITORY}/issues",
        "Source": REPOSITORY,
    },
    keywords=["mlflow", "dvc", "reproducibility", "data versioning", "lineage", "mlops"],
    python_requires=">=3.10",
    packages=find_packages(include=["mlflow_dvc", "mlflow_dvc.*"]),
    package_data={"mlflow_dvc": ["py.typed", "demo/project/**", "demo/project/.*"]},
    # The floors are the versions that the oldest environment of .ci/run tests against.
    install_requires=[
        "mlflow>=2.14.0",
        "dvc>=3.50.0",
        "dvc-data>=3.15.2",
        "PyYAML>=6.0.1",
        "pathspec>=0.12.1",
        "click>=8.1.7",
        "rich>=13.3.5",
        "grandalf>=0.8",
        "detect-secrets>=1.5.0",
    ],
    extras_require={
        "test": [
            "pytest>=8",
            "pytest-xdist>=3",
            "hypothesis>=6.100",
            "playwright>=1.40",
            # A real S3 server, and how DVC speaks with it.
            "moto[s3]>=5.1",
            "flask-cors>=4",
            "dvc-s3>=3.2",
            # A tracking server as a team has it: on PostgreSQL, with users.
            "psycopg2-binary>=2.9",
            "flask-wtf>=1",
            # Ways to read a file that are not Python's own.
            "h5py>=3",
            "polars>=1",
            "duckdb>=1",
            "datasets>=3",
            # A notebook is run.
            "nbclient>=0.10",
            "ipykernel>=6",
            "coverage[toml]>=7.13",  # has patches `fork` and `_exit`, and installs a .pth file
            "build>=1.2",
            "mypy>=1.11",
            "ruff>=0.9",
            "types-PyYAML",
        ],
    },
    entry_points={
        "console_scripts": ["mlflow-dvc = mlflow_dvc.cli.main:main"],
        # MLflow loads this while it is being imported itself, and asks it for tags at every run.
        "mlflow.run_context_provider": [
            "dvc = mlflow_dvc.record.run_context:DvcRunContext",
            # Puts the gate of the client up, where MLFLOW_DVC_POLICY is set.
            "dvc-policy = mlflow_dvc.gate.run_context:PolicyRunContext",
        ],
        # `mlflow server --app-name NAME`: a server that refuses what does not meet the policy.
        "mlflow.app": [
            "dvc-policy = mlflow_dvc.gate.server:create_app",
            "dvc-policy-basic-auth = mlflow_dvc.gate.server:create_basic_auth_app",
        ],
        # How MLflow's own datasets are read from, and made of, what DVC tracks.
        "mlflow.dataset_source": [
            "dvc = mlflow_dvc.datasets.source:DvcDatasetSource",
        ],
        "mlflow.dataset_constructor": [
            "from_dvc = mlflow_dvc.datasets.dataset:from_dvc",
        ],
    },
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Operating System :: MacOS",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Typing :: Typed",
    ],
)
