"""Hugging Face Trainer: it reports to MLflow by itself; the model is small and random."""

import pandas
import torch
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

torch.manual_seed(1)
table = pandas.read_csv("data/train.csv")
# Each number becomes a word of a small vocabulary.
words = ((table[["size", "age"]].clip(-3, 3) + 3) * 5).astype(int) + 1
rows = [
    {"input_ids": torch.tensor(pair), "labels": int(churn)}
    for pair, churn in zip(words.values, table["churn"], strict=True)
]
config = BertConfig(
    vocab_size=40,
    hidden_size=16,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=16,
    max_position_embeddings=4,
)
arguments = TrainingArguments(
    output_dir="checkpoints",
    max_steps=10,
    logging_steps=5,
    save_steps=10,
    report_to="mlflow",
    use_cpu=True,
    disable_tqdm=True,
    dataloader_num_workers=1,
)
trainer = Trainer(BertForSequenceClassification(config), arguments, train_dataset=rows)
print(f"loss {trainer.train().training_loss:.3f}")
