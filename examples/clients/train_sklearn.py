"""scikit-learn: autologging of a grid search makes a run, and a child run for each candidate."""

import mlflow
import pandas
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV

mlflow.sklearn.autolog(max_tuning_runs=3, log_models=False)

table = pandas.read_csv("data/train.csv")
search = GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0, 10.0]}, cv=3)
search.fit(table[["size", "age"]], table["churn"])
print(f"accuracy {search.best_score_:.3f}")
