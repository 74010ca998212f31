"""Split the raw table and scale its columns."""

import pickle
from pathlib import Path

import pandas as pd
import yaml
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

params = yaml.safe_load(Path("params.yaml").read_text())["prepare"]
table = pd.read_csv("data/raw/train.csv")
features, target = table.drop(columns="target"), table["target"]
train_x, test_x, train_y, test_y = train_test_split(
    features, target, test_size=params["holdout"], random_state=params["seed"], stratify=target
)
scaler = StandardScaler().fit(train_x)

folder = Path("data/prepared")
folder.mkdir(parents=True, exist_ok=True)
for name, x, y in [("train", train_x, train_y), ("holdout", test_x, test_y)]:
    content = pickle.dumps((scaler.transform(x), y.to_numpy()))
    (folder / f"{name}.pkl").write_bytes(content)
