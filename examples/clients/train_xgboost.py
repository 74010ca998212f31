"""XGBoost: autologging adds parameters and metrics to a run that the program starts."""

import mlflow
import pandas
import xgboost

mlflow.xgboost.autolog()

table = pandas.read_csv("data/train.csv")
train = xgboost.DMatrix(table[["size", "age"]], label=table["churn"])
with mlflow.start_run():
    scores = {}
    xgboost.train(
        {"objective": "binary:logistic", "max_depth": 2, "nthread": 1},
        train,
        num_boost_round=10,
        evals=[(train, "train")],
        evals_result=scores,
        verbose_eval=False,
    )
print(f"loss {scores['train']['logloss'][-1]:.3f}")
