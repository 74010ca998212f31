"""Ray Tune: the callback makes a run for each trial; the trials are processes elsewhere."""

import os

import pandas
from ray import tune
from ray.air.integrations.mlflow import MLflowLoggerCallback
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score

DATA = os.path.abspath("data/train.csv")  # each trial works in a folder of its own


def trial(config):
    table = pandas.read_csv(DATA)
    model = LogisticRegression(C=config["C"])
    scores = cross_val_score(model, table[["size", "age"]], table["churn"], cv=3)
    tune.report({"accuracy": scores.mean()})


tuner = tune.Tuner(
    trial,
    param_space={"C": tune.grid_search([0.1, 10.0])},
    tune_config=tune.TuneConfig(max_concurrent_trials=1),
    run_config=tune.RunConfig(
        name="churn",
        verbose=0,
        callbacks=[
            MLflowLoggerCallback(
                tracking_uri=os.environ.get("MLFLOW_TRACKING_URI"), experiment_name="ray"
            )
        ],
    ),
)
best = tuner.fit().get_best_result("accuracy", "max")
print(f"accuracy {best.metrics['accuracy']:.3f}")
