"""A stage of dvc.yaml: `dvc exp run --queue -S C=0.1,1.0,10.0`, and `dvc queue start`."""

import mlflow
import pandas
import yaml
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score

with open("params.yaml") as file:
    strength = yaml.safe_load(file)["C"]
table = pandas.read_csv("data/train.csv")
with mlflow.start_run():
    mlflow.log_param("C", strength)
    model = LogisticRegression(C=strength)
    scores = cross_val_score(model, table[["size", "age"]], table["churn"], cv=3)
    mlflow.log_metric("accuracy", scores.mean())
model.fit(table[["size", "age"]], table["churn"])
with open("model.txt", "w") as file:
    print(model.coef_, file=file)
print(f"accuracy {scores.mean():.3f}")
