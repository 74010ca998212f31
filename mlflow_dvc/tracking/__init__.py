"""The only reader and writer of the MLflow tracking server.

Functions that recall uses raise the errors of ``mlflow_dvc.errors``; those that record uses let
MLflow's own through, to the guard.
"""

from __future__ import annotations

from mlflow_dvc.tracking.models import LoggedModel as LoggedModel
from mlflow_dvc.tracking.models import Version as Version
from mlflow_dvc.tracking.models import get_logged_model as get_logged_model
from mlflow_dvc.tracking.models import get_version as get_version
from mlflow_dvc.tracking.models import models_of as models_of
from mlflow_dvc.tracking.models import registered as registered
from mlflow_dvc.tracking.records import amend as amend
from mlflow_dvc.tracking.records import list_attached as list_attached
from mlflow_dvc.tracking.records import load_resumed as load_resumed
from mlflow_dvc.tracking.records import load_snapshot as load_snapshot
from mlflow_dvc.tracking.records import read_all_attached as read_all_attached
from mlflow_dvc.tracking.records import read_attached as read_attached
from mlflow_dvc.tracking.runs import experiment_names as experiment_names
from mlflow_dvc.tracking.runs import find_runs as find_runs
from mlflow_dvc.tracking.runs import get_run as get_run
from mlflow_dvc.tracking.runs import recorded_runs as recorded_runs
from mlflow_dvc.tracking.server import SNAPSHOT as SNAPSHOT
from mlflow_dvc.tracking.server import absolute as absolute
from mlflow_dvc.tracking.server import soon as soon
from mlflow_dvc.tracking.server import store_path as store_path
from mlflow_dvc.tracking.server import uri as uri
from mlflow_dvc.tracking.writing import Input as Input
from mlflow_dvc.tracking.writing import attach as attach
from mlflow_dvc.tracking.writing import count_artifacts as count_artifacts
from mlflow_dvc.tracking.writing import delete_model_tag as delete_model_tag
from mlflow_dvc.tracking.writing import delete_run_tag as delete_run_tag
from mlflow_dvc.tracking.writing import inputs_of as inputs_of
from mlflow_dvc.tracking.writing import log_inputs as log_inputs
from mlflow_dvc.tracking.writing import read_changes as read_changes
from mlflow_dvc.tracking.writing import run_tags as run_tags
from mlflow_dvc.tracking.writing import set_model_tags as set_model_tags
from mlflow_dvc.tracking.writing import set_run_tags as set_run_tags
from mlflow_dvc.tracking.writing import write_files as write_files
