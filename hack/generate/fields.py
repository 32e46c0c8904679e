"""The fields of a model, down to the last one."""

from collections.abc import Iterator
from typing import get_args, get_origin

from aos.model.base import ApiModel


def fields_of(model: type[ApiModel], prefix: str = "") -> Iterator[str]:
    """Yield the path of every field of ``model`` that has none below it, as manifests spell it: ``rules[].tools[].name``."""
    for name, field in model.model_fields.items():
        path = prefix + (field.alias or name)
        below, is_list = _model_in(field.annotation), _is_list(field.annotation)
        if below is None:
            yield path
        else:
            yield from fields_of(below, f"{path}[]." if is_list else f"{path}.")


def _model_in(annotation: object) -> type[ApiModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, ApiModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)


def _is_list(annotation: object) -> bool:
    return get_origin(annotation) is tuple or any(_is_list(part) for part in get_args(annotation))
