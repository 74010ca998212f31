"""The automatic path: everything that happens to a run without a line of code.

MLflow comes first, always: it loads this package while it is being imported itself. If one of these
modules were imported before MLflow, MLflow would find it half made and drop the plugin.
"""

import mlflow  # noqa: F401
