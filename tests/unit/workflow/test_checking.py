import itertools
from collections.abc import Mapping

import pytest
from pydantic import JsonValue

from aos.model.agent import AgentSpec
from aos.model.base import JsonObject
from aos.model.conditions import Reason
from aos.model.workflow import WorkflowSpec
from aos.workflow.checking import MAX_EXPRESSIONS, MAX_PROBLEMS, World, problems
from tests.unit.workflow.flows import agent, spec_of

LEAD: JsonObject = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"type": "string"},
        "size": {"type": "integer"},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
}
ENRICHED: JsonObject = {
    "type": "object",
    "required": ["summary", "score"],
    "properties": {
        "summary": {"type": "string", "maxLength": 5},
        "score": {"type": "number"},
        "note": {"type": ["string", "null"]},
        "lead": {"$ref": "#/$defs/lead"},
        "people": {"type": "array", "items": {"$ref": "#/$defs/person"}},
        "more": {"type": "object"},
        "extra": {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": True},
        "counts": {"type": "object", "additionalProperties": {"type": "integer"}},
        "closed": {"type": "object", "properties": {"a": {}}, "additionalProperties": False},
        "kind": {"anyOf": [{"type": "object", "properties": {"cat": {"type": "string"}}}, {"type": "object", "properties": {"dog": {"type": "integer"}}}]},
        "level": {"enum": ["low", "high"]},
        "pair": {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}]},
    },
    "patternProperties": {"^x_": {"type": "boolean"}},
    "$defs": {
        "lead": {"type": "object", "properties": {"name": {"type": "string"}, "boss": {"$ref": "#/$defs/lead"}}},
        "person": {"allOf": [{"type": "object", "properties": {"id": {"type": "integer"}}}, {"properties": {"mail": {"type": "string"}}, "required": ["mail"]}]},
    },
}  # fmt: skip
MESSAGE: JsonObject = {
    "type": "object",
    "required": ["to", "text"],
    "additionalProperties": False,
    "properties": {
        "to": {"type": "string", "pattern": "@"},
        "text": {"type": "string"},
        "amount": {"type": "integer", "maximum": 10},
        "flag": {"type": "boolean"},
        "list": {"type": "array", "items": {"type": "string"}, "maxItems": 2},
        "facts": {"type": "object", "required": ["summary"], "properties": {"summary": {"type": "string"}}},
        "closed": {"type": "object", "additionalProperties": False, "properties": {"a": {}}},
        "people": {"type": "array", "items": {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}}},
        "choice": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
        "level": {"enum": ["low", "high"]},
        "any": {},
        "none": False,
        "nothing": {"items": False},
    },
}  # fmt: skip


AGENTS: Mapping[str, AgentSpec] = {
    "enrich": agent(LEAD, ENRICHED, "enrich"),
    "enrich-more": agent(None, {"type": "object", "properties": {"score": {"type": "string"}}}, "enrich", "sort"),
    "send": agent(MESSAGE, None, "send"),
    "free": agent(),
    "broken": agent({"type": "objec"}, {"$ref": "https://example.com"}),
}  # fmt: skip
SUB = spec_of(
    {"name": "enrich", "input": {"name": "${input.name}"}},
    input={"schema": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}},
    output={"score": "${steps.enrich.output.score}", "text": "x ${1}"},
)
SILENT = spec_of({"name": "free"})
WORKFLOWS: Mapping[str, WorkflowSpec] = {"sub": SUB, "silent": SILENT}
WORLD = World("main", AGENTS, WORKFLOWS)

ENRICH: JsonObject = {"name": "enrich", "input": {"name": "Ada"}}


def send(**fields: JsonValue) -> JsonObject:
    return {"name": "send", "input": {"to": "a@b", "text": "x", **fields}}


def found(
    *steps: Mapping[str, object], world: World = WORLD, **fields: object
) -> list[tuple[str, Reason, str]]:
    return told_of(spec_of(*steps), world)


def told_of(spec: WorkflowSpec, world: World) -> list[tuple[str, Reason, str]]:
    return [(problem.path, problem.reason, problem.message) for problem in problems(spec, world)]


@pytest.mark.parametrize(
    "expression",
    [
        "steps.enrich.output",
        "steps.enrich.output.summary",
        "steps.enrich.output.?missing.orValue('x')",
        "steps.enrich.output[?'missing'].hasValue()",
        "has(steps.enrich.output.missing)",
        "steps.enrich.output.lead.boss.boss.name",
        "steps.enrich.output.people[0].mail",
        "steps.enrich.output.people[input.index].id",
        "steps.enrich.output.people.map(p, p.id)",
        "steps.enrich.output.people.filter(p, p.id > 1).map(p, p.mail)",
        "steps.enrich.output.people.exists(p, p.mail == 'x')",
        "steps.enrich.output.people.exists_one(p, p.mail == 'x')",
        "(steps.enrich.output.people + [{'id': 1, 'mail': 'x'}]).map(p, p.id)",
        "steps.enrich.output.more.whatever.there.may.be",
        "steps.enrich.output.extra.whatever",
        "steps.enrich.output.counts.whatever",
        "steps.enrich.output.counts.map(name, name.size())",
        "steps.enrich.output.x_1",
        "steps.enrich.output.kind.cat + string(steps.enrich.output.kind.dog)",
        "steps.enrich.output.closed.a.b",
        "steps.enrich.output.pair[1]",
        "steps.enrich.output[input.field]",
        "steps.?enrich.output.summary.orValue('')",
        "steps.?enrich.?output.optMap(o, o.summary).orValue('')",
        "input.lead.name",
        "input.whatever",
        "run.name + run.namespace + run.workflow + run.requestedBy",
        "{'a': {'b': 1}}.a.b",
        "[{'b': 1}][0].b",
        "(true ? {'b': 1} : {'c': 1}).b",
    ],
)
def test_what_is_there_may_be_used(expression: str) -> None:
    assert found(ENRICH, {"name": "free", "input": {"x": f"${{{expression}}}"}}) == []


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        (
            "steps.enrich.output.sumary",
            "steps.enrich.output has no field 'sumary': the output schema of agent enrich has closed, counts, extra, kind, lead, level, more, note, ...; declare it there, or write .?sumary for a field that may be missing",
        ),
        ("steps.enrich.output['sumary']", "steps.enrich.output has no field 'sumary'"),
        ("steps.enrich.output.closed.b", "steps.enrich.output.closed has no field 'b': the output schema of agent enrich has a"),
        ("steps.enrich.output.closed.?b.orValue(steps.enrich.output.c)", "has no field 'c'"),
        ("steps.enrich.output.summary.text", "steps.enrich.output.summary is string by the output schema of agent enrich, which has no field 'text'"),
        ("steps.enrich.output.summary[0]", "steps.enrich.output.summary is string by the output schema of agent enrich, which has no items"),
        ("steps.enrich.output.level.x", "steps.enrich.output.level is string"),
        ("steps.enrich.output.lead.boss.boss.nam", "steps.enrich.output.lead.boss.boss has no field 'nam': the output schema of agent enrich has boss, name;"),
        ("steps.enrich.output.people[0].phone", "steps.enrich.output.people[...] has no field 'phone': the output schema of agent enrich has id, mail;"),
        ("steps.enrich.output.people.phone", "steps.enrich.output.people is array"),
        ("steps.enrich.output.people.map(p, p.phone)", "p has no field 'phone'"),
        ("steps.enrich.output.people.filter(p, p.phone > 1)", "p has no field 'phone'"),
        ("steps.enrich.output.people.exists(p, p.phone == 'x')", "p has no field 'phone'"),
        ("steps.enrich.output.people.filter(p, true).map(q, q.phone)", "q has no field 'phone'"),
        ("steps.enrich.output.people.map(p, {'i': p.id}).map(q, q.id)", "q has no field 'id'"),
        ("steps.enrich.output.score.map(p, p)", "steps.enrich.output.score is number by the output schema of agent enrich, and only lists and maps can be gone through"),
        ("steps.enrich.output.kind.cow", "steps.enrich.output.kind has no field 'cow': the output schema of agent enrich has cat, dog;"),
        ("steps.?enrich.?output.optMap(o, o.sumary).orValue('')", "o has no field 'sumary'"),
        ("(input.x ? steps.enrich.output : steps.enrich.output.lead).nothing", "(...) has no field 'nothing'"),
        ("steps.enrich.outputs", "steps.enrich has no field 'outputs': step enrich has output"),
        ("steps.enrich.output.x_1.y", "steps.enrich.output.x_1 is boolean"),
        ("steps.enrich.output.counts.a.b", "steps.enrich.output.counts.a is integer by the output"),
        ("run.uid", "run has no field 'uid': the variable run has name, namespace, requestedBy, workflow"),
        ("{'a': 1}.b", "(...) has no field 'b'"),
    ],
)  # fmt: skip
def test_a_field_that_nobody_declares_is_told(expression: str, message: str) -> None:
    ((path, reason, told),) = found(ENRICH, {"name": "free", "input": {"x": [f"a ${{{expression}}}"]}})
    assert (path, reason) == ("spec.steps[1].input.x[0]", Reason.TYPE_MISMATCH)
    assert message in told


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"text": "${steps.enrich.output.summary}"},
        {"text": "${steps.enrich.output.note}"},
        {"text": "score ${steps.enrich.output.score}"},
        {"to": "${input.to}"},
        {"amount": 3, "flag": False, "list": ["a"], "level": "low", "choice": 3, "any": None},
        {"amount": "${steps.enrich.output.score}"},
        {"amount": "${size(steps.enrich.output.people)}"},
        {"flag": "${steps.enrich.output.score > 0.5}"},
        {"flag": "${steps.enrich.output.x_1}"},
        {"list": ["${input.a}", "x ${input.b}"]},
        {"list": "${steps.enrich.output.people.map(p, p.mail)}"},
        {"list": ["${input.?a}", "${input.?b}", "${input.?c}"]},
        {"facts": "${steps.enrich.output}"},
        {"facts": {"summary": "${steps.enrich.output.summary}", "more": 1}},
        {"closed": "${steps.enrich.output.more}"},
        {"closed": {"a": "${input.x}"}},
        {"choice": "${steps.enrich.output.summary}"},
        {"level": "${steps.enrich.output.level}"},
        {"level": "${input.big ? 'high' : 'low'}"},
        {"text": "${steps.enrich.output.?missing.orValue('x')}"},
        {"amount": "${steps.enrich.output.?missing}"},
        {"any": "${steps.enrich.output}"},
        {"text": "${input.flag ? 'a' : input.text}"},
    ],
)
def test_an_input_that_can_fit_is_accepted(fields: dict[str, JsonValue]) -> None:
    assert found(ENRICH, send(**fields)) == []


@pytest.mark.parametrize(
    ("fields", "path", "message"),
    [
        ({"amount": "x"}, ".amount", '"x" is not of type "integer", by the input schema of agent send'),
        ({"amount": 11}, ".amount", "11 is greater than the maximum of 10"),
        ({"to": "nobody"}, ".to", "does not match"),
        ({"list": [1]}, ".list[0]", "1 is not of type"),
        ({"list": ["a", "b", "c"]}, ".list", "has more than 2 items"),
        ({"list": ["${input.a}", "b", "c"]}, ".list", "3 items are given, and at most 2 are asked for"),
        ({"list": ["${input.a > 1}"]}, ".list[0]", "boolean is given, and string is asked for"),
        ({"list": "${steps.enrich.output.people.map(p, p.id)}"}, ".list", "at [*]: integer of the output schema of agent enrich is given, and string is asked for by"),
        ({"list": "${[1, 2]}"}, ".list", "at [0]: integer is given, and string is asked for by the input schema of agent send"),
        ({"list": "${steps.enrich.output.summary}"}, ".list", "string of the output schema of agent enrich is given, and array is asked for"),
        ({"text": "${steps.enrich.output.score}"}, ".text", "number of the output schema of agent enrich is given, and string is asked for"),
        ({"text": "${1 + 1}"}, ".text", "integer is given"),
        ({"text": "${null}"}, ".text", "null is given"),
        ({"text": "${{'a': input.x}}"}, ".text", "object is given"),
        ({"text": "${input.a ? 1 : 2}"}, ".text", "integer is given"),
        ({"amount": "${steps.enrich.output.summary}"}, ".amount", "string of the output schema"),
        ({"amount": "n ${1}"}, ".amount", "string is given, and integer is asked for"),
        ({"flag": "${size(input.x)}"}, ".flag", "integer is given, and boolean is asked for"),
        ({"facts": {"sum": "${input.x}"}}, ".facts", "the field 'summary' is required by the input schema of agent send, and is not given"),
        ({"facts": "${steps.enrich.output.lead}"}, ".facts", "the field 'summary' is required by the input schema of agent send, and the output schema of agent enrich does not have it"),
        ({"facts": {"summary": "${1 + 1}"}}, ".facts.summary", "integer is given"),
        ({"facts": "${{'summary': steps.enrich.output.score}}"}, ".facts", "at .summary: number of"),
        ({"closed": {"b": "${input.x}"}}, ".closed.b", "the field 'b' is not taken by the input schema of agent send"),
        ({"closed": "${steps.enrich.output}"}, ".closed", "at .score: the field 'score' is not taken"),
        ({"people": "${steps.enrich.output.people}"}, ".people", "at [*].id: integer of the output schema of agent enrich is given"),
        ({"choice": "${steps.enrich.output.more}"}, ".choice", "it fits no choice of anyOf: object"),
        ({"level": "${steps.enrich.output.score}"}, ".level", "is given, and string is asked for"),
        ({"level": "medium"}, ".level", "is not one of"),
        ({"level": "${input.big ? 'high' : 'lower'}", "none": "${input.x}"}, ".none", "the field 'none' is not taken"),
        ({"level": "${input.big ? 'higher' : 'lower'}"}, ".level", '"higher" is not one of'),
        ({"other": "${input.x}"}, ".other", "the field 'other' is not taken by the input schema of agent send"),
        ({"other": 1}, "", "('other' was unexpected), by the input schema of agent send"),
        ({"nothing": ["${input.x}"]}, ".nothing[0]", "nothing may be given here, by the input schema of agent send"),
        ({"text": ["${input.x}"]}, ".text", "array is given"),
    ],
)  # fmt: skip
def test_an_input_that_can_not_fit_is_told(fields: dict[str, JsonValue], path: str, message: str) -> None:
    told = [each for each in found(ENRICH, send(**fields)) if each[0] == f"spec.steps[1].input{path}"]
    assert {reason for _, reason, _ in told} == {Reason.TYPE_MISMATCH}
    assert message in told[0][2]


@pytest.mark.parametrize(
    ("steps", "fields", "expected"),
    [
        ([{"name": "a", "agent": "nobody"}], {}, [("spec.steps[0].agent", Reason.AGENT_NOT_FOUND, "there is no Agent 'nobody'")]),
        ([{"name": "a", "capability": "fly"}], {}, [("spec.steps[0].capability", Reason.CAPABILITY_NOT_FOUND, "no Agent of the namespace offers 'fly'")]),
        ([{"name": "a", "workflow": "nowhere"}], {}, [("spec.steps[0].workflow", Reason.WORKFLOW_NOT_FOUND, "there is no Workflow 'nowhere'")]),
        ([{"name": "a", "workflow": "main"}], {}, [("spec.steps[0].workflow", Reason.CYCLE, "main runs main: that would never end")]),
        ([{"name": "in", "agent": "free"}], {}, [("spec.steps[0].name", Reason.STEP_INVALID, "take another name")]),
        ([{"name": "free", "input": {"x": "${steps.a.output}", "y": "${1 +}"}}], {}, [("spec.steps[0].input.y", Reason.INVALID_EXPRESSION, "line 1")]),
        ([{"name": "free", "input": {"x": "${steps.a.output.b}"}}], {}, [("spec.steps[0].input.x", Reason.STEP_INVALID, "there is no step 'a'")]),
        ([{"name": "enrich"}], {}, [("spec.steps[0].input", Reason.TYPE_MISMATCH, '"name" is a required property, by the input schema of agent enrich')]),
        ([{"name": "a", "capability": "send", "input": {"x": "${1}"}}], {}, [
            ("spec.steps[0].input", Reason.TYPE_MISMATCH, "the field 'to' is required by the input schema of agent send, and is not given"),
            ("spec.steps[0].input", Reason.TYPE_MISMATCH, "the field 'text' is required"),
            ("spec.steps[0].input.x", Reason.TYPE_MISMATCH, "the field 'x' is not taken"),
        ]),
        ([{"name": "a", "capability": "enrich", "input": {"name": 1}}], {}, [("spec.steps[0].input.name", Reason.TYPE_MISMATCH, '1 is not of type "string"')]),
        ([{"name": "a", "capability": "enrich", "input": {"name": "x"}}, {"name": "free", "input": {"x": "${steps.a.output.summary}"}}], {}, [
            ("spec.steps[1].input.x", Reason.TYPE_MISMATCH, "steps.a.output has no field 'summary'")]),
        ([{"name": "a", "capability": "enrich", "input": {"name": "x"}}, send(text="${string(steps.a.output.score)}")], {}, []),
        ([{"name": "a", "capability": "enrich", "input": {"name": "x"}}, send(text="${steps.a.output.score}")], {}, [
            ("spec.steps[1].input.text", Reason.TYPE_MISMATCH, "number of the output schema of agent enrich is given")]),
        ([ENRICH, {"name": "free", "when": "${steps.enrich.output.score}"}], {}, [("spec.steps[1].when", Reason.TYPE_MISMATCH, "when must give true or false, and this gives number")]),
        ([ENRICH, {"name": "free", "when": "${steps.enrich.output.x_ok}"}], {}, []),
        ([ENRICH, {"name": "free", "forEach": "${steps.enrich.output.summary}"}], {}, [("spec.steps[1].forEach", Reason.TYPE_MISMATCH, "forEach needs a list, and this gives string")]),
        ([ENRICH, {"name": "free", "forEach": "${steps.enrich.output.people}", "input": {"x": "${item.id}", "i": "${index}"}}], {}, []),
        ([ENRICH, {"name": "free", "forEach": "${steps.enrich.output.people}", "input": {"x": "${item.phone}"}}], {}, [
            ("spec.steps[1].input.x", Reason.TYPE_MISMATCH, "item has no field 'phone'")]),
        ([{"name": "enrich", "forEach": "${input.leads}", "input": {"name": "${item.name}", "size": "${index}"}}, {"name": "free", "input": {"x": "${steps.enrich.output.map(o, o.score)}"}}], {}, []),
        ([{"name": "enrich", "forEach": "${input.leads}", "onFailure": "Continue", "input": {"name": "x"}}, {"name": "free", "input": {"x": "${steps.enrich.output.filter(o, o != null).map(o, o.score + o.points)}"}}], {}, [
            ("spec.steps[1].input.x", Reason.TYPE_MISMATCH, "o has no field 'points'")]),
        ([{"name": "enrich", "forEach": "${input.leads}", "input": {"name": "${index}"}}, {"name": "free", "input": {"x": "${steps.enrich.output.score}"}}], {}, [
            ("spec.steps[0].input.name", Reason.TYPE_MISMATCH, "integer is given, and string is asked for"),
            ("spec.steps[1].input.x", Reason.TYPE_MISMATCH, "steps.enrich.output is array, which has no field 'score'"),
        ]),
        ([{"name": "gate", "approval": {"show": "${input.x.y}"}}, {"name": "free", "input": {"x": "${steps.gate.output.approvers[0]} ${steps.gate.output.approved}"}}], {}, []),
        ([{"name": "gate", "approval": {"show": "${input.x} ${run.x}"}}, {"name": "free", "input": {"x": "${steps.gate.output.who}"}}], {}, [
            ("spec.steps[0].approval.show", Reason.TYPE_MISMATCH, "run has no field 'x'"),
            ("spec.steps[1].input.x", Reason.TYPE_MISMATCH, "the output of a step with approval has approved, approvers, comments"),
        ]),
        ([{"name": "sub", "workflow": "sub", "input": {"name": "${input.x}"}}, {"name": "free", "input": {"x": "${steps.sub.output.score} ${steps.sub.output.text}"}}], {}, []),
        ([{"name": "sub", "workflow": "sub", "input": {"nam": "${input.x}"}}, send(text="${steps.sub.output.score}", amount="${steps.sub.output.text}", flag="${steps.sub.output.more}")], {}, [
            ("spec.steps[0].input", Reason.TYPE_MISMATCH, "the field 'name' is required by the input schema of workflow sub"),
            ("spec.steps[1].input.flag", Reason.TYPE_MISMATCH, "steps.sub.output has no field 'more': the output of workflow sub has score, text"),
            ("spec.steps[1].input.amount", Reason.TYPE_MISMATCH, "string is given, and integer is asked for"),
            ("spec.steps[1].input.text", Reason.TYPE_MISMATCH, "number of the output schema of agent enrich is given, and string"),
        ]),
        ([{"name": "sub", "workflow": "silent"}, {"name": "free", "input": {"x": "${steps.sub.output.score}"}}], {}, [
            ("spec.steps[1].input.x", Reason.TYPE_MISMATCH, "steps.sub.output is null, which has no field 'score'")]),
        ([{"name": "broken", "input": {"x": 1}}, {"name": "free", "input": {"x": "${steps.broken.output.x.y}"}}], {}, []),
        ([{"name": "free", "input": {"x": "${input.lead} ${input.led}"}}], {"input": {"schema": {"properties": {"lead": {}}}}}, [
            ("spec.steps[0].input.x", Reason.TYPE_MISMATCH, "input has no field 'led': the input schema of workflow main has lead")]),
        ([{"name": "free"}], {"input": {"schema": {"type": "objec"}}}, [("spec.input.schema", Reason.INVALID_SCHEMA, "not valid JSON Schema")]),
        ([ENRICH], {"output": {"x": "${steps.enrich.output.sumary}", "y": "${steps.free.output}"}}, [
            ("spec.output.y", Reason.STEP_INVALID, "there is no step 'free'"),
            ("spec.output.x", Reason.TYPE_MISMATCH, "has no field 'sumary'"),
        ]),
        ([{"name": "free"}], {"output": {"x": "${item} ${body}", "y": "${1 +}"}}, [("spec.output.y", Reason.INVALID_EXPRESSION, "line 1")]),
        ([{"name": "free"}], {"input": {"schema": {"required": ["at"], "properties": {"at": {"type": "string"}, "n": {"type": "integer"}}}}, "triggers": [
            {"name": "good", "schedule": {"cron": "0 9 * * *"}, "input": {"at": "${time}"}},
            {"name": "short", "schedule": {"cron": "0 9 * * *"}},
            {"name": "hook", "webhook": {"secretRef": {"name": "s", "key": "k"}, "when": "${body.type == 'lead'}"}, "input": {"at": "${body.lead}", "n": "${time}"}},
            {"name": "text", "webhook": {"secretRef": {"name": "s", "key": "k"}, "when": "${'a' + body.type}"}, "input": {"at": "x", "n": "${size(body)}"}},
            {"name": "late", "schedule": {"cron": "0 9 * * *"}, "input": {"at": "${time}", "n": "${time}"}},
            {"name": "odd", "schedule": {"cron": "0 9 * * *"}, "input": {"at": "${input.x} ${1 +}"}},
        ]}, [
            ("spec.triggers[3].webhook.when", Reason.INVALID_EXPRESSION, "when must give bool"),
            ("spec.triggers[5].input.at", Reason.INVALID_EXPRESSION, "line 1"),
            ("spec.triggers[2].input.n", Reason.INVALID_EXPRESSION, "time is not known here, but body; time is for a trigger with schedule"),
            ("spec.triggers[1].input", Reason.TYPE_MISMATCH, '"at" is a required property, by the input schema of workflow main'),
            ("spec.triggers[2].input.n", Reason.TYPE_MISMATCH, "string is given, and integer is asked for"),
            ("spec.triggers[4].input.n", Reason.TYPE_MISMATCH, "string is given, and integer is asked for"),
        ]),
    ],
)  # fmt: skip
def test_each_problem_has_its_place_and_reason(
    steps: list[JsonObject], fields: dict[str, object], expected: list[tuple[str, Reason, str]]
) -> None:
    told = told_of(spec_of(*steps, **fields), WORLD)
    assert [each[:2] for each in told] == [each[:2] for each in expected]
    for (_, _, message), (_, _, part) in zip(told, expected, strict=True):
        assert part in message


def chain(*names: str) -> dict[str, WorkflowSpec]:
    """Workflows of which each runs the next one."""
    below = dict(itertools.pairwise(names))
    return {
        name: spec_of({"name": "a", "workflow": below[name]} if name in below else {"name": "free"})
        for name in names
    }


@pytest.mark.parametrize(
    ("workflows", "reason", "message"),
    [
        (chain("b", "c", "d"), None, ""),
        (chain("b", "c", "d", "e"), Reason.INVALID, "main runs b runs c runs d runs e: runs may stand at most 4 deep"),
        (chain("b", "c", "main"), Reason.CYCLE, "main runs b runs c runs main: that would never end"),
        (chain("b", "c", "b"), Reason.CYCLE, "main runs b runs c runs b"),
        (chain("b", "b"), Reason.CYCLE, "main runs b runs b"),
        (chain("b", "c", "d", "e", "main"), Reason.INVALID, "at most 4 deep"),
        (chain("b", "nowhere"), None, ""),
    ],
)  # fmt: skip
def test_workflows_that_run_each_other_must_come_to_an_end(
    workflows: dict[str, WorkflowSpec], reason: Reason | None, message: str
) -> None:
    workflows.pop("nowhere", None)
    told = found({"name": "a", "workflow": "b"}, world=World("main", AGENTS, workflows))
    assert [(path, why) for path, why, _ in told] == ([("spec.steps[0].workflow", reason)] if reason else [])
    assert all(message in text for _, _, text in told)


def test_many_workflows_that_run_many_others_are_looked_at_once() -> None:
    layers = [[f"w{layer}-{i}" for i in range(40)] for layer in range(4)]
    workflows = {
        name: spec_of(
            *({"name": f"s{i}", "workflow": other} for i, other in enumerate(below)), {"name": "free"}
        )
        for layer, below in zip(layers, [*layers[1:], []], strict=True)
        for name in layer
    }
    told = found(
        *({"name": f"s{i}", "workflow": name} for i, name in enumerate(layers[0])),
        world=World("main", AGENTS, workflows),
    )
    assert len(told) == MAX_PROBLEMS
    assert {reason for _, reason, _ in told} == {Reason.INVALID}


def test_a_check_that_would_take_too_long_is_given_up_and_told() -> None:
    wide: JsonObject = {"anyOf": [{"properties": {f"a{i}": {"type": "string"}}} for i in range(400)]}
    agents = {"free": agent(), "wide": agent(None, wide)}
    uses = [" ".join(f"${{steps.wide.output.a{i}.b}}" for i in range(200)) for _ in range(4)]
    steps = [{"name": f"s{i}", "agent": "free", "input": {"x": use}} for i, use in enumerate(uses)]
    told = found({"name": "wide"}, *steps, world=World("main", agents, {}))
    assert told[-1][:2] == ("spec", Reason.INVALID)
    assert "too large to be checked" in told[-1][2]


def test_a_workflow_has_a_bounded_number_of_expressions() -> None:
    text = " ".join(["${input.x}"] * 250)
    steps = [{"name": f"free{i}", "agent": "free", "input": {"x": text}} for i in range(4)]
    assert found(*steps) == []
    ((path, reason, message),) = found(*steps, {"name": "more", "agent": "free", "when": "${true}"})
    assert (path, reason) == ("spec", Reason.INVALID)
    assert f"1001 expressions, and a Workflow has at most {MAX_EXPRESSIONS}" in message


def test_another_workflow_s_output_that_does_not_compile_says_nothing() -> None:
    broken = spec_of({"name": "free"}, output={"x": "${1 +}"})
    world = World(
        "main",
        AGENTS,
        {
            "w": broken,
            "looping": spec_of({"name": "a", "workflow": "looping"}, output={"x": "${steps.a.output.y}"}),
        },
    )
    for name in world.workflows:
        uses = {"name": "free", "input": {"x": "${steps.sub.output.x.y}"}}
        assert [
            each
            for each in found({"name": "sub", "workflow": name}, uses, world=world)
            if each[1] is not Reason.CYCLE
        ] == []
