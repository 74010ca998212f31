"""DVC data as MLflow datasets: what MLflow's entry points name.

MLflow comes first, as in ``record``: it loads these modules while it is being imported itself.
"""

import mlflow  # noqa: F401
