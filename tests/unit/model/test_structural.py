from pydantic import Field

from aos.model.base import ApiModel
from aos.model.structural import structural_schema


class Part(ApiModel):
    """A part.

    More about it.

    Attributes:
        max_size: how long it may be:
            in bytes.
        in_: the directions.
    """

    max_size: int = 1
    in_: str = Field(default="", alias="in")
    other: str = ""


def test_what_a_docstring_says_of_its_attributes_describes_the_fields() -> None:
    schema = structural_schema(Part)
    assert schema["description"] == "A part.\n\nMore about it."
    properties = schema["properties"]
    assert isinstance(properties, dict)
    assert properties["maxSize"] == {
        "type": "integer",
        "default": 1,
        "description": "How long it may be: in bytes.",
    }
    assert properties["in"] == {"type": "string", "description": "The directions."}
    assert properties["other"] == {"type": "string"}
