from collections.abc import Mapping
from typing import ClassVar

import pytest
from pydantic import Field

from aos.model.environment import EnvironmentSettings, Port, SettingsError


class Kettle(EnvironmentSettings):
    program: ClassVar = "kettle"
    variables: ClassVar[Mapping[str, str]] = {"room": "ROOM_NAME"}

    room: str
    port: Port = 80
    guests: tuple[str, ...] = Field(default=(), max_length=2)


def test_a_field_is_read_from_the_variable_of_its_name_or_the_one_that_is_named() -> None:
    assert Kettle.from_environment({"ROOM_NAME": "hall", "AOS_PORT": "81"}) == Kettle(room="hall", port=81)


def test_an_empty_variable_counts_as_not_set() -> None:
    assert Kettle.from_environment({"ROOM_NAME": "hall", "AOS_PORT": ""}).port == 80


def test_several_values_stand_with_commas_between() -> None:
    assert Kettle.from_environment({"ROOM_NAME": "hall", "AOS_GUESTS": "a, b"}).guests == ("a", "b")


def test_every_variable_that_can_not_be_used_is_named() -> None:
    said = {"AOS_PORT": "http", "AOS_GUESTS": "a,b,c"}
    with pytest.raises(SettingsError, match=r"settings of the kettle: ROOM_NAME: .*AOS_PORT: .*AOS_GUESTS: "):
        Kettle.from_environment(said)
