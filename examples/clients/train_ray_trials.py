"""Ray Tune: each trial makes its own run, in its own process."""

import os

import mlflow
import pandas
from ray import tune
from ray.air.integrations.mlflow import setup_mlflow
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score

DATA = os.path.abspath("data/train.csv")  # each trial works in a folder of its own


def trial(config):
    setup_mlflow(config, experiment_name="ray", create_experiment_if_not_exists=True)
    table = pandas.read_csv(DATA)
    model = LogisticRegression(C=config["C"])
    scores = cross_val_score(model, table[["size", "age"]], table["churn"], cv=3)
    mlflow.log_metric("accuracy", scores.mean())
    tune.report({"accuracy": scores.mean()})
    mlflow.end_run()


tuner = tune.Tuner(
    trial,
    param_space={"C": tune.grid_search([0.1, 10.0])},
    tune_config=tune.TuneConfig(max_concurrent_trials=1),
    run_config=tune.RunConfig(name="churn", verbose=0),
)
best = tuner.fit().get_best_result("accuracy", "max")
print(f"accuracy {best.metrics['accuracy']:.3f}")
