import pytest

from hack.demo.add import main, parser
from hack.demo.example import ALL


def test_any_of_the_examples_can_be_added_and_several_at_once() -> None:
    assert parser().parse_args([*ALL]).examples == [*ALL]


@pytest.mark.parametrize("arguments", [[], ["payroll"], ["sales", "payroll"]])
def test_what_is_no_example_is_refused_before_anything_is_asked(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "EXAMPLE" in capsys.readouterr().err
