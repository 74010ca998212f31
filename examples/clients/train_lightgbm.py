"""LightGBM: autologging makes the run; the C++ of the library opens the file, not Python."""

import lightgbm
import mlflow

mlflow.lightgbm.autolog()

train = lightgbm.Dataset(
    "data/train.csv", params={"header": True, "label_column": "name:churn", "verbose": -1}
)
model = lightgbm.train(
    {"objective": "binary", "num_leaves": 4, "num_threads": 1, "verbose": -1},
    train,
    num_boost_round=10,
    valid_sets=[train],
)
print(f"loss {model.best_score['training']['binary_logloss']:.3f}")
