"""The cycle of Figure 2 as public code for this task is written: the peer of bench_cycle.py.

PIL pictures augmented one by one by torchvision in the workers of a DataLoader, fp32, NCHW, a host sync per
step for the running loss, lists of predictions put together on the host.
"""

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


def transforms() -> dict:
    finish = [v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
    weak = [v2.RandomCrop(32, padding=4), v2.RandomHorizontalFlip()]
    strong = [*weak, v2.RandAugment(num_ops=2, magnitude=10)]
    return {name: v2.Compose(steps + finish) for name, steps in (("plain", []), ("weak", weak), ("strong", strong))}


class Pictures(Dataset):
    """Items: the row's number and one tensor for each view that is asked for."""

    def __init__(self, pixels, views):
        to_pil = v2.functional.to_pil_image
        self.pictures = [to_pil(torch.from_numpy(p)) for p in pixels]
        known = transforms()
        self.views = [known[view] for view in views]

    def __len__(self):
        return len(self.pictures)

    def __getitem__(self, i):
        return i, *(view(self.pictures[i]) for view in self.views)


class PlainCycle:
    """Steps named as the flywheel's, so that one clock times both.

    Parameters
    ----------
    net : class
        Called with n_classes and in_channels.
    pixels, labels : ndarray of shape (n, 3, 32, 32) uint8, (n,)
    batch, device, workers : int, torch.device, int
    """

    def __init__(self, net, pixels, labels, batch, device, workers):
        self.device, self.batch, self.workers, self.pixels = device, batch, workers, pixels
        self.g, self.f = (net(n_classes=10, in_channels=3).to(device) for _ in range(2))
        d = self.f.feature_dim
        self.head = nn.Sequential(nn.Linear(d, 128), nn.BatchNorm1d(128)).to(device)
        sgd = {"lr": 0.02, "momentum": 0.9, "weight_decay": 5e-4}
        self.optimizer_g = torch.optim.SGD(self.g.parameters(), **sgd)
        self.optimizer_f = torch.optim.SGD([*self.f.parameters(), *self.head.parameters()], **sgd)
        self.given = torch.as_tensor(labels)
        n, k = len(labels), 10
        self.gamma, self.eps = 0.5, torch.full((n,), 1 / k)
        self.q, self.f_prob = torch.full((n,), 0.5), torch.full((n, k), 1 / k)
        self.y_hat, self.T_c = self.given.clone(), torch.full((k, k), 1 / k)

    def loader(self, *views, shuffle=False):
        data = Pictures(self.pixels, views)
        cuda = self.device.type == "cuda"
        return DataLoader(data, self.batch, shuffle, num_workers=self.workers, pin_memory=cuda)

    def cycle(self):
        self._e_step_main()
        self._e_step_auxiliary()
        self._m_step_auxiliary()
        self._resample()
        self._m_step_main()

    @torch.no_grad()
    def predict(self, net, *views):
        net.eval()
        parts = []
        for _, *xs in self.loader(*views):
            parts.append((sum(net(x.to(self.device)).softmax(1) for x in xs) / len(xs)).cpu())
        return torch.cat(parts)

    def _e_step_main(self):
        given = self.predict(self.g, "plain").gather(1, self.given[:, None]).squeeze(1)
        clean = self.gamma * given
        self.q = clean / (clean + (1 - self.gamma) * self.eps)
        self.gamma = float(self.q.mean().clamp(0.01, 0.99))

    def _e_step_auxiliary(self):
        self.f_prob = self.predict(self.f, "weak", "weak")
        mass = (1 - self.q)[:, None] * self.f_prob
        self.T_c = torch.stack([mass[self.given == c].sum(0) for c in range(10)], 1)
        self.T_c = self.T_c / self.T_c.sum(1, keepdim=True)

    def _m_step_auxiliary(self):
        self.f.train()
        running = 0.0
        for index, *views in self.loader("weak", "weak", "strong", "strong", shuffle=True):
            weak1, weak2, strong1, strong2 = (x.to(self.device) for x in views)
            onehot = F.one_hot(self.given[index], 10).float()
            q = self.q[index][:, None]
            target = (q * onehot + (1 - q) * self.f_prob[index]).to(self.device)
            x, target = torch.cat([weak1, weak2]), torch.cat([target, target])
            share = float(torch.distributions.Beta(4.0, 4.0).sample())
            share, partner = max(share, 1 - share), torch.randperm(len(x), device=self.device)
            x, target = share * x + (1 - share) * x[partner], share * target + (1 - share) * target[partner]
            loss = -(target * self.f(x).log_softmax(1)).sum(1).mean()
            z = F.normalize(self.head(self.f.forward_features(torch.cat([strong1, strong2]))), dim=1)
            running += self.step(loss + 0.025 * self.contrast(z), self.optimizer_f)

    def contrast(self, z):
        similarity = (z @ z.T / 0.05).masked_fill(torch.eye(len(z), dtype=torch.bool, device=z.device), -1e9)
        return F.cross_entropy(similarity, torch.arange(len(z), device=z.device).roll(len(z) // 2))

    def _resample(self):
        self.f_prob = self.predict(self.f, "plain")
        self.y_hat = self.f_prob.argmax(1)
        self.eps = (self.f_prob @ self.T_c).gather(1, self.given[:, None]).squeeze(1)

    def _m_step_main(self):
        self.g.train()
        prior = torch.bincount(self.y_hat, minlength=10).float().to(self.device) / len(self.y_hat)
        running = 0.0
        for index, x in self.loader("weak", shuffle=True):
            p = self.g(x.to(self.device)).softmax(1)
            target = self.y_hat[index].to(self.device)
            regularizer = (torch.log(p + 1e-8) @ prior).mean()
            running += self.step(F.nll_loss(torch.log(p + 1e-8), target) + 3.0 * regularizer, self.optimizer_g)

    def step(self, loss, optimizer):
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()
