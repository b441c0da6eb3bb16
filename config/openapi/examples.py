"""An example for every body of the OpenAPI document that has none of its own."""

from typing import Any

Schema = dict[str, Any]

_BY_FORMAT: dict[str, Any] = {
    "uuid": "0193a1f2-7c1e-7a40-9d6b-2f1c5e8a4b10",
    "date-time": "2026-03-02T12:00:00Z",
    "date": "2026-03-02",
    "decimal": "10.00",
    "email": "ada@example.com",
    "uri": "https://example.com/",
    "binary": "",
    "byte": "",
}
_BY_NAME: dict[str, Any] = {
    "name": "Production",
    "reason": "Goodwill",
    "actor": "ada@example.com",
    "model": "openai/gpt-5-mini",
    "allowed_models": "openai/*",
    "allowed_networks": "203.0.113.0/24",
    "key": "order-1042",
    "time_zone": "Europe/Berlin",
    "currency": "USD",
    "prefix": "fbx_live_Ab3x",
    "last_four": "9f3a",
    "secret": "fbx_live_Ab3x…9f3a",
    "expires_at": "2030-01-01T00:00:00Z",
}
_METHODS = ("get", "put", "post", "patch", "delete")


def add_examples(result: Schema, generator: Any, request: Any, public: bool) -> Schema:
    """Post-processing hook: complete bodies without an example by one made from their schema."""
    maker = _Maker(result.get("components", {}).get("schemas", {}))
    for path in result["paths"].values():
        for operation in (path[method] for method in _METHODS if method in path):
            bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
            for content in (body.get("content", {}) for body in bodies):
                for kind, media in content.items():
                    maker.complete(kind, media)
    return result


class _Maker:
    def __init__(self, components: dict[str, Schema]) -> None:
        self._components = components

    def complete(self, kind: str, media: Schema) -> None:
        """Add an example to a JSON body without one."""
        if kind.endswith("json") and "schema" in media and not media.get("examples") and "example" not in media:
            media["examples"] = {"example": {"value": self._value(media["schema"], "", 0)}}

    def _value(self, schema: Schema, name: str, depth: int) -> Any:
        if "$ref" in schema:
            return self._value(self._components[schema["$ref"].rpartition("/")[2]], name, depth)
        for chosen in ("examples", "enum", "oneOf", "anyOf", "allOf"):
            if schema.get(chosen):
                first = schema[chosen][0]
                return first if chosen in ("examples", "enum") else self._value(first, name, depth)
        for fixed in ("example", "const", "default"):
            if schema.get(fixed) not in (None, ""):
                return schema[fixed]
        return self._by_type(schema, name, depth)

    def _by_type(self, schema: Schema, name: str, depth: int) -> Any:
        if name in ("next", "previous"):
            return None
        kinds = schema.get("type", "object" if "properties" in schema else None)
        kind = next((each for each in kinds if each != "null"), "null") if isinstance(kinds, list) else kinds
        if kind == "object":
            properties = schema.get("properties", {}) if depth < 6 else {}
            return {each: self._value(part, each, depth + 1) for each, part in properties.items()}
        if kind == "array":
            return [self._value(schema.get("items", {}), name, depth + 1)] if depth < 6 else []
        if kind == "string":
            return _BY_NAME.get(name) or _BY_FORMAT.get(schema.get("format", ""), "text")
        return {"integer": schema.get("minimum", 1), "number": 1, "boolean": True}.get(str(kind))
