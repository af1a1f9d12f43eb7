"""From a torch module to the calls that it makes, as ``torch.fx`` records them."""

from collections.abc import Callable, Mapping

from torch import Tensor, fx, nn

#: What a call of a traced module calls: a module, a function, or the name of a tensor's method.
Target = Callable[..., object] | str


class Root(nn.Module):
    """Holds a module, so that one of torch's own is called like a part of a larger one."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return what the module computes of its inputs."""
        result: Tensor = self.module(*inputs)
        return result


def traced(root: Root, n_inputs: int) -> fx.Graph:
    """Return the calls that ``root`` makes of ``n_inputs`` inputs, in order.

    Raises:
        TraceError: Which ones it makes depends on what it computes.
    """
    return _Tracer(n_inputs).trace(root)


def target_name(target: Target | nn.Module) -> str:
    """Return what a call is of, for messages."""
    if isinstance(target, nn.Module):
        return type(target).__name__
    return str(getattr(target, "__name__", target))


class _Tracer(fx.Tracer):
    """Traces modules that take any number of inputs."""

    def __init__(self, n_inputs: int) -> None:
        super().__init__()
        self._n_inputs = n_inputs

    def create_args_for_root(
        self,
        root_fn: Callable[..., object],
        is_module: bool,
        concrete_args: Mapping[str, object] | tuple[object, ...] | None = None,
    ) -> tuple[Callable[..., object], list[object]]:
        inputs = [self.create_proxy("placeholder", f"input_{i}", (), {}) for i in range(self._n_inputs)]
        return root_fn, [self.root, *inputs]
