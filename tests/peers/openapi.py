"""Requests and answers judged by a vendor's OpenAPI 3.0 document."""

import functools
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

from jsonschema import ValidationError
from openapi_schema_validator import OAS30Validator
from referencing import Registry
from referencing.jsonschema import DRAFT4

Schema = dict[str, Any]
Pairs = Sequence[tuple[str, str]]

DOCUMENT = "urn:vendor"
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
COMPOSED = ("allOf", "anyOf", "oneOf")


class Document:
    """A vendor's API as it describes itself. Loading Stripe's takes a second or two: see load()."""

    def __init__(self, contents: dict[str, Any]) -> None:
        text = json.dumps(spell_out_nullable(contents)).replace('"#/components/', f'"{DOCUMENT}#/components/')
        self.contents: dict[str, Any] = json.loads(text)
        resource = DRAFT4.create_resource(self.contents)
        self.registry: Registry[Any] = Registry().with_resource(DOCUMENT, resource)
        # Paths without parameters first: /v2/payments/cancel is not the payment "cancel".
        templates = sorted(self.contents["paths"], key=lambda template: template.count("{"))
        self._routes = [(_pattern(template), template) for template in templates]
        self._operations: dict[tuple[str, str], Operation] = {}

    @property
    def version(self) -> str:
        return str(self.contents["info"]["version"])

    def find(self, method: str, path: str) -> "tuple[Operation, dict[str, str]] | None":
        """The operation that a request line names, and what its path says; None if the vendor has none."""
        for pattern, template in self._routes:
            match = pattern.fullmatch(path)
            if match and method.lower() in self.contents["paths"][template]:
                arguments = {name[1:]: unquote(value) for name, value in match.groupdict().items()}
                return self.operation(method, template), arguments
        return None

    def operation(self, method: str, template: str) -> "Operation":
        key = (method.upper(), template)
        if key not in self._operations:
            item = self.contents["paths"][template]
            described = item[method.lower()]
            shared = item.get("parameters", [])
            described = {**described, "parameters": [*shared, *described.get("parameters", [])]}
            self._operations[key] = Operation(self, method.upper(), template, described)
        return self._operations[key]

    def schema(self, name: str) -> Schema:
        return {"$ref": f"{DOCUMENT}#/components/schemas/{name}"}

    def resolve(self, described: dict[str, Any]) -> dict[str, Any]:
        """What a $ref stands for."""
        while "$ref" in described:
            target: Any = self.contents
            for step in described["$ref"].split("#/")[1].split("/"):
                target = target[step.replace("~1", "/").replace("~0", "~")]
            described = target
        return described

    def validator(self, schema: Schema) -> OAS30Validator:
        return OAS30Validator(schema, registry=self.registry)

    def errors(self, schema: Schema, value: object) -> list[str]:
        return [_describe(error) for error in self.validator(schema).iter_errors(value)]

    def unknown_fields(self, schema: Schema, value: object) -> list[str]:
        """Fields that no alternative of the schema names: a validator lets them pass, a vendor does not."""
        return list(self._unknown([schema], value, ""))

    def _unknown(self, schemas: Iterable[Schema], value: object, at: str) -> Iterator[str]:
        parts = [part for schema in schemas for part in self._parts(schema)]
        if isinstance(value, list):
            items = [part["items"] for part in parts if "items" in part]
            for element in value:
                yield from self._unknown(items, element, f"{at}[]")
        elif isinstance(value, dict):
            named = [part["properties"] for part in parts if part.get("properties")]
            is_open = not named or any(part.get("additionalProperties") for part in parts)
            for name, inner in value.items():
                known = [properties[name] for properties in named if name in properties]
                if known:
                    yield from self._unknown(known, inner, f"{at}/{name}")
                elif not is_open:
                    yield f"unknown field {at}/{name}"

    def _parts(self, schema: Schema) -> Iterator[Schema]:
        schema = self.resolve(schema)
        yield schema
        for key in COMPOSED:
            for alternative in schema.get(key, []):
                yield from self._parts(alternative)

    def coerce(self, value: Any, schema: Schema) -> Any:
        """Give the strings of a form the types that its schema asks for; what does not fit stays as it is."""
        schema = self.resolve(schema)
        for alternative in schema.get("anyOf", []):
            candidate = self.coerce(value, alternative)
            if self.validator(alternative).is_valid(candidate):
                return candidate
        if isinstance(value, dict):
            return self._coerce_object(value, schema)
        if isinstance(value, list):
            return [self.coerce(element, schema.get("items", {})) for element in value]
        return _coerce_text(value, schema.get("type")) if isinstance(value, str) else value

    def _coerce_object(self, value: dict[str, Any], schema: Schema) -> dict[str, Any]:
        rest = schema.get("additionalProperties")
        other = rest if isinstance(rest, dict) else {}
        named = schema.get("properties", {})
        return {name: self.coerce(inner, named.get(name, other)) for name, inner in value.items()}


@dataclass
class Operation:
    """One method of one path, with its validators compiled once."""

    document: Document
    method: str
    template: str
    described: dict[str, Any]
    _validators: dict[str, tuple[Schema, OAS30Validator]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.method} {self.template}"

    def body_schema(self, media_type: str) -> Schema | None:
        body = self.document.resolve(self.described.get("requestBody") or {})
        schema: Schema | None = body.get("content", {}).get(media_type, {}).get("schema")
        return schema

    def requires_body(self) -> bool:
        body = self.document.resolve(self.described.get("requestBody") or {})
        return bool(body.get("required"))

    def body_errors(self, value: object, media_type: str = JSON) -> list[str]:
        """What is wrong with the body that we sent, unknown fields included."""
        schema = self.body_schema(media_type)
        if schema is None:
            return [] if value in (None, {}, "") else [f"{self.name} takes no {media_type} body"]
        if value is None:
            return [f"{self.name} needs a body"] if self.requires_body() else []
        return self._judge(f"request {media_type}", schema, value, closed=True)

    def form(self, pairs: Pairs) -> Any:
        """A form's fields, nested and typed as the operation describes them."""
        return self.document.coerce(nest(pairs), self.body_schema(FORM) or {})

    def query_errors(self, pairs: Pairs) -> list[str]:
        """What is wrong with the query that we sent."""
        parameters = [self.document.resolve(parameter) for parameter in self.described["parameters"]]
        known = {parameter["name"]: parameter for parameter in parameters if parameter["in"] == "query"}
        given = _by_parameter(pairs, known)
        missing = [n for n, p in known.items() if p.get("required") and n not in given]
        errors = [f"missing parameter {name}" for name in missing]
        for name, value in given.items():
            if name not in known:
                errors.append(f"unknown parameter {name}")
                continue
            schema = known[name].get("schema", {})
            typed = self.document.coerce(value, schema)
            errors += [f"parameter {name}: {error}" for error in self.document.errors(schema, typed)]
            errors += self.document.unknown_fields(schema, typed)
        return errors

    def response_errors(self, status: int, value: object, *, closed: bool = False) -> list[str]:
        """What is wrong with an answer. Some vendors describe no error at all; then any is right."""
        responses = self.described["responses"]
        described = responses.get(str(status)) or responses.get("default")
        if described is None:
            return [] if status >= 400 else [f"status {status} is not described"]
        content = self.document.resolve(described).get("content", {})
        if not content:
            return [] if value is None else [f"status {status} carries no body"]
        schemas = [media["schema"] for media in content.values() if media.get("schema")]
        if not schemas:
            return []
        judged = [
            self._judge(f"{status} {number}", schema, value, closed=closed)
            for number, schema in enumerate(schemas)
        ]
        return min(judged, key=len)

    def media_type(self, status: int) -> str:
        """What an answer of this status is sent as."""
        described = self.described["responses"].get(str(status), {})
        return next(iter(self.document.resolve(described).get("content", {})), JSON)

    def _judge(self, key: str, schema: Schema, value: object, *, closed: bool) -> list[str]:
        if key not in self._validators:
            self._validators[key] = (schema, self.document.validator(schema))
        errors = [_describe(error) for error in self._validators[key][1].iter_errors(value)]
        return errors + (self.document.unknown_fields(schema, value) if closed else [])


@functools.cache
def load(path: Path, *additions: str) -> Document:
    """A document from its file, read once in a process; additions are further paths, as JSON."""
    contents = json.loads(path.read_text())
    for addition in additions:
        contents["paths"].update(json.loads(addition))
    return Document(contents)


def spell_out_nullable(value: Any) -> Any:
    """Make null an alternative of its own.

    OpenAPI 3.0 says "nullable" beside a $ref or an anyOf, where JSON Schema does not look at it.
    """
    if isinstance(value, list):
        return [spell_out_nullable(element) for element in value]
    if not isinstance(value, dict):
        return value
    spelt = {key: spell_out_nullable(inner) for key, inner in value.items()}
    if spelt.get("nullable") is True:
        del spelt["nullable"]
        return {"anyOf": [spelt, {"enum": [None]}]}
    return spelt


def nest(pairs: Pairs) -> dict[str, Any]:
    """The fields of a form as Stripe nests them: a[b]=1, a[0]=1 and a[]=1."""
    root: dict[str, Any] = {}
    for key, value in pairs:
        steps = [key.split("[")[0], *re.findall(r"\[([^\]]*)\]", key)]
        place = root
        for step in steps[:-1]:
            inner = place.setdefault(step or str(len(place)), {})
            if not isinstance(inner, dict):  # a=1&a[b]=2: the later one stands
                inner = place[step] = {}
            place = inner
        place[steps[-1] or str(len(place))] = value
    return {key: _lists(value) for key, value in root.items()}


def parse(query: str) -> list[tuple[str, str]]:
    return parse_qsl(query, keep_blank_values=True)


def _lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    inner = {key: _lists(element) for key, element in value.items()}
    if inner and all(key.isdigit() for key in inner):
        return [inner[key] for key in sorted(inner, key=int)]
    return inner


def _coerce_text(value: str, kind: str | None) -> Any:
    if kind == "integer" and re.fullmatch(r"-?\d+", value):
        return int(value)
    if kind == "number" and re.fullmatch(r"-?\d+(\.\d+)?", value):
        return float(value)
    if kind == "boolean" and value.lower() in ("true", "false"):
        return value.lower() == "true"
    return value


def _by_parameter(pairs: Pairs, known: dict[str, Any]) -> dict[str, Any]:
    """Each parameter's value: SumUp's statuses[] is a name, Stripe's created[gte] is a part of created."""
    literal = [(key, value) for key, value in pairs if key in known]
    given: dict[str, Any] = nest([(key, value) for key, value in pairs if key not in known])
    for key, value in literal:
        if known[key].get("schema", {}).get("type") == "array":
            given.setdefault(key, []).append(value)
        else:
            given[key] = value
    return given


def _pattern(template: str) -> re.Pattern[str]:
    # A parameter's name need not be a name in Python ("id" twice in Stripe's is not one either).
    parts = re.split(r"\{([^}]+)\}", template)
    pieces = [
        re.escape(part) if number % 2 == 0 else f"(?P<_{part}>[^/]+)" for number, part in enumerate(parts)
    ]
    return re.compile("".join(pieces))


def _describe(error: ValidationError) -> str:
    # Of "null or money" the part that was meant says more than that neither fits.
    while error.context:
        error = max(error.context, key=lambda inner: len(inner.absolute_path))
    where = "/".join(str(step) for step in error.absolute_path)
    return f"{where}: {error.message[:200]}"
