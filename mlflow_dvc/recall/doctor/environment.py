"""Rules about this environment: the plugin, its settings, the versions of the hosts."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from shlex import quote

from mlflow_dvc import mlflow_api, settings
from mlflow_dvc.dvc_backend import api as dvc_api
from mlflow_dvc.dvc_backend.child_process import call_dvc
from mlflow_dvc.recall.doctor.context import DoctorContext
from mlflow_dvc.recall.doctor.finding import Violation
from mlflow_dvc.recall.doctor.script import find_script, interpreters, parse_reads
from mlflow_dvc.tracking import store_path

# From the first one on, and below the second one; docs say the same.
SUPPORTED_VERSIONS = {
    "Python": ((3, 10), (3, 14)),
    "MLflow": mlflow_api.SUPPORTED_VERSIONS,
    "DVC": dvc_api.SUPPORTED_VERSIONS,
}
_PACKAGES = {"MLflow": ("mlflow", "mlflow-skinny"), "DVC": ("dvc",)}
_GROUP = "mlflow.run_context_provider"
_PROVIDER = "mlflow_dvc.record.run_context"
_ASK = (
    "from importlib.metadata import distributions as d, entry_points as e;"
    f"plugin = any(p.value.startswith({_PROVIDER!r}) for p in e(group={_GROUP!r}));"
    f"hosts = any(p.metadata['Name'] in {_PACKAGES['MLflow']!r} for p in d());"
    "print(plugin or not hosts)"
)
_MAX_SECONDS = 20
_MAX_ASK_SECONDS = 120.0
_URI = "MLFLOW_TRACKING_URI"


def plugin_not_loaded(context: DoctorContext) -> Iterator[Violation]:
    points = metadata.entry_points(group=_GROUP)
    if not any(point.value.startswith(_PROVIDER) for point in points):
        yield _not_in(sys.executable)
    names = {name for _, raw in context.stages for name in interpreters(raw)}
    for python in dict.fromkeys(shutil.which(name) for name in sorted(names)):
        if python and not _is_this(python) and not _has_plugin(python):
            yield _not_in(python)


def _not_in(python: str) -> Violation:
    what = "MLflow finds no mlflow-dvc in this environment"
    return Violation(python, what, f"{quote(python)} -m pip install mlflow-dvc")


def _is_this(python: str) -> bool:
    return os.path.dirname(os.path.abspath(python)) == os.path.dirname(sys.executable)


def _has_plugin(python: str) -> bool:
    """Or no MLflow, which then starts no runs. Asked from a directory without modules of users'."""
    try:
        done = subprocess.run(
            [python, "-c", _ASK],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            check=False,
            timeout=_MAX_SECONDS,
            cwd=os.path.dirname(python),
        )
    except (OSError, subprocess.TimeoutExpired):
        return True  # what does not answer is not judged
    return done.returncode != 0 or done.stdout.strip() != b"False"


def plugin_off(context: DoctorContext) -> Iterator[Violation]:
    if not settings.is_enabled():
        yield _unset("MLFLOW_DVC_ENABLED", "it turns the plugin off")


def frozen_in_repository(context: DoctorContext) -> Iterator[Violation]:
    if path := settings.snapshot_file():
        yield _unset("MLFLOW_DVC_SNAPSHOT", f"it is set to {path} inside a repository")


def wrong_root(context: DoctorContext) -> Iterator[Violation]:
    chosen = settings.dvc_root()
    if chosen and not os.path.isdir(os.path.join(chosen, ".dvc")):
        yield _unset("MLFLOW_DVC_ROOT", f"it names {chosen}, which is no DVC project")


def part_off(context: DoctorContext) -> Iterator[Violation]:
    parts = {
        "MLFLOW_DVC_ARTIFACTS": (settings.artifacts_enabled(), "nothing is attached to runs"),
        "MLFLOW_DVC_INPUTS": (
            settings.inputs_enabled(),
            "what runs read is not logged as their inputs",
        ),
        "MLFLOW_DVC_PATCH": (settings.patch_mode() != "off", "uncommitted code is not attached"),
        "MLFLOW_DVC_CHECK": (settings.check_enabled(), "what lies on disk is not looked at"),
        "MLFLOW_DVC_SEAL": (
            settings.seal_enabled(),
            "what a stage made is not recorded at its end",
        ),
    }
    for name, (is_on, what) in parts.items():
        if not is_on:
            yield _unset(name, what)


def _unset(name: str, what: str) -> Violation:
    return Violation(name, what, f"unset {name}")


def too_old(context: DoctorContext) -> Iterator[Violation]:
    for name, version in _versions():
        floor, _ = SUPPORTED_VERSIONS[name]
        least = f"{name} {_dotted(floor)}"
        if version is None:
            yield Violation(name, "it is not installed here", f"Install {least} or newer")
        elif _numbers(version) < floor:
            yield Violation(name, f"{version} is older than {least}", f"Install {least} or newer")


def untested(context: DoctorContext) -> Iterator[Violation]:
    for name, version in _versions():
        ceiling = SUPPORTED_VERSIONS[name][1]
        if version is not None and _numbers(version) >= ceiling:
            what = f"{version} is newer than what mlflow-dvc was tested with"
            yield Violation(
                name, what, f"Install {name} below {_dotted(ceiling)}, or watch the log"
            )


def host_changed(context: DoctorContext) -> Iterator[Violation]:
    """Something private of a host is gone that a part of the record needs."""
    fix = "pip install --upgrade mlflow-dvc, or install the {} from before"
    for need in mlflow_api.find_missing():
        yield Violation("MLflow", need.said, fix.format("MLflow"))
    try:
        lines = call_dvc(dvc_api.list_missing, {}, _MAX_ASK_SECONDS)
    except (OSError, ValueError):
        return  # a DVC that cannot be asked at all is another rule's
    for line in lines:
        yield Violation("DVC", line, fix.format("DVC"))


def _versions() -> Iterator[tuple[str, str | None]]:
    yield "Python", ".".join(map(str, sys.version_info[:3]))
    for name, packages in _PACKAGES.items():
        yield name, next(filter(None, map(_installed, packages)), None)


def _installed(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _numbers(version: str) -> tuple[int, ...]:
    found = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(map(int, found[0].split("."))) if found else ()


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def no_server(context: DoctorContext) -> Iterator[Violation]:
    """Unless a stage's script names one."""
    if context.tracking_uri is not None:
        return
    scripts = (find_script(stage, raw, context.reading.root) for stage, raw in context.stages)
    if not any(parse_reads(context.absolute(path)).sets_server for path in scripts if path):
        fix = "export MLFLOW_TRACKING_URI=https://..., the server that all of you use"
        yield Violation(_URI, "it is not set", fix)


def local_store(context: DoctorContext) -> Iterator[Violation]:
    uri = context.tracking_uri
    path = store_path(uri) if uri else None
    if path is None:
        return
    where = os.path.realpath(os.path.join(context.project.directory, path))
    if any(where.startswith(root.rstrip(os.sep) + os.sep) for root in context.roots):
        fix = "export MLFLOW_TRACKING_URI=https://..., once others are to see the runs"
        yield Violation(_URI, f"the runs are kept in {path}, in the project", fix)
