"""Strict input."""

import uuid

import pytest
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from fynlo.api.exceptions import field_errors
from fynlo.api.serializers import (
    FlagField,
    IdField,
    ListField,
    NewIdField,
    StrictSerializer,
    TextField,
    WholeNumberField,
)
from fynlo.tenancy.fields import uuid7


class LineSerializer(StrictSerializer):
    quantity = WholeNumberField(min_value=1, max_value=9)
    note = TextField(max_length=5, allow_blank=True, default="")


class BodySerializer(StrictSerializer):
    id = NewIdField()
    parent = IdField(required=False, allow_null=True)
    name = TextField(max_length=10, lines=True)
    lines = ListField(child=LineSerializer(), max_length=2, default=list)
    is_urgent = FlagField(default=False)
    tags = ListField(child=TextField(max_length=3), min_length=1, max_length=9, required=False)

    def validate_name(self, name: str) -> str:
        if name == "taken":
            raise serializers.ValidationError("Taken.", code="taken")
        return name

    def validate(self, attrs: dict) -> dict:
        if attrs["name"] == "odd" and attrs["lines"]:
            raise serializers.ValidationError("An odd one has no lines.", code="odd")
        return attrs


def faults(data: object) -> list[tuple[str, str]]:
    with pytest.raises(ValidationError) as caught:
        BodySerializer.read(data)
    return [(fault["field"], fault["code"]) for fault in field_errors(caught.value.detail)]


def test_good_input_comes_out_as_it_was_typed():
    new, parent = uuid7(), uuid.uuid4()
    body = {
        "id": str(new),
        "parent": str(parent),
        "name": " Zoë's 🍕\n",
        "lines": [{"quantity": 2}, {"quantity": 9, "note": "a b"}],
        "tags": ["x"],
        "is_urgent": True,
    }
    assert BodySerializer.read(body) == {
        "id": new,
        "parent": parent,
        "name": " Zoë's 🍕\n",
        "lines": [{"quantity": 2, "note": ""}, {"quantity": 9, "note": "a b"}],
        "tags": ["x"],
        "is_urgent": True,
    }
    assert BodySerializer.read({"id": str(new), "parent": None, "name": "x"}) == {
        "id": new,
        "parent": None,
        "name": "x",
        "lines": [],
        "is_urgent": False,
    }


@pytest.mark.parametrize("wrong", ["2", 2.0, 2.5, True, None, [], {}, 0, -1, 10, 10**30, "1" * 5000])
def test_a_whole_number_is_nothing_else(wrong):
    body = {"id": str(uuid7()), "name": "x", "lines": [{"quantity": 1}, {"quantity": wrong}]}
    ((field, _),) = faults(body)
    assert field == "lines.1.quantity"


@pytest.mark.parametrize("wrong", [1, 0, "true", "yes", None, [], {}, 1.0])
def test_a_flag_is_true_or_false(wrong):
    ((field, _),) = faults({"id": str(uuid7()), "name": "x", "is_urgent": wrong})
    assert field == "is_urgent"


@pytest.mark.parametrize("wrong", [1, True, None, [], {}, "", "   ", "a\0b", "x" * 11, "\ud800"])
def test_text_is_text_and_not_too_long(wrong):
    ((field, _),) = faults({"id": str(uuid7()), "name": wrong})
    assert field == "name"


@pytest.mark.parametrize(
    "wrong", [7, True, None, "", "x", "0" * 40, "8af4ae5e-8226-4307-b125-4874ee0a07d7", ["a"]]
)
def test_a_new_id_is_a_uuid_of_version_7(wrong):
    ((field, _),) = faults({"id": wrong, "name": "x"})
    assert field == "id"


def test_every_fault_is_named_at_once():
    body = {"name": "taken", "price": 1, "lines": [{"quantity": 1, "price_minor": 0}], "tags": ["long"]}
    assert sorted(faults(body)) == [
        ("id", "required"),
        ("lines.0.price_minor", "unknown_field"),
        ("name", "taken"),
        ("price", "unknown_field"),
        ("tags.0", "max_length"),
    ]
    assert faults({"id": str(uuid7()), "name": "odd", "lines": [{"quantity": 1}]}) == [("", "odd")]
    assert faults({"id": str(uuid7()), "name": "x", "lines": [{"quantity": 1}] * 3}) == [
        ("lines", "max_length")
    ]
    assert faults({"id": str(uuid7()), "name": "x", "tags": []}) == [("tags", "min_length")]
    assert faults({"id": str(uuid7()), "name": "x", "tags": "x"}) == [("tags", "not_a_list")]
    assert faults({"id": str(uuid7()), "name": "x", "lines": [7]}) == [("lines.0", "invalid")]


@pytest.mark.parametrize("wrong", [None, [], "x", 1])
def test_a_body_is_an_object(wrong):
    ((field, _),) = faults(wrong)
    assert field == ""


def test_the_shared_serializer_keeps_nothing_between_requests():
    with pytest.raises(ValidationError):
        BodySerializer.read({"name": "x"})
    first = BodySerializer.read({"id": str(uuid7()), "name": "one"})
    first["lines"].append("spoilt")
    assert BodySerializer.read({"id": str(uuid7()), "name": "two"})["lines"] == []
