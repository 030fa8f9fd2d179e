"""The same training step by torch's own means, for what our step is compared with.

autograd  a net of `torch.nn` modules, one replica, with `torch.optim.SGD`
compiled  the same, its loss under `torch.compile`; where there is no compiler, nothing
vmap      R stacked nets at once: `torch.func.vmap` of `torch.func.grad`, and SGD in place
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.nn.functional import cross_entropy

from workbench.nn.check.torch_twin import twin
from workbench.nn.model import Model

Step = Callable[[], object]


def eager(model: Model, x: Tensor, labels: Tensor, lr: float, compiled: bool = False) -> Step:
    """The step as a user of torch writes it, for one net."""
    net = twin(model).to(x.device)
    optimizer = torch.optim.SGD(net.parameters(), lr=lr)

    def cost(x: Tensor, labels: Tensor) -> Tensor:
        return cross_entropy(net(x).flatten(0, -2), labels.flatten())

    measured: Callable[[Tensor, Tensor], Tensor] = torch.compile(cost) if compiled else cost

    def run_step() -> None:
        optimizer.zero_grad()
        torch.autograd.backward(measured(x, labels))
        optimizer.step()

    return run_step


def compiled(model: Model, x: Tensor, labels: Tensor, lr: float) -> Step | None:
    """The same step with a compiled loss, compiled already; None where that fails."""
    try:
        step = eager(model, x, labels, lr, compiled=True)
        step()
    except Exception:  # a compiler that is absent or refuses says so in many ways
        return None
    return step


def vmapped(model: Model, x: Tensor, labels: Tensor, lr: float, replicas: int) -> Step:
    """R nets of one kind, each on a batch of its own."""
    nets: list[nn.Module] = [twin(model).to(x.device) for _ in range(replicas)]
    params, buffers = stack_module_state(nets)
    params = {name: tensor.detach() for name, tensor in params.items()}
    skeleton = nets[0]
    xs, all_labels = (tensor.expand(replicas, *tensor.shape).contiguous() for tensor in (x, labels))

    def cost(params: dict[str, Tensor], buffers: dict[str, Tensor], x: Tensor, labels: Tensor) -> Tensor:
        return cross_entropy(functional_call(skeleton, (params, buffers), (x,)), labels)

    gradient = vmap(grad(cost))

    def run_step() -> None:
        grads = gradient(params, buffers, xs, all_labels)
        torch._foreach_add_(list(params.values()), [grads[name] for name in params], alpha=-lr)

    return run_step
