"""Nets with an ``infer`` of their own."""

import torch
from skorch import NeuralNetClassifier
from torch import nn


class Stemmed(NeuralNetClassifier):
    """Rows go through a module beside ``module_``, and then through the parts of that one by one."""

    def initialize_module(self):
        super().initialize_module()
        self.stem_ = nn.Sequential(nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU())
        return self

    def infer(self, x, **params):
        return self.module_.last(self.module_.body(self.stem_(x)))


class InHalves(NeuralNetClassifier):
    """Its module takes two inputs."""

    def infer(self, x, **params):
        return self.module_(x[:, :32], x[:, 32:])


class Joined(nn.Module):
    """A linear layer on two inputs."""

    def __init__(self, n_classes=10):
        super().__init__()
        self.last = nn.Linear(64, n_classes)

    def forward(self, first, second):
        return self.last(torch.cat([second, first], 1))
