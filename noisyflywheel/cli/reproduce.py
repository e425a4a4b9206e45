"""`noisyflywheel reproduce`: one cell of the paper's tables from one command."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from noisyflywheel.cli.parsers import command_parser
from noisyflywheel.data.paths import user_path
from noisyflywheel.reproduce import Plan, load_benchmark, reproduce
from noisyflywheel.reproduce.benchmarks import Reader

EXAMPLES = """examples:
  noisyflywheel reproduce cifar10 --noise sym --rate 0.9 --seed 0 --data DIR --out DIR
  noisyflywheel reproduce cifar10 --noise sym --rate 0.9 --fast --data DIR --out DIR
  noisyflywheel reproduce cifar10 --noise worse --net small --n-train 5000 --epochs 30 --data DIR --out DIR
  noisyflywheel reproduce cifar100 --noise asym --rate 0.4 --without cr --data DIR --out DIR
  noisyflywheel reproduce clothing1m --data DIR --out DIR

--data holds the published files: CIFAR in torchvision's folders, with CIFAR-10_human.pt or CIFAR-100_human.pt beside
them for human labels; tiny-imagenet-200; Clothing1M's and WebVision's folders and lists.

A stopped run goes on when the same command is given again. --out gets NAME.json, rewritten after every cycle, and
Figures 3, 4 and 5 as NAME-figure3.png ... ; `noisyflywheel tables DIR` makes the paper's tables of such files."""


def add_parser(subcommands: Any) -> None:
    """Describe the subcommand."""
    parser = command_parser(
        subcommands,
        "reproduce",
        help="run an experiment of the paper",
        description="Trains the flywheel on a benchmark of the paper and measures it after every cycle.",
        epilog=EXAMPLES,
    )
    names = ("cifar10", "cifar100", "tiny-imagenet", "clothing1m", "webvision")
    parser.add_argument("dataset", choices=names, help=", ".join(names), metavar="DATASET")
    parser.add_argument("--data", type=user_path, required=True, help="folder of the published files")
    parser.add_argument("--out", type=user_path, required=True, help="folder for the results; made if needed")
    _add_noise(parser.add_argument_group("the noise"))
    _add_recipe(parser.add_argument_group("the training (default: the paper's recipe, as the paper writes it)"))
    parser.set_defaults(run=run)


def _add_noise(group: Any) -> None:
    """Options of the given labels."""
    group.add_argument(
        "--noise",
        metavar="KIND",
        help="sym, asym, idn, clean; human labels: worse, aggre, random1 ... 3, for cifar100 human",
    )
    group.add_argument("--rate", type=float, help="share of labels that sym, asym or idn changes")
    group.add_argument(
        "--labels", type=user_path, metavar="FILE", help="given labels from a .pt, .npy or .npz file instead"
    )
    group.add_argument("--member", metavar="NAME", help="which labels of --labels")
    group.add_argument("--seed", type=int, default=0, help="of noise and training (default 0)")


def _add_recipe(group: Any) -> None:
    """Options of the training."""
    group.add_argument("--fast", action="store_true", help="the ten-minute schedule (cifar10)")
    group.add_argument(
        "--form",
        choices=("paper", "package"),
        help="the loop as the paper writes it, or the package's (--fast: package)",
    )
    group.add_argument("--net", choices=("preact18", "small"), help="another network for small pictures")
    group.add_argument("--epochs", type=int, metavar="N", help="warm-up and cycles together")
    group.add_argument("--warmup", type=int, metavar="N", help="epochs of the warm-up")
    group.add_argument("--n-train", type=int, metavar="N", help="the first N training rows only")
    group.add_argument("--n-test", type=int, metavar="N", help="the first N test rows only")
    group.add_argument("--without", choices=("cr", "aux", "eps", "cl"), help="an ablation of Table 6")
    group.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a parameter of the classifier, as JSON",
    )
    group.add_argument("--device", default="auto", help="auto, cpu, cuda ... (default auto)")
    group.add_argument(
        "--tsne", type=int, default=2000, metavar="N", help="test rows in Figure 4; 0: none (default 2000)"
    )


def run(arguments: argparse.Namespace, read: Reader | None = None) -> int:
    """Read the data, in the published form or by `read`, then train and write."""
    plan = make_plan(arguments)
    if arguments.out.exists() and not arguments.out.is_dir():
        raise ValueError(f"--out {arguments.out} is a file, not a folder")
    benchmark = load_benchmark(
        plan.dataset, arguments.data, plan.noise, plan.rate, plan.seed,
        n_train=plan.n_train, n_test=plan.n_test, label_file=arguments.labels, member=arguments.member, read=read,
    )  # fmt: skip
    if benchmark.note:
        print(benchmark.note)
    wrong = "" if benchmark.y_true is None else f", {(benchmark.y != benchmark.y_true).mean():.1%} labels wrong"
    print(
        f"{plan.name()}: {len(benchmark.y):,} training rows{wrong}, {len(benchmark.y_test):,} test rows",
        flush=True,
    )
    reproduce(
        plan, benchmark, arguments.out,
        device=arguments.device, command=command(arguments), tsne_rows=arguments.tsne, say=say,
    )  # fmt: skip
    return 0


def say(text: str) -> None:
    """One line, at once."""
    print(text, flush=True)


def make_plan(arguments: argparse.Namespace) -> Plan:
    """The plan of the arguments.

    Raises
    ------
    ValueError
        For options that do not go together.
    """
    real = arguments.dataset in ("clothing1m", "webvision")
    if arguments.noise is None and not real:
        raise ValueError(f"{arguments.dataset} needs --noise")
    if arguments.labels is None and arguments.member is not None:
        raise ValueError("--member needs --labels FILE")
    labels = None if arguments.labels is None else f"{arguments.labels.name}:{arguments.member or ''}"
    return Plan(
        dataset=arguments.dataset,
        noise=arguments.noise or "real",
        form=arguments.form or ("package" if arguments.fast else "paper"),
        labels=labels,
        changes=dict(_change(text) for text in arguments.set),
        **{
            name: getattr(arguments, name)
            for name in ("rate", "seed", "fast", "net", "epochs", "warmup", "without", "n_train", "n_test")
        },
    )


def _change(text: str) -> tuple[str, Any]:
    """NAME=VALUE, the value as JSON or else as a string."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise ValueError(f"--set needs NAME=VALUE, got {text!r}")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def command(arguments: argparse.Namespace) -> str:
    """The command for the record, without the places of files on this machine."""
    words = ["noisyflywheel", "reproduce", arguments.dataset]
    for name, value in vars(arguments).items():
        if name in ("command", "run", "dataset", "traceback", "tsne") or value is None or value is False or value == []:
            continue
        option = f"--{name.replace('_', '-')}"
        if name in ("data", "out"):
            words += [option, "DIR"]
        elif name == "set":
            words += [word for change in value for word in (option, change)]
        else:
            words += [option] if value is True else [option, value.name if isinstance(value, Path) else str(value)]
    return " ".join(words)
