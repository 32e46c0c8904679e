"""Settings of a program, each read from one variable of its environment."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Final, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

PREFIX: Final = "AOS_"

Port = Annotated[int, Field(ge=0, le=65_535)]


class SettingsError(ValueError):
    """A variable is missing or can't be used; the message names it."""


class EnvironmentSettings(BaseModel):
    """What may differ between installations of one program.

    A field ``some_limit`` is read from ``AOS_SOME_LIMIT``, but for those that ``variables`` names. A variable that is
    empty counts as not set. Of a field that holds several values the variable has them with commas between.

    Attributes:
        program: whose settings these are, as messages say it.
        variables: variables by field, of fields that are read from others than their names say.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    program: ClassVar[str]
    variables: ClassVar[Mapping[str, str]] = {}

    @classmethod
    def variable_of(cls, field: str) -> str:
        """Return the variable of the environment that ``field`` is read from."""
        return cls.variables.get(field) or PREFIX + field.upper()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Return the settings that the environment gives.

        Raises:
            SettingsError: a variable is missing or out of bounds.
        """
        given = {name: environment.get(cls.variable_of(name), "") for name in cls.model_fields}
        try:
            return cls.model_validate({name: cls._read(name, said) for name, said in given.items() if said})
        except ValidationError as error:
            problems = "; ".join(
                f"{cls.variable_of(str(item['loc'][0]))}: {item['msg']}"
                for item in error.errors(include_url=False)
            )
            raise SettingsError(f"settings of the {cls.program}: {problems}") from error

    @classmethod
    def _read(cls, name: str, said: str) -> str | list[str]:
        several = cls.model_fields[name].annotation == tuple[str, ...]
        return [part.strip() for part in said.split(",")] if several else said
