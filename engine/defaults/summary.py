"""A table of the size of a model."""

from torch import nn


def model_table(model: nn.Module) -> str:
    """Return a table of the parameters of a model and of each of its direct parts."""
    from tabulate import tabulate

    def row(name: str, module: nn.Module) -> tuple[str, str, str, str]:
        parameters = list(module.parameters())
        trained = sum(p.numel() for p in parameters if p.requires_grad)
        size = sum(p.numel() * p.element_size() for p in parameters) / 2**20
        return name, f"{sum(p.numel() for p in parameters):,}", f"{trained:,}", f"{size:.1f}"

    rows = [row(name, child) for name, child in model.named_children() if any(True for _ in child.parameters())]
    rows.append(row(type(model).__name__ + " (all)", model))
    return tabulate(
        rows,
        headers=("part", "parameters", "trained", "MiB"),
        tablefmt="simple_outline",
        colalign=("left", "right", "right", "right"),
    )
