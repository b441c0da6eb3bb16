"""An example for every body of the OpenAPI document that has none of its own, made of config.openapi.samples."""

from typing import Any

from config.openapi.samples import BY_FORMAT, BY_KIND, BY_MEDIA, BY_NAME, BY_OPERATION, BY_SCHEMA, LEFT_OUT

Schema = dict[str, Any]

_METHODS = ("get", "put", "post", "patch", "delete")
_DEEPEST = 10
_TYPES = {"string": str, "integer": int, "boolean": bool, "array": list, "object": dict, "null": type(None)}


def add_examples(result: Schema, generator: Any, request: Any, public: bool) -> Schema:
    """Post-processing hook: complete bodies without an example by one made from their schema."""
    maker = _Maker(result.get("components", {}).get("schemas", {}))
    for path, operations in result["paths"].items():
        for operation in (operations[method] for method in _METHODS if method in operations):
            own = BY_OPERATION.get(operation["operationId"], {})
            bodies = {"request": operation.get("requestBody", {}), **operation["responses"]}
            for which, body in bodies.items():
                for kind, media in body.get("content", {}).items():
                    maker.complete(path, kind, media, own.get(which, {}))
    return result


def _with(value: Any, own: Any) -> Any:
    """``value`` with the members of ``own`` in their places."""
    if not isinstance(value, dict) or not isinstance(own, dict):
        return own
    return {**value, **{name: _with(value.get(name), member) for name, member in own.items()}}


class _Maker:
    def __init__(self, components: dict[str, Schema]) -> None:
        self._components = components

    def complete(self, path: str, kind: str, media: Schema, own: Schema) -> None:
        """Add an example to a body without one; ``own`` are members that it has in this operation."""
        if "schema" not in media or media.get("examples") or "example" in media:
            return
        if kind.endswith("json"):
            media["examples"] = {"example": {"value": _with(self._value(media["schema"], "", 0), own)}}
        elif text := BY_MEDIA.get((path, kind)) or BY_KIND.get(kind):
            media["examples"] = {"example": {"value": text}}

    def _value(self, schema: Schema, name: str, depth: int, component: str = "") -> Any:
        if "$ref" in schema:
            component = schema["$ref"].rpartition("/")[2]
            return self._value(self._components[component], name, depth, component)
        if name in BY_NAME and self._fits(schema, BY_NAME[name]):
            return BY_NAME[name]
        for chosen in ("examples", "enum", "oneOf", "anyOf", "allOf"):
            if schema.get(chosen):
                first = schema[chosen][0]
                return first if chosen in ("examples", "enum") else self._value(first, name, depth)
        for fixed in ("example", "const", "default"):
            if schema.get(fixed) not in (None, ""):
                return schema[fixed]
        return self._by_type(schema, name, depth, component)

    def _fits(self, schema: Schema, value: Any) -> bool:
        """Whether a value known by its field's name is one of this field's."""
        parts = [part for which in ("oneOf", "anyOf", "allOf") for part in schema.get(which, ())]
        if "$ref" in schema:
            return self._fits(self._components[schema["$ref"].rpartition("/")[2]], value)
        if parts:
            return any(self._fits(part, value) for part in parts)
        if "enum" in schema:
            return value in schema["enum"]
        kinds = schema.get("type", [])
        kinds = kinds if isinstance(kinds, list) else [kinds]
        return any(type(value) is _TYPES.get(kind) for kind in kinds)

    def _by_type(self, schema: Schema, name: str, depth: int, component: str) -> Any:
        kinds = schema.get("type", "object" if "properties" in schema else None)
        kind = next((each for each in kinds if each != "null"), "null") if isinstance(kinds, list) else kinds
        if kind == "object":
            return self._object(schema, depth, component)
        if kind == "array":
            return [self._value(schema.get("items", {}), name, depth + 1)] if depth < _DEEPEST else []
        if kind == "string":
            return BY_FORMAT.get(schema.get("format", ""), "text")
        return {"integer": schema.get("minimum", 1), "number": 1, "boolean": True}.get(str(kind))

    def _object(self, schema: Schema, depth: int, component: str) -> Schema:
        properties = schema.get("properties", {}) if depth < _DEEPEST else {}
        known, left_out = BY_SCHEMA.get(component, {}), LEFT_OUT.get(component, set())
        return {
            name: known[name] if name in known else self._value(part, name, depth + 1)
            for name, part in properties.items()
            if name not in left_out
        }
