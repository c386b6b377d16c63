"""Resources as YAML: reading with errors that help, writing as people would.

Called by the local drivers and programs. Files come from people: one document, no key twice, at most MAX_BYTES. An
error names the field and what is expected there, never the value that was found: it may be an address.
"""

import difflib
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from yaml.cyaml import CSafeDumper, CSafeLoader

from ponton_bridge.model.errors import HostError

MAX_BYTES: Final = 65_536  # a resource is about 1 KiB; etcd refuses more than 1.5 MiB
_SHOWN: Final = 5  # errors of one file; the rest comes with the next try

_FIELDS: Final = {"apiVersion": "api_version", "kind": "kind"}

R = TypeVar("R", bound=BaseModel)


class BadResource(HostError):
    """A file is no such resource; the text has one sentence a line, each about one field."""


class _Loader(CSafeLoader):
    """Plain values only, and no key twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002  # PyYAML's signature
        seen = set()
        for key, _ in node.value:
            name = str(key.value)
            if name in seen:
                raise yaml.constructor.ConstructorError(None, None, f"'{name}' stands twice", key.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep=deep)


def load(model: type[R], text: str | bytes) -> R:
    """Read one resource.

    >>> from ponton_operator.resources.account import BridgeAccount
    >>> load(BridgeAccount, "{apiVersion: ponton.im/v1alpha1, kind: BridgeAccount, metadata: {name: a}}")
    Traceback (most recent call last):
    ...
    ponton_operator.resources.yamlfile.BadResource: spec: this field is missing

    Raises BadResource.
    """
    if len(text) > MAX_BYTES:
        raise BadResource(f"This is larger than {MAX_BYTES} bytes, which no {model.__name__} is.")
    try:
        raw = yaml.load(text, Loader=_Loader)  # noqa: S506  # a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise BadResource(f"This is not YAML: {where}{error.problem or 'unreadable'}.") from None
    except (yaml.YAMLError, ValueError, RecursionError):
        raise BadResource("This is not YAML: it holds characters, values or nesting that cannot be read.") from None
    if not isinstance(raw, Mapping):
        raise BadResource(f"This is no resource: it should begin with apiVersion and kind: {model.__name__}.")
    for field in ("apiVersion", "kind"):
        expected = model.model_fields[_FIELDS[field]].default
        if raw.get(field) != expected:
            raise BadResource(f"{field}: must be {expected}")
    try:
        return model.model_validate(raw, by_alias=True, by_name=False)  # python_names are for code
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=True, include_input=False)
        raise BadResource("\n".join(_sentence(model, e) for e in found[:_SHOWN])) from None


_EXPECTED: Final = {
    "missing": "this field is missing",
    "string_type": "text is expected here (put it in quotes)",
    "int_type": "a whole number is expected here",
    "bool_type": "true or false is expected here",
    "tuple_type": "a list is expected here",
    "dict_type": "fields are expected here, not a single value",
    "model_type": "fields are expected here, not a single value",
}


def _sentence(model: type[BaseModel], error: ErrorDetails) -> str:
    path = ".".join(str(part) for part in error["loc"])
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        near = difflib.get_close_matches(str(error["loc"][-1]), _names(model, error["loc"][:-1]), 1)
        return f"{path}: there is no such field" + (f"; did you mean {near[0]}?" if near else "")
    if kind in {"enum", "literal_error"}:
        return f"{path}: must be {context['expected']}"
    return f"{path}: {_EXPECTED.get(kind) or error['msg'][:1].lower() + error['msg'][1:]}"


def _names(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """Give the fields that exist at a place, as they are written in YAML."""
    for part in path:
        field = next((f for f in model.model_fields.values() if f.alias == part), None)
        kinds = [] if field is None else [field.annotation, *getattr(field.annotation, "__args__", ())]
        found = next((k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)), None)
        if found is None:
            return []
        model = found
    return [field.alias or name for name, field in model.model_fields.items()]


def dump(resource: BaseModel) -> str:
    """Write a resource as people would: what is not said is left out, apiVersion and kind come first."""
    full = resource.model_dump(mode="json", by_alias=True)
    said = resource.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude_none=True)
    head = {key: full[key] for key in ("apiVersion", "kind") if key in full}
    text: str = yaml.dump(head | said, Dumper=CSafeDumper, sort_keys=False, allow_unicode=True, width=120)
    return text
