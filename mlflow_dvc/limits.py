"""How much of other people's input is looked at: every limit on a record of a shared server.

A record of an honest run of a large project is far below each of them (`docs/record.md` has the
table). What is beyond is not looked at, and the answer says so.
"""

from __future__ import annotations

MIB = 1024 * 1024

# dvc/snapshot.json
MAX_SNAPSHOT_BYTES = 16 * MIB
MAX_ENTRIES = 20_000  # of each list: outputs, dependencies, stages, warnings, files
MAX_STAGE_DEPS = 200_000  # of all stages together
MAX_TEXT_CHARACTERS = 64 * 1024
MAX_INTEGER = 2**63 - 1

# Artifacts below dvc/
MAX_ARTIFACTS = 10_000  # files and folders
MAX_ARTIFACT_DEPTH = 40  # folders
MAX_ARTIFACT_BYTES = 100 * MIB  # of all together
MAX_ARCHIVE_INDEX_BYTES = 4 * MIB  # what an archive of files says about them
MAX_PARTS = 100  # in which one run went on with other code or data
MAX_COMPARED_FILES = 100  # parameter files and pipelines that `diff` downloads of a run

# Tags
MAX_TAGS = 5_000  # of ours, on one run

# Attached DVC files and parameters
MAX_PARAMS_BYTES = MIB  # of one file: larger ones are not recorded
MAX_PARSED_BYTES = 10 * MIB  # of all that are read as YAML
MAX_YAML_LINES = 1_500_000  # the lock of 100,000 outputs has 700,000
MAX_YAML_TOKENS = 400_000  # of a text that only PyYAML can read: 3 microseconds each
MAX_YAML_VALUES = 2_000_000  # with every alias followed
MAX_GENERATED_STAGES = 10_000  # by the templates of one dvc.yaml
MAX_TEMPLATE_SECONDS = 8.0  # then no further dvc.yaml of the record is given to DVC
MAX_DVC_CPU_SECONDS = 6  # of the processor, for one of them: a busy machine changes nothing
MAX_DVC_BYTES = 4 * 1024 * MIB
