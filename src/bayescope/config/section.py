"""The base class of all sections of the configuration: strict keys, and deprecated names accepted with a warning."""

import warnings
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, model_validator

from bayescope.errors import RenamedWarning


class Section(BaseModel):
    """Frozen settings; an unknown key or a number that is not finite is refused.

    ``old_keys``, and by key ``old_values``, are accepted once more, with a warning that gives the new name.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    old_keys: ClassVar[Mapping[str, str]] = {}
    old_values: ClassVar[Mapping[str, Mapping[str, str]]] = {}

    @model_validator(mode="before")
    @classmethod
    def _understand_old_names(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        found = {}
        for key, value in values.items():
            name = cls.old_keys.get(key, key)
            if name != key and name in values:
                raise ValueError(f"{name} alone, which {key} is called now")
            new = cls.old_values.get(name, {}).get(value, value) if isinstance(value, str) else value
            if name != key or new is not value:
                old, now = (key, name) if new is value else (f'{key} = "{value}"', f'{name} = "{new}"')
                warnings.warn(f"configuration: {old} is now called {now}; change it", RenamedWarning, stacklevel=2)
            found[name] = new
        return found


class SigmaRange(Section):
    """A range of noise levels."""

    sigma_min: float
    sigma_max: float

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if self.sigma_min >= self.sigma_max:
            raise ValueError(f"sigma_min {self.sigma_min} must be below sigma_max {self.sigma_max}")
        return self
