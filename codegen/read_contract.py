"""OpenAPI document -> intermediate form: operations and flattened schemas, with no indirection left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

Document = Mapping[str, Any]

_KINDS = {("string", "date"): "date", ("string", "date-time"): "date-time"}
_LIMITS = ("minimum", "exclusiveMinimum", "maximum", "minLength", "maxLength", "minItems", "maxItems")
_FORMATS = ("email", "int32")  # what is said of a value besides its kind
_NOTHING: Document = {}
_METHODS = ("get", "put", "post", "delete", "patch")


class ContractError(Exception):
    """The document holds something that this generator does not know how to print, or that has to be decided.

    Attributes:
        problems: A line for each.
    """

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Type:
    """What one value may be.

    `kind` is string, date, date-time, integer, number, boolean, array, map, object, union or any; `name` is the
    schema's (of an object, a named union, an enumeration); `item` is what an array or a map holds; `form` is a pattern,
    or one of `_FORMATS`. Types that differ in their form alone are the same type.
    """

    kind: str
    name: str = ""
    enum: tuple[str, ...] = ()
    item: Type | None = None
    choices: tuple[Type, ...] = ()
    limits: tuple[tuple[str, Any], ...] = ()
    form: str = field(default="", compare=False)

    def walk(self) -> Iterator[Type]:
        """The type itself and everything it holds, without following names."""
        yield self
        for inner in (*((self.item,) if self.item else ()), *self.choices):
            yield from inner.walk()


@dataclass(frozen=True)
class Member:
    """A field of a schema, or a parameter of an operation."""

    name: str
    type: Type
    required: bool = False


@dataclass(frozen=True)
class Call:
    """One operation; `body` and `answer` are None where there is none."""

    id: str
    method: str
    path: str
    tag: str
    arguments: tuple[Member, ...]
    query: tuple[Member, ...]
    body: Type | None
    body_required: bool
    answer: Type | None
    server: str
    deprecated: bool = False


def _no_problems() -> list[str]:
    return []


@dataclass(frozen=True)
class Contract:
    """Every operation, and every object that one of them reaches, flattened.

    Attributes:
        problems: What somebody has to decide before this can be printed, a line each.
    """

    calls: tuple[Call, ...]
    schemas: dict[str, tuple[Member, ...]]
    problems: list[str] = field(default_factory=_no_problems)

    def members(self, type_: Type | None) -> tuple[Member, ...]:
        """The fields of an object; of a union, those of all its choices, required where each of them requires it."""
        if type_ is None:
            return ()
        if type_.kind == "object":
            return self.schemas[type_.name]
        if type_.kind != "union":
            raise ContractError(f"a {type_.kind} has no fields")
        merged: dict[str, Member] = {}
        shapes = [{m.name: m for m in self.members(choice)} for choice in type_.choices]
        for name in dict.fromkeys(name for shape in shapes for name in shape):
            found = [shape[name] for shape in shapes if name in shape]
            merged[name] = replace(
                found[0],
                type=_either([m.type for m in found]),
                required=all(name in shape and shape[name].required for shape in shapes),
            )
        return tuple(merged.values())

    def reach(self, *roots: Type | None) -> dict[str, Type]:
        """The named objects and unions that the roots lead to, by name, in the order of discovery."""
        seen: dict[str, Type] = {}
        waiting = [root for root in roots if root]
        while waiting:
            for type_ in waiting.pop(0).walk():
                if type_.kind in ("object", "union") and type_.name and type_.name not in seen:
                    seen[type_.name] = type_
                    waiting += [member.type for member in self.members(type_)]
        return seen


def _either(types: list[Type]) -> Type:
    """One type for a field that several choices of a union declare."""
    first = types[0]
    if all(t == first for t in types):
        same = len({tuple(inner.form for inner in t.walk()) for t in types}) == 1
        return first if same else without_form(first)
    if all(t.kind == "string" for t in types):
        enums = [t.enum for t in types]
        return Type("string", enum=tuple(dict.fromkeys(v for e in enums for v in e)) if all(enums) else ())
    return Type("any")


def without_form(type_: Type) -> Type:
    """A type of which no pattern and no format is known, nor of what it holds."""
    return replace(
        type_,
        form="",
        item=without_form(type_.item) if type_.item else None,
        choices=tuple(without_form(choice) for choice in type_.choices),
    )


def read(document: Document) -> Contract:
    """Read a whole document."""
    return _Reader(document).contract()


class _Reader:
    def __init__(self, document: Document) -> None:
        self._document = document
        self._raw: Mapping[str, Document] = document["components"]["schemas"]
        self._schemas: dict[str, tuple[Member, ...]] = {}
        self._main = document["servers"][0]["url"]
        self._problems: list[str] = []

    def contract(self) -> Contract:
        calls = tuple(
            self._call(path, method, item[method])
            for path, item in self._document["paths"].items()
            for method in _METHODS
            if method in item
        )
        ids = [call.id for call in calls]
        if twice := sorted({name for name in ids if ids.count(name) > 1}):
            raise ContractError(*(f"not readable: the operationId {name} is used twice" for name in twice))
        return Contract(calls, self._schemas, self._problems)

    def _call(self, path: str, method: str, raw: Document) -> Call:
        name = raw["operationId"]
        known: dict[str, list[Member]] = {"path": [], "query": []}
        for parameter in raw.get("parameters", ()):
            if parameter["in"] not in known:
                self._problems.append(
                    f"not printable: {name} takes {parameter['name']} in the {parameter['in']}; "
                    "read_contract.py knows path and query only"
                )
                continue
            type_ = self._type(parameter["schema"], "")
            known[parameter["in"]].append(Member(parameter["name"], type_, bool(parameter.get("required"))))
        body = _json(raw.get("requestBody"))
        answers = [raw["responses"][status] for status in sorted(raw["responses"]) if status.startswith("2")]
        if not answers:
            self._problems.append(f"not printable: {name} declares no answer with a status of 200 to 299")
        answer = _json(answers[0]) if answers else None
        servers = raw.get("servers") or [{"url": self._main}]
        return Call(
            id=name,
            method=method.upper(),
            path=path,
            tag=raw["tags"][0],
            arguments=tuple(m for m in known["path"] if m.name != "orgId"),
            query=tuple(known["query"]),
            body=self._type(body, f"{name}Body") if body is not None else None,
            body_required=bool(raw.get("requestBody", _NOTHING).get("required")),
            answer=self._type(answer, f"{name}Answer") if answer is not None else None,
            server=servers[0]["url"],
            deprecated=bool(raw.get("deprecated")),
        )

    def _type(self, raw: Document, hint: str) -> Type:
        """The type a schema describes; `hint` names what it declares in place."""
        if "$ref" in raw:
            return self._named(raw["$ref"].rsplit("/", 1)[1])
        if "anyOf" in raw:
            choices = tuple(self._type(choice, f"{hint}{n}") for n, choice in enumerate(raw["anyOf"], 1))
            named = all(choice.kind == "object" for choice in choices)
            return Type("union", "|".join(choice.name for choice in choices) if named else "", choices=choices)
        parts = [part for part in raw.get("allOf", ()) if set(part) - {"default"}]
        if parts and len(parts) == 1 and "properties" not in raw:
            return self._type(parts[0], hint)
        if parts and all(self._is_text(part) for part in parts):
            found = [self._type(part, hint) for part in parts]
            return Type("string", enum=next((t.enum for t in found if t.enum), ()))
        if parts or raw.get("properties") or "discriminator" in raw:
            if hint not in self._schemas:
                self._schemas[hint] = ()  # a cycle ends here
                self._schemas[hint] = self._flatten(raw, hint)
            return Type("object", hint)
        return self._plain(raw, hint)

    def _plain(self, raw: Document, hint: str) -> Type:
        kind: str = raw.get("type", "any")
        limits = tuple((key, raw[key]) for key in _LIMITS if key in raw)
        if kind == "array":
            return Type("array", item=self._type(raw["items"], f"{hint}Item"), limits=limits)
        if kind == "object":
            values = raw.get("additionalProperties", True)
            item = Type("any") if isinstance(values, bool) else self._type(values, f"{hint}Value")
            return Type("map", item=item, limits=limits)
        if kind not in ("string", "integer", "number", "boolean", "any"):
            self._problems.append(f"not printable: {hint} is of type {kind}; read_contract.py does not know it")
            kind = "any"
        if kind == "string" and "minimum" in raw:  # a length, in the wrong word
            limits = tuple(({"minimum": "minLength", "maximum": "maxLength"}[key], value) for key, value in limits)
        enum = tuple(raw.get("enum", ()))
        format_ = raw.get("format", "")
        form = raw.get("pattern") or (format_ if format_ in _FORMATS else "")
        return Type(_KINDS.get((kind, format_), kind), hint if enum else "", enum, limits=limits, form=form)

    def _named(self, name: str) -> Type:
        raw = self._raw[name]
        if "discriminator" in raw and "mapping" in raw["discriminator"]:
            choices = tuple(self._named(ref.rsplit("/", 1)[1]) for ref in raw["discriminator"]["mapping"].values())
            return Type("union", name, choices=choices)
        if "$ref" in raw:
            if name not in self._schemas:
                self._schemas[name] = self._flatten(raw, name)
            return Type("object", name)
        return self._type(raw, name)

    def _is_text(self, raw: Document) -> bool:
        raw = self._raw[raw["$ref"].rsplit("/", 1)[1]] if "$ref" in raw else raw
        return raw.get("type") == "string"

    def _flatten(self, raw: Document, name: str) -> tuple[Member, ...]:
        """The fields of an object with those of its bases; a later declaration replaces an earlier one."""
        found: dict[str, Member] = {}
        required: set[str] = set()
        for part in self._parts(raw):
            required |= set(part.get("required", ()))
            for key, value in part.get("properties", {}).items():
                found[key] = Member(key, self._type(value, name + key[0].upper() + key[1:]))
        return tuple(replace(member, required=member.name in required) for member in found.values())

    def _parts(self, raw: Document) -> Iterator[Document]:
        if "$ref" in raw:
            yield from self._parts(self._raw[raw["$ref"].rsplit("/", 1)[1]])
            return
        for part in raw.get("allOf", ()):
            yield from self._parts(part)
        yield raw


def _json(raw: Document | None) -> Any:
    content: Document = raw.get("content", {}) if raw else {}
    return content.get("application/json", {}).get("schema")
