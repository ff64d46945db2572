"""The vendor's models as the measure of names and types."""

from __future__ import annotations

import typing
from functools import cache
from typing import Any

from Tea.model import TeaModel


def strangers(raw: Any, model: TeaModel, any_type: set[str]) -> list[str]:
    """What an answer holds that its model does not know, or knows with another type; that at `any_type` may have any."""
    mistyped = [text for at, text in _mistyped(model, "") if at not in any_type]
    return sorted(set(lost(raw, model.to_map(), ""))) + sorted(set(mistyped))


def lost(raw: Any, kept: Any, at: str) -> list[str]:
    """What of a document is not in what a model kept of it."""
    if isinstance(raw, dict):
        if not isinstance(kept, dict):
            return [f"unknown {at}"]
        return [
            complaint
            for name, value in raw.items()
            for complaint in (lost(value, kept[name], f"{at}.{name}") if name in kept else [f"unknown {at}.{name}"])
        ]
    if isinstance(raw, list):
        if not isinstance(kept, list) or len(raw) != len(kept):
            return [f"unknown {at}[]"]
        return [complaint for one, other in zip(raw, kept) for complaint in lost(one, other, f"{at}[]")]
    return [] if raw == kept else [f"another {at}: {raw!r}, not {kept!r}"]


@cache
def hints(model: type) -> dict[str, Any]:
    """The types of a model's fields, by attribute."""
    return typing.get_type_hints(model.__init__)


def _mistyped(model: TeaModel, at: str) -> list[tuple[str, str]]:
    complaints = []
    for name, hint in hints(type(model)).items():
        complaints += _unlike(getattr(model, name, None), hint, f"{at}.{name}")
    return complaints


def _unlike(value: Any, hint: Any, at: str) -> list[tuple[str, str]]:
    if value is None or hint is Any:
        return []
    if isinstance(value, TeaModel):
        return _mistyped(value, at)
    wanted = typing.get_origin(hint) or hint
    if wanted is list and isinstance(value, list):
        (inner,) = typing.get_args(hint)
        return [complaint for one in value for complaint in _unlike(one, inner, f"{at}[]")]
    fits = isinstance(value, (int, float) if wanted is float else wanted)
    if fits and (wanted is bool or not isinstance(value, bool)):
        return []
    return [(at, f"{type(value).__name__} for {wanted.__name__} at {at}")]
