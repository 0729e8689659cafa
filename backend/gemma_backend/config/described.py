"""What every key means: the text under each field of the model that defines it, and a JSON Schema made of that."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from gemma_backend.config.profiles import Profile
from gemma_backend.config.settings import Settings

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def descriptions(model: type[BaseModel]) -> dict[str, str]:
    """The text under each field of `model`, by the field's name."""
    found: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if issubclass(base, BaseModel) and base is not BaseModel:
            found |= dict(_below(base))
    return {name: text for name, text in found.items() if name in model.model_fields}


def _below(model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    body = ast.parse(textwrap.dedent(inspect.getsource(model))).body[0]
    assert isinstance(body, ast.ClassDef)
    for field, text in zip(body.body, body.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(text, ast.Expr)
            and isinstance(text.value, ast.Constant)
            and isinstance(text.value.value, str)
        ):
            yield field.target.id, inspect.cleandoc(text.value.value).replace("\n", " ")


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str, Any]]:
    """Every dotted key below `model` with its text and default."""
    texts = descriptions(model)
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from keys(inner, f"{prefix}{name}.")
        else:
            yield prefix + name, texts.get(name, ""), None if field.is_required() else field.get_default()


def schema() -> dict[str, Any]:
    """JSON Schema of `config.toml`, profiles included."""
    made = _described(Settings)
    profile = _described(Profile)
    made.setdefault("$defs", {}).update(profile.pop("$defs", {}))
    # A profile in a table is named by the table.
    profile["properties"].pop("name")
    profile.pop("required", None)
    made["$defs"]["Profile"] = profile
    made["properties"]["profiles"]["additionalProperties"] = {"$ref": "#/$defs/Profile"}
    return {"$schema": DIALECT, **made}


def profile_schema() -> dict[str, Any]:
    """JSON Schema of a file in `profiles/`, which is named by the file."""
    made = _described(Profile)
    made["properties"].pop("name")
    made.pop("required", None)
    return {"$schema": DIALECT, **made}


def _described(model: type[BaseModel]) -> dict[str, Any]:
    made: dict[str, Any] = model.model_json_schema()
    models = {one.__name__: one for one in _models(model)}
    for name, table in [(model.__name__, made), *made.get("$defs", {}).items()]:
        for key, text in descriptions(models[name]).items() if name in models else ():
            table["properties"][key]["description"] = text
    return made


def _models(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield model
    for field in model.model_fields.values():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _models(field.annotation)
