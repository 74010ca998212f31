"""Gates: a model that does not meet the policy is not registered, and gets no alias or stage.

MLflow comes first, as for ``record``: it loads a module of this package while it is being imported.
"""

import mlflow  # noqa: F401
