"""Write data/raw/train.csv: tumour measurements that ship with scikit-learn.

    python src/get_data.py [ROWS]

The data set (569 rows, 30 measurements and the diagnosis) is the Breast Cancer Wisconsin one,
https://archive.ics.uci.edu/dataset/17. With ROWS, only that many: a first delivery of data.
"""

import sys
from pathlib import Path

from sklearn.datasets import load_breast_cancer

rows = int(sys.argv[1]) if len(sys.argv) > 1 else None
table = load_breast_cancer(as_frame=True).frame
target = Path("data/raw/train.csv")
target.parent.mkdir(parents=True, exist_ok=True)
table.head(rows or len(table)).to_csv(target, index=False)
print(f"{target}: {rows or len(table)} rows")
