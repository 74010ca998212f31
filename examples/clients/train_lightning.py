"""PyTorch Lightning: MLFlowLogger makes the run; the workers of the DataLoader read the data."""

import csv

import lightning
import torch
from lightning.pytorch.loggers import MLFlowLogger
from torch.utils.data import DataLoader, Dataset


class Customers(Dataset):
    """The rows are read when the first of them is asked for: in each worker."""

    def __init__(self, path):
        self.path = path
        self.rows = None

    def __len__(self):
        return 120

    def __getitem__(self, number):
        if self.rows is None:
            with open(self.path, newline="") as file:
                self.rows = list(csv.DictReader(file))
        row = self.rows[number]
        return torch.tensor([float(row["size"]), float(row["age"])]), float(row["churn"])


class Classifier(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)

    def training_step(self, batch, _):
        features, churn = batch
        guess = self.layer(features).squeeze(1)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(guess, churn.float())
        self.log("loss", loss, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.5)


if __name__ == "__main__":
    lightning.seed_everything(1, verbose=False)
    loader = DataLoader(Customers("data/train.csv"), batch_size=20, num_workers=2)
    trainer = lightning.Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=MLFlowLogger(experiment_name="lightning"),
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
    )
    trainer.fit(Classifier(), loader)
    print(f"loss {trainer.callback_metrics['loss_epoch']:.3f}")
