"""Train a classifier and log it to MLflow. Nothing here knows of DVC or of mlflow-dvc."""

import json
import pickle
from pathlib import Path

import mlflow
import numpy as np
import yaml
from sklearn.linear_model import SGDClassifier

params = yaml.safe_load(Path("params.yaml").read_text())["train"]
train_x, train_y = pickle.loads(Path("data/prepared/train.pkl").read_bytes())
test_x, test_y = pickle.loads(Path("data/prepared/holdout.pkl").read_bytes())

mlflow.set_experiment("model-training")
with mlflow.start_run():
    mlflow.log_params(params)
    model = SGDClassifier(
        loss="log_loss", learning_rate="constant", eta0=params["lr"], random_state=0
    )
    order = np.random.default_rng(0)
    for epoch in range(params["epochs"]):
        rows = order.permutation(len(train_x))
        for start in range(0, len(rows), params["batch_size"]):
            batch = rows[start : start + params["batch_size"]]
            model.partial_fit(train_x[batch], train_y[batch], classes=[0, 1])
        mlflow.log_metric("train_accuracy", model.score(train_x, train_y), step=epoch)
    accuracy = model.score(test_x, test_y)
    mlflow.log_metric("accuracy", accuracy)
    mlflow.sklearn.log_model(
        model, "model", pip_requirements=["scikit-learn"], registered_model_name="churn"
    )

Path("metrics.json").write_text(json.dumps({"accuracy": accuracy}) + "\n")
Path("models").mkdir(exist_ok=True)
Path("models/model.pkl").write_bytes(pickle.dumps(model))
