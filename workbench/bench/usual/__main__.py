"""A run as a script trains it: the same net, data, steps and seven metrics an epoch, one run after the other."""

from itertools import pairwise
from typing import Any

import hydra
import mlflow
import torch
from omegaconf import DictConfig, OmegaConf
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

Part = tuple[Tensor, Tensor]


class Net(nn.Module):
    """Affine layers with relu between them."""

    def __init__(self, sizes: list[int]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(fan_in, fan_out) for fan_in, fan_out in pairwise(sizes))

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        *hidden, last = self.layers
        for layer in hidden:
            x = torch.relu(layer(x))
        out: Tensor = last(x)
        return out


def load(config: DictConfig) -> list[Part]:
    """Training, validation and test part of the digits, scaled."""
    x, y = load_digits(return_X_y=True)
    x, x_test, y, y_test = train_test_split(x, y, test_size=config.test, random_state=config.seed, stratify=y)
    share = config.valid / (1 - config.test)
    x, x_valid, y, y_valid = train_test_split(x, y, test_size=share, random_state=config.seed, stratify=y)
    scale = StandardScaler().fit(x)
    pairs = (x, y), (x_valid, y_valid), (x_test, y_test)
    return [(torch.tensor(scale.transform(x), dtype=torch.float32), torch.tensor(y)) for x, y in pairs]


def scores(net: Net, part: str, data: Part) -> dict[str, float]:
    """Loss and accuracy."""
    with torch.no_grad():
        z = net(data[0])
        right = (z.argmax(1) == data[1]).float().mean()
        return {f"{part}/loss": cross_entropy(z, data[1]).item(), f"{part}/accuracy": right.item()}


def train(config: DictConfig) -> None:
    """Train and log one run."""
    torch.manual_seed(config.seed)
    data, valid, test = load(config)
    net = Net([64, *config.hidden, 10])
    optimizer = torch.optim.SGD(net.parameters(), config.lr, config.momentum, weight_decay=config.weight_decay)
    loader = DataLoader(TensorDataset(*data), config.batch_size, shuffle=True)
    for epoch in range(config.epochs):
        for x, y in loader:
            optimizer.zero_grad()
            torch.autograd.backward(cross_entropy(net(x), y))
            optimizer.step()
        norms: dict[str, float] = {}
        for number, layer in enumerate(net.layers, 1):
            gradient: Any = layer.weight.grad
            norms[f"grad_norm/l{number}"] = gradient.norm().item()
        mlflow.log_metrics({**scores(net, "train", data), **scores(net, "valid", valid), **norms}, step=epoch)
    mlflow.log_metrics(scores(net, "test", test), step=config.epochs)


@hydra.main(config_path=".", config_name="config", version_base="1.3")
def main(config: DictConfig) -> None:
    """Train and log one MLflow run."""
    torch.set_num_threads(1)
    mlflow.set_tracking_uri("sqlite:///mlflow.db")
    mlflow.set_experiment("usual")
    with mlflow.start_run(run_name=f"seed={config.seed}"):
        settings: Any = OmegaConf.to_container(config)
        mlflow.log_params(settings)
        train(config)


if __name__ == "__main__":
    main()
