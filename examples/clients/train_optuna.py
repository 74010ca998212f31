"""Optuna: a run for the study, and a child run for each trial, in two threads."""

import mlflow
import optuna
import pandas
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score

optuna.logging.set_verbosity(optuna.logging.WARNING)


def objective(trial):
    table = pandas.read_csv("data/train.csv")
    strength = trial.suggest_categorical("C", [0.1, 1.0, 10.0, 100.0])
    with mlflow.start_run(nested=True, parent_run_id=study_run.info.run_id):
        mlflow.log_param("C", strength)
        scores = cross_val_score(
            LogisticRegression(C=strength), table[["size", "age"]], table["churn"], cv=3
        )
        mlflow.log_metric("accuracy", scores.mean())
    return scores.mean()


with mlflow.start_run() as study_run:
    sampler = optuna.samplers.RandomSampler(seed=1)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.optimize(objective, n_trials=4, n_jobs=2)
    mlflow.log_metric("accuracy", study.best_value)
print(f"accuracy {study.best_value:.3f}")
