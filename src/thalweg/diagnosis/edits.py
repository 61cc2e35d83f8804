"""What to type: for each fix, the line of the user's program to change, and to what, where the program tells it.

An edit is data: `line` names the sentence `line_<line>` of the catalogue, the other entries are its code and places. It
is kept among the values of its fix. What cannot be told exactly is not told.
"""

from __future__ import annotations

import ast
import inspect
import math
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from thalweg.diagnosis.measures.symmetry import symmetry_of
from thalweg.diagnosis.source import Place, Program, rewritten
from thalweg.probes.attributes import held_tensors, is_made_of_others
from thalweg.probes.batches import unwrapped


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from torch.optim import Optimizer

    from thalweg.diagnosis.verdict import Verdict

    Edit = dict[str, float | str]

MOST_NAMES = 3
_SQUASHING = ("softmax", "log_softmax", "sigmoid")
_BOUNDED = (*_SQUASHING, "relu", "tanh", "relu6", "hardsigmoid", "softplus")
_KEPT = {list: "nn.ModuleList", tuple: "nn.ModuleList", dict: "nn.ModuleDict"}


class Edits:
    """The edits of a training.

    Args:
        model: in training.
        optimizer: its optimizer.
        made: where the watch was made; None if nobody knows.
        stepped: where `watch.step` is called; None if nobody knows.
        idle: names of the parameters that never had a gradient.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        made: Place | None = None,
        stepped: Place | None = None,
        idle: Sequence[str] = (),
    ) -> None:
        self.model, self.optimizer, self.idle = model, optimizer, idle
        self.program = Program(stepped) if stepped is not None else None
        self.model_name, self.optimizer_name = _names(made)

    def added_to(self, verdict: Verdict) -> Verdict:
        """The verdict whose fixes say what to type."""
        fixes = []
        for fix in verdict.fixes:
            edit: Edit | None = None
            with suppress(Exception):  # a program that is read wrongly costs no verdict
                way = _WAYS.get(fix.code)
                edit = way(self, {**verdict.measures, **fix.values}) if way is not None else None
            fixes.append(replace(fix, values={**fix.values, **edit}) if edit else fix)
        return replace(verdict, fixes=tuple(fixes))

    @property
    def creation(self) -> ast.Call | None:
        """The call that makes the optimizer."""
        return self.program.call(type(self.optimizer).__name__) if self.program else None

    def written(
        self, *, line: str = "write", names: str = "", first: str = "", name: str = "", **given: Any
    ) -> Edit | None:
        """The optimizer's call with other arguments."""
        call, program = self.creation, self.program
        if call is None or program is None:
            return None
        code = rewritten(call, first=first, name=name, **given)
        return {"line": line, "at": program.name(call), "code": code, **({"names": names} if names else {})}

    def path(self, name: str) -> str:
        """A module or parameter as it is written: `layers.2.weight` is `model.layers[2].weight`."""
        parts = [f"[{part}]" if part.isdigit() else f".{part}" for part in name.split(".") if name]
        return self.model_name + "".join(parts)

    def listed(self, names: Sequence[str]) -> str:
        """Some names, as they are written, and an ellipsis for the others."""
        owners = list(dict.fromkeys(name.rpartition(".")[0] or name for name in names))
        shown = list(names) if len(names) <= MOST_NAMES else owners
        return ", ".join([*map(self.path, shown[:MOST_NAMES]), *(["…"] if len(shown) > MOST_NAMES else [])])


def _names(made: Place | None) -> tuple[str, str]:
    """The model and the optimizer as the call of `watch` names them."""
    call = Program(made).call_at(made.line, "watch", "Watch") if made is not None else None
    if call is None:
        return "model", "optimizer"
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    parts = [*call.args[:2], *(given[name] for name in ("model", "optimizer")[len(call.args) :] if name in given)]
    names = [ast.unparse(part) for part in parts]
    plain = len(names) == 2 and all(isinstance(part, ast.Name | ast.Attribute) for part in parts)
    return (names[0], names[1]) if plain else ("model", "optimizer")


def _rate(edits: Edits, values: Mapping[str, Any]) -> Edit | None:
    groups = edits.optimizer.param_groups
    rates = {float(group.get("initial_lr", group["lr"])) for group in groups}
    now, to = float(values["lr"]), float(values["to"])
    if len(rates) != 1 or not (now > 0 and math.isfinite(to)):
        return None
    base = rates.pop()  # a schedule multiplies it
    return edits.written(lr=to * base / now) if values.get("lr_left", 1.0) > 0.1 or base != now else None


def _erasing(edits: Edits, values: Mapping[str, Any]) -> Edit | None:
    name, module = list(unwrapped(edits.model).named_modules())[int(values["erased_at"])]
    return {"line": "erases", "at": edits.path(name), "kind": type(module).__name__}


def _call_step(edits: Edits, _values: Mapping[str, Any]) -> Edit | None:
    program = edits.program
    if program is None:
        return None
    kinds = [kind.__name__ for kind in vars(torch.optim).values() if isinstance(kind, type)]
    made = program.call_in_loop(*kinds)
    if made is not None:
        return {"line": "move", "at": program.name(made), "code": ast.unparse(made)}
    return _before_watch(edits, f"{edits.optimizer_name}.step()")


def _zero_grad(edits: Edits, _values: Mapping[str, Any]) -> Edit | None:
    program = edits.program
    backward = program.call("backward") if program else None
    code = f"{edits.optimizer_name}.zero_grad()"
    if program is None or backward is None:
        return None
    return {"line": "before", "at": program.name(backward), "code": code, "there": ast.unparse(backward)}


def _train_mode(edits: Edits, _values: Mapping[str, Any]) -> Edit | None:
    program = edits.program
    off = program.call("eval") if program else None
    if program is None or off is None:
        return _before_watch(edits, f"{edits.model_name}.train()")
    return {"line": "mode", "at": program.name(off), "code": f"{edits.model_name}.train()", "there": ast.unparse(off)}


def _before_watch(edits: Edits, code: str) -> Edit | None:
    program = edits.program
    call = program.call_at(program.place.line, "step") if program else None
    if program is None or call is None:
        return None
    return {"line": "before", "at": program.name(call), "code": code, "there": ast.unparse(call)}


def _clip_less(edits: Edits, _values: Mapping[str, Any]) -> Edit | None:
    program = edits.program
    call = program.call("clip_grad_norm_", "clip_grad_value_") if program else None
    return {"line": "loosen", "at": program.name(call), "code": ast.unparse(call)} if program and call else None


def _hand_all_over(edits: Edits, _values: Mapping[str, Any]) -> Edit | None:
    held = {id(p) for group in edits.optimizer.param_groups for p in group["params"]}
    missing = [name for name, p in edits.model.named_parameters() if p.requires_grad and id(p) not in held]
    if missing:
        names = edits.listed(missing)
        everything = f"{edits.model_name}.parameters()"
        return edits.written(line="write_lacking", names=names, first=everything) or {"line": "names", "names": names}
    return {"line": "names", "names": edits.listed(edits.idle)} if edits.idle else None


def _unfreeze(edits: Edits, _values: Mapping[str, Any]) -> Edit | None:
    frozen = [name for name, p in edits.model.named_parameters() if not p.requires_grad]
    if not frozen:
        return None
    first = {name.partition(".")[0] for name in frozen}
    owner = first.pop() if len(first) == 1 and "." in frozen[0] else ""
    return {"line": "write_here", "code": f"{edits.path(owner)}.requires_grad_(True)"}


def _register_layers(edits: Edits, _values: Mapping[str, Any]) -> Edit | None:
    for module in edits.model.modules():
        for name, value in vars(module).items():
            held = list(value.values()) if isinstance(value, dict) else value
            if name.startswith("_") or not isinstance(held, list | tuple) or not held:
                continue
            if all(isinstance(one, nn.Module) for one in held):
                code = f"self.{name} = {_KEPT[type(value)]}(self.{name})"
            elif all(isinstance(one, nn.Parameter) for one in held):
                code = f"self.{name} = nn.ParameterList(self.{name})"
            else:
                continue
            return {"line": "write", "at": _in_class(module, f"self.{name}") or type(module).__name__, "code": code}
    return None


def _make_parameter(edits: Edits, _values: Mapping[str, Any]) -> Edit | None:
    held = {id(p) for group in edits.optimizer.param_groups for p in group["params"]}
    known = held | {id(parameter) for parameter in edits.model.parameters()}
    for module, name, tensor in held_tensors(edits.model):
        if isinstance(tensor, nn.Parameter) or not tensor.requires_grad or id(tensor) in known:
            continue
        if tensor.is_leaf or is_made_of_others(tensor, known):
            kind = {list: "ParameterList", tuple: "ParameterList", dict: "ParameterDict"}.get(
                type(getattr(module, name))
            )
            at, value = _assigned(module, f"self.{name}")
            code = f"self.{name} = nn.{kind or 'Parameter'}({value or f'self.{name}'})"
            return {"line": "write", "at": at or type(module).__name__, "code": code}
    return None


def _in_class(module: nn.Module, target: str) -> str:
    """Where a class first assigns an attribute; empty if its source is not there."""
    return _assigned(module, target)[0]


def _assigned(module: nn.Module, target: str) -> tuple[str, str]:
    """Where a class first assigns an attribute, and what; both empty if its source is not there."""
    with suppress(OSError, TypeError, SyntaxError):
        lines, first = inspect.getsourcelines(type(module))
        for node in ast.walk(ast.parse(inspect.cleandoc("\n" + "".join(lines)))):
            if isinstance(node, ast.Assign) and any(ast.unparse(one) == target for one in node.targets):
                return Place(inspect.getfile(type(module)), first + node.lineno - 1).name, ast.unparse(node.value)
    return "", ""


def _less_dropout(edits: Edits, _values: Mapping[str, Any]) -> Edit | None:
    kind = nn.modules.dropout._DropoutNd  # noqa: SLF001 - the base of all of them
    dropping = [(module.p, name) for name, module in edits.model.named_modules() if isinstance(module, kind)]
    strongest = max(dropping, default=(0.0, ""))
    if strongest[0] <= 0:
        return None
    module: Any = edits.model.get_submodule(strongest[1])
    return {"line": "write", "at": edits.path(strongest[1]), "code": f"nn.{type(module).__name__}({module.p / 4:.2g})"}


def _initialize(edits: Edits, _values: Mapping[str, Any]) -> Edit | None:
    same = [
        name
        for name, module in edits.model.named_modules()
        if not list(module.children()) and symmetry_of(module).get("twin_units", 0) > 0.9
    ]
    if not same:
        return None
    layer = edits.model.get_submodule(same[0])
    able = callable(getattr(layer, "reset_parameters", None)) and len(same) == 1
    code = f"{edits.path(same[0])}.reset_parameters()"
    return {"line": "write_here", "code": code} if able else {"line": "names_same", "names": edits.listed(same)}


def _remove(edits: Edits, kinds: Sequence[str]) -> Edit | None:
    """The activation at the end of the network: its last module, or the last call in `forward`."""
    leaves = [(name, module) for name, module in edits.model.named_modules() if not list(module.children())]
    if leaves and type(leaves[-1][1]).__name__.lower() in {kind.replace("_", "") for kind in kinds}:
        name, module = leaves[-1]
        return {"line": "remove", "at": edits.path(name), "code": f"nn.{type(module).__name__}()"}
    with suppress(OSError, TypeError, SyntaxError):
        lines, first = inspect.getsourcelines(type(edits.model).forward)
        tree = ast.parse(inspect.cleandoc("\n" + "".join(lines)))
        last = [node.value for node in ast.walk(tree) if isinstance(node, ast.Return) and node.value is not None]
        calls = [node for node in last if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in kinds]
        if len(calls) == 1:
            place = Place(inspect.getfile(type(edits.model)), first + calls[0].lineno - 1)
            name = ast.unparse(calls[0].func)
            return {"line": "remove", "at": place.name, "code": f"{name}(…)"}
    return None


def _keep_gradient(edits: Edits, _values: Mapping[str, Any]) -> Edit | None:
    """The only `detach()` or `.data` in a loop of a `forward`."""
    kinds = {type(module) for module in edits.model.modules()}
    own = [kind for kind in kinds if kind.__module__.partition(".")[0] != "torch"]
    found = [(place, node) for kind in own for place, node in _in_loops(kind) if node.attr in {"detach", "data"}]
    if len(found) != 1:
        return None
    place, node = found[0]
    return {"line": "remove", "at": place.name, "code": ".detach()" if node.attr == "detach" else ".data"}


def _in_loops(kind: type[nn.Module]) -> Iterator[tuple[Place, ast.Attribute]]:
    """The attributes that are read in the loops of a `forward`, and where; none if its source is not there."""
    with suppress(OSError, TypeError, SyntaxError):
        lines, first = inspect.getsourcelines(kind.forward)
        tree = ast.parse(inspect.cleandoc("\n" + "".join(lines)))
        loops = [node for node in ast.walk(tree) if isinstance(node, ast.For | ast.While)]
        for node in {node for loop in loops for node in ast.walk(loop)}:
            if isinstance(node, ast.Attribute):
                yield Place(inspect.getfile(kind), first + node.lineno - 1), node


def _norm_momentum(edits: Edits, _values: Mapping[str, Any]) -> Edit | None:
    for name, module in edits.model.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.momentum not in (None, 0.1):  # noqa: SLF001
            code = f"nn.{type(module).__name__}({module.num_features}, momentum=0.1)"
            return {"line": "write", "at": edits.path(name), "code": code}
    return None


def _batch_first(edits: Edits, _values: Mapping[str, Any]) -> Edit | None:
    for name, module in edits.model.named_modules():
        if getattr(module, "batch_first", True) is False:
            return {"line": "write", "at": edits.path(name), "code": f"nn.{type(module).__name__}(…, batch_first=True)"}
    return None


def _shuffle(edits: Edits, _values: Mapping[str, Any]) -> Edit | None:
    program = edits.program
    call = program.call("DataLoader") if program else None
    if program is None or call is None:
        return None
    return {"line": "write", "at": program.name(call), "code": rewritten(call, shuffle="True")}


def _next_batch(edits: Edits, _values: Mapping[str, Any]) -> Edit | None:
    program = edits.program
    call = program.reopening() if program else None
    if program is not None and call is None and (seed := program.reseeding()) is not None:
        return {"line": "move", "at": program.name(seed), "code": ast.unparse(seed)}
    if program is None or call is None:
        return None
    loader = ast.unparse(call.args[0])
    return {"line": "hold", "at": program.name(call), "code": "next(batches)", "first": f"batches = {loader}"}


_WAYS: dict[str, Callable[[Edits, Mapping[str, Any]], Edit | None]] = {
    "adaptive": lambda edits, _: edits.written(name="Adam", lr=1e-3),
    "batch_first": _batch_first,
    "call_step": _call_step,
    "clear_first": _zero_grad,
    "clip_less": _clip_less,
    "follow_signal": _erasing,
    "hand_all_over": _hand_all_over,
    "initialize_at_random": _initialize,
    "keep_gradient": _keep_gradient,
    "less_decay": lambda edits, _: edits.written(weight_decay=0.0),
    "less_dropout": _less_dropout,
    "linear_output": lambda edits, _: _remove(edits, _BOUNDED),
    "logits": lambda edits, _: _remove(edits, _SQUASHING),
    "lower_rate": _rate,
    "make_parameter": _make_parameter,
    "momentum": lambda edits, _: edits.written(momentum=0.9) if isinstance(edits.optimizer, torch.optim.SGD) else None,
    "next_batch": _next_batch,
    "no_last_relu": lambda edits, _: _remove(edits, _BOUNDED),
    "norm_momentum": _norm_momentum,
    "raise_rate": _rate,
    "register_layers": _register_layers,
    "shuffle": _shuffle,
    "train_mode": _train_mode,
    "unfreeze": _unfreeze,
    "zero_grad": _zero_grad,
}
"""Code of a fix to the function that finds its edit."""
