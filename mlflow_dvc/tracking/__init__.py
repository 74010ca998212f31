"""The only reader and writer of the MLflow tracking server.

Functions that recall uses raise the errors of ``mlflow_dvc.errors``; those that record uses let
MLflow's own through, to the guard.
"""

from __future__ import annotations

from mlflow_dvc.tracking.archive import ARCHIVE as ARCHIVE
from mlflow_dvc.tracking.archive import VISIBLE as VISIBLE
from mlflow_dvc.tracking.archive import pack_record as pack_record
from mlflow_dvc.tracking.archive import unpacked as unpacked
from mlflow_dvc.tracking.attached_record import FOLDER as FOLDER
from mlflow_dvc.tracking.attached_record import RunPart as RunPart
from mlflow_dvc.tracking.attached_record import add_record as add_record
from mlflow_dvc.tracking.attached_record import find_fault as find_fault
from mlflow_dvc.tracking.attached_record import has_attached as has_attached
from mlflow_dvc.tracking.attached_record import list_attached as list_attached
from mlflow_dvc.tracking.attached_record import list_files as list_files
from mlflow_dvc.tracking.attached_record import load_all as load_all
from mlflow_dvc.tracking.attached_record import load_later_parts as load_later_parts
from mlflow_dvc.tracking.attached_record import load_parts as load_parts
from mlflow_dvc.tracking.attached_record import load_snapshot as load_snapshot
from mlflow_dvc.tracking.attached_record import part_number as part_number
from mlflow_dvc.tracking.attached_record import read_all_attached as read_all_attached
from mlflow_dvc.tracking.attached_record import read_attached as read_attached
from mlflow_dvc.tracking.attached_record import read_changes as read_changes
from mlflow_dvc.tracking.attached_record import read_parts as read_parts
from mlflow_dvc.tracking.attached_record import read_snapshot as read_snapshot
from mlflow_dvc.tracking.attached_record import require_snapshots as require_snapshots
from mlflow_dvc.tracking.attached_record import update_record as update_record
from mlflow_dvc.tracking.leftovers import Leftover as Leftover
from mlflow_dvc.tracking.leftovers import complete_leftovers as complete_leftovers
from mlflow_dvc.tracking.leftovers import has_leftovers as has_leftovers
from mlflow_dvc.tracking.leftovers import keep as keep
from mlflow_dvc.tracking.models import LoggedModel as LoggedModel
from mlflow_dvc.tracking.models import ModelVersion as ModelVersion
from mlflow_dvc.tracking.models import RecordedModel as RecordedModel
from mlflow_dvc.tracking.models import get_logged_model as get_logged_model
from mlflow_dvc.tracking.models import get_version as get_version
from mlflow_dvc.tracking.models import models_of as models_of
from mlflow_dvc.tracking.models import recorded_models as recorded_models
from mlflow_dvc.tracking.models import registered_model_uris as registered_model_uris
from mlflow_dvc.tracking.models import registered_versions as registered_versions
from mlflow_dvc.tracking.run_writes import Input as Input
from mlflow_dvc.tracking.run_writes import attach_files as attach_files
from mlflow_dvc.tracking.run_writes import count_artifacts as count_artifacts
from mlflow_dvc.tracking.run_writes import delete_model_tag as delete_model_tag
from mlflow_dvc.tracking.run_writes import delete_run_tag as delete_run_tag
from mlflow_dvc.tracking.run_writes import inputs_of as inputs_of
from mlflow_dvc.tracking.run_writes import is_model_there as is_model_there
from mlflow_dvc.tracking.run_writes import is_ours as is_ours
from mlflow_dvc.tracking.run_writes import model_tags as model_tags
from mlflow_dvc.tracking.run_writes import read_run as read_run
from mlflow_dvc.tracking.run_writes import run_tags as run_tags
from mlflow_dvc.tracking.run_writes import send_inputs as send_inputs
from mlflow_dvc.tracking.run_writes import set_model_tags as set_model_tags
from mlflow_dvc.tracking.run_writes import set_run_tags as set_run_tags
from mlflow_dvc.tracking.run_writes import write_files as write_files
from mlflow_dvc.tracking.runs import all_runs as all_runs
from mlflow_dvc.tracking.runs import experiment_names as experiment_names
from mlflow_dvc.tracking.runs import find_runs as find_runs
from mlflow_dvc.tracking.runs import find_runs_of_stage as find_runs_of_stage
from mlflow_dvc.tracking.runs import get_experiment_id as get_experiment_id
from mlflow_dvc.tracking.runs import get_run as get_run
from mlflow_dvc.tracking.runs import has_runs as has_runs
from mlflow_dvc.tracking.runs import newest_first as newest_first
from mlflow_dvc.tracking.runs import recorded_runs as recorded_runs
from mlflow_dvc.tracking.server import SNAPSHOT as SNAPSHOT
from mlflow_dvc.tracking.server import absolute_uri as absolute_uri
from mlflow_dvc.tracking.server import artifact_roots as artifact_roots
from mlflow_dvc.tracking.server import is_local as is_local
from mlflow_dvc.tracking.server import no_progress_bar as no_progress_bar
from mlflow_dvc.tracking.server import one_client as one_client
from mlflow_dvc.tracking.server import short_timeouts as short_timeouts
from mlflow_dvc.tracking.server import store_path as store_path
from mlflow_dvc.tracking.server import uri as uri
from mlflow_dvc.tracking.server import written_places as written_places
