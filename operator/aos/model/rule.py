"""Rules: which calls are meant, and whether they are allowed. Shared by Policy and ClusterPolicy."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from aos.model.base import DNS_LABEL, LIST_AS_SET, ApiModel, Glob
from aos.model.tool import Access, DataClass, Risk

MAX_RULES = 200
MAX_EXPRESSION_LENGTH = 2048

PartName = Annotated[str, Field(min_length=1, max_length=63, pattern=DNS_LABEL)]
"""Name of a rule, limit, budget or pattern within its policy."""


class RuleEffect(StrEnum):
    """What a rule does to the calls it matches."""

    ALLOW = "Allow"
    DENY = "Deny"


class ToolMatch(ApiModel):
    """Calls by tool, and by action, access, risk or declared data class; what is left out matches every one.

    Attributes:
        name: the Tool; ``*`` stands for any run of characters.
        actions: names or patterns of actions.
        access: Read or Write, as the Tool declares it.
        risk: as the Tool declares it.
        data_classes: any of these, as the Tool declares them.
    """

    name: Glob
    actions: tuple[Glob, ...] = Field(default=(), max_length=64)
    access: tuple[Access, ...] = Field(default=(), max_length=2, json_schema_extra=LIST_AS_SET)
    risk: tuple[Risk, ...] = Field(default=(), max_length=3, json_schema_extra=LIST_AS_SET)
    data_classes: tuple[DataClass, ...] = Field(default=(), max_length=16, json_schema_extra=LIST_AS_SET)


class Rule(ApiModel):
    """One rule: calls that it matches, under a condition in CEL.

    Attributes:
        name: shown where the rule decides.
        tools: the calls that are meant.
        when: a condition in CEL; where it fails, an Allow does not match and a Deny does.
    """

    name: PartName
    effect: RuleEffect
    tools: tuple[ToolMatch, ...] = Field(min_length=1, max_length=32)
    when: str = Field(default="", max_length=MAX_EXPRESSION_LENGTH)
