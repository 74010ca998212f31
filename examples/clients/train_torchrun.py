"""torchrun: two processes share the work, the first of them logs.

torchrun --nproc-per-node 2 train_torchrun.py
"""

import mlflow
import pandas
import torch
from torch.nn.parallel import DistributedDataParallel

torch.manual_seed(1)
torch.distributed.init_process_group("gloo")
rank = torch.distributed.get_rank()

table = pandas.read_csv("data/train.csv").iloc[rank::2]  # every second row
features = torch.tensor(table[["size", "age"]].values, dtype=torch.float32)
churn = torch.tensor(table["churn"].values, dtype=torch.float32)
model = DistributedDataParallel(torch.nn.Linear(2, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
for _ in range(10):
    optimizer.zero_grad()
    loss = torch.nn.functional.binary_cross_entropy_with_logits(model(features).squeeze(1), churn)
    loss.backward()
    optimizer.step()

torch.distributed.all_reduce(mean := loss.detach() / 2)
if rank == 0:
    with mlflow.start_run():
        mlflow.log_metric("loss", mean.item())
    print(f"loss {mean.item():.3f}")
torch.distributed.destroy_process_group()
