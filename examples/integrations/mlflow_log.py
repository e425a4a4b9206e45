"""MLflow: losses of f by skorch's own `MlflowLogger`, the share of clean labels by `on_cycle`, verdicts as a file.

Everything goes to a local folder; a tracking server takes its place by `mlflow.set_tracking_uri`. Needs `mlflow`.

    python examples/integrations/mlflow_log.py runs
"""

import sys
from pathlib import Path

import mlflow
import torch
from mlflow.tracking import MlflowClient
from sklearn.datasets import load_iris
from skorch import NeuralNetClassifier
from skorch.callbacks import MlflowLogger
from torch import nn

from noisyflywheel import FlywheelClassifier
from noisyflywheel.backbones import MLP
from noisyflywheel.noise import symmetric


def make_net(**more) -> NeuralNetClassifier:
    return NeuralNetClassifier(
        MLP, criterion=nn.CrossEntropyLoss, optimizer=torch.optim.Adam, lr=0.01, train_split=None, **more
    )


def main(folder: str = "runs") -> None:
    client = MlflowClient(f"sqlite:///{Path(folder).resolve() / 'mlflow.db'}")
    experiment = client.create_experiment("iris", artifact_location=Path(folder).resolve().as_uri())
    run = client.create_run(experiment)

    def log_cycle(flywheel, row):
        client.log_metric(run.info.run_id, "gamma", row["gamma"], step=int(row["cycle"]))

    X, y = load_iris(return_X_y=True)
    given = symmetric(y, 0.2, random_state=0)
    logger = MlflowLogger(run, client, terminate_after_train=False)
    f = make_net(callbacks=[("mlflow", logger)])
    clf = FlywheelClassifier(make_net(), f, n_warmup_epochs=3, n_cycles=4, on_cycle=log_cycle, random_state=0)
    clf.fit(X, given)
    client.log_text(run.info.run_id, clf.get_label_issues().to_csv(), "issues.csv")
    client.set_terminated(run.info.run_id)

    for name in ("train_loss", "gamma"):
        values = [metric.value for metric in client.get_metric_history(run.info.run_id, name)]
        print(f"{name}: {len(values)} values, the last {values[-1]:.3f}")
    print("files:", [file.path for file in client.list_artifacts(run.info.run_id)])
    print("mlflow", mlflow.__version__)


if __name__ == "__main__":
    Path(*sys.argv[1:2] or ["runs"]).mkdir(parents=True, exist_ok=True)
    main(*sys.argv[1:2])
