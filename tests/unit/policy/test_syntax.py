import pytest
from cel_expr_python import cel
from cel_expr_python.ext import ext_optional

from aos.policy.syntax import (
    MAX_NODES,
    Collection,
    Constant,
    Invocation,
    Loop,
    Name,
    Node,
    Select,
    SyntaxTooLargeError,
    names_in,
    syntax_of,
)

ENVIRONMENT = cel.NewEnv(
    variables={"args": cel.Type.Map(cel.Type.STRING, cel.Type.DYN)}, extensions=[ext_optional.ExtOptional()]
)


def tree(source: str) -> Node:
    return syntax_of(ENVIRONMENT.compile(source).serialize())


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("'text'", Constant(b"text", "string")),
        ("b'\\xff'", Constant(b"\xff", "bytes")),
        ("1.5", Constant(None, "double")),
        ("true", Constant(None, "bool")),
        ("null", Constant(None, "null")),
        ("args", Name("args")),
        ("args.x", Select(Name("args"), "x", is_test=False)),
        ("has(args.x)", Select(Name("args"), "x", is_test=True)),
        ("args.size()", Invocation("size", (Name("args"),))),
        ("size(args)", Invocation("size", (Name("args"),))),
        ("optional.of(1)", Invocation("optional.of", (Constant(None, "int"),))),
        ("[args, 1u]", Collection((Name("args"), Constant(None, "uint")), "")),
        ("{'a': args}", Collection((Constant(b"a", "string"), Name("args")), "", is_map=True)),
        (
            "google.protobuf.Duration{seconds: 1}",
            Collection((Constant(None, "int"),), "google.protobuf.Duration"),
        ),
    ],
)
def test_each_kind_of_expression_is_read(source: str, expected: Node) -> None:
    assert tree(source) == expected


def test_a_macro_is_the_loop_that_it_stands_for() -> None:
    loop = tree("args.exists(k, k == 'a')")
    assert isinstance(loop, Loop)
    assert loop.items == ("k",)
    assert loop.over == Name("args")
    assert Invocation("_==_", (Name("k"), Constant(b"a", "string"))) in getattr(loop.step, "operands", ())
    assert loop.result == Name(loop.accumulator)


def test_the_names_of_a_tree_are_all_that_it_reads() -> None:
    assert {"args", "k"} <= names_in(tree("[1].all(k, args.x == k) || {'a': has(args.y)} == {}"))
    assert names_in(tree("1 == 2")) == frozenset()


def test_attack_25_a_short_text_that_macros_make_a_huge_tree_is_refused() -> None:
    with pytest.raises(SyntaxTooLargeError, match=str(MAX_NODES)):
        tree("args.?x" + ".optMap(a, a)" * 10 + ".hasValue()")


def test_what_is_left_out_is_a_constant_without_a_value() -> None:
    # Any{value: CheckedExpr{expr: Expr{}}} and one with a double, whose eight bytes are skipped.
    assert syntax_of(b"\x12\x02\x22\x00") == Constant(None, "")
    assert syntax_of(b"\x12\x0d\x22\x0b\x1a\x09\x29" + bytes(8)) == Constant(None, "double")
