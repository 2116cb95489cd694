"""Mutants of a module, as mutmut makes them, and what each changes."""

import hashlib
from dataclasses import dataclass
from difflib import ndiff
from functools import reduce
from pathlib import Path

import libcst as cst
import libcst.matchers as m
import mutmut.mutation.file_mutation as file_mutation
from mutmut.mutation import mutators
from mutmut.utils.format_utils import get_mutant_name

_PLAIN = m.Name("classmethod") | m.Name("staticmethod")


@dataclass(frozen=True)
class Mutant:
    """``old`` lines of ``function`` in ``module`` become ``new`` ones; ``name`` is mutmut's."""

    path: Path
    name: str
    module: str
    function: str
    old: str
    new: str

    def is_drawn(self, share: float, seed: int) -> bool:
        """Whether it is in the sample of this share, which does not change with the other mutants."""
        digest = hashlib.sha256(f"{seed} {self.module} {self.function} {self.old} {self.new}".encode()).digest()
        return int.from_bytes(digest[:4], "big") < share * 2**32

    def described(self) -> dict[str, str]:
        """What it changes."""
        return {"function": self.function, "old": self.old, "new": self.new}


def mutants_of(path: Path) -> list[Mutant]:
    """All mutants of a module whose decorators were rewritten."""
    mutated = file_mutation.mutate_file_contents(str(path), path.read_text())
    lines = mutated.code.splitlines()

    def text(function: str) -> list[str]:
        span = mutated.line_span_by_function_name[function]
        return [line for line in lines[span.start - 1 : span.end] if not line.lstrip().startswith("def ")]

    found = []
    for name in mutated.mutant_names:
        stem = name.rpartition("_")[0]
        changed = [line for line in ndiff(text(f"{stem}_orig"), text(name)) if line[0] in "-+"]
        old, new = (" ".join(line[1:].strip() for line in changed if line[0] == sign) for sign in "-+")
        function = stem.removesuffix("__mutmut").removeprefix("x_").removeprefix("xǁ").replace("ǁ", ".")
        module = path.relative_to("src/bayescope").as_posix()
        found.append(Mutant(path, get_mutant_name(path, name), module, function, old, new))
    return found


def undecorated(code: str) -> str:
    """``code`` in which each decorated function is a plain one and an assignment that decorates it."""
    return cst.parse_module(code).visit(_Undecorate()).code


class _Undecorate(cst.CSTTransformer):
    def leave_FunctionDef(
        self, original_node: cst.FunctionDef, updated_node: cst.FunctionDef
    ) -> cst.FunctionDef | cst.FlattenSentinel[cst.BaseStatement]:
        decorators = [decorator.decorator for decorator in updated_node.decorators]
        if not decorators or m.matches(decorators[0], _PLAIN):
            return updated_node
        name = cst.Name(updated_node.name.value)
        call = reduce(lambda inner, decorator: cst.Call(decorator, [cst.Arg(inner)]), reversed(decorators), name)
        assignment = cst.SimpleStatementLine([cst.Assign([cst.AssignTarget(name)], call)])
        return cst.FlattenSentinel([updated_node.with_changes(decorators=[]), assignment])


def _leave_prose_alone() -> None:
    operators = mutators.mutation_operators
    operators[:] = [(kind, _strings if operator is mutators.operator_string else operator) for kind, operator in operators]


def _strings(node: cst.BaseString) -> list[cst.BaseString]:
    is_prose = isinstance(node, cst.SimpleString) and " " in node.value
    return [] if is_prose else list(mutators.operator_string(node))


_leave_prose_alone()
