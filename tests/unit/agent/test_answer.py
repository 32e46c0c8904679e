import pytest

from aos.agent.answer import AnswerInvalidError, read_answer


@pytest.mark.parametrize(
    "text",
    ['{"a": 1}', '  {"a": 1}\n', '```json\n{"a": 1}\n```', '```\n{"a": 1}\n```', '```JSON  \n{"a": 1}```'],
)
@pytest.mark.parametrize("structured", [True, False])
def test_a_json_object_is_the_output_with_or_without_a_fence(text: str, structured: bool) -> None:  # noqa: FBT001
    assert read_answer(text, structured=structured) == {"a": 1}


@pytest.mark.parametrize("text", ["All done.", "[1, 2]", '{"a": 1} I hope that helps'])
def test_other_words_are_the_output_only_without_a_schema(text: str) -> None:
    assert read_answer(f" {text} ", structured=False) == {"text": text}
    with pytest.raises(AnswerInvalidError, match="no JSON object"):
        read_answer(text, structured=True)


@pytest.mark.parametrize("text", ["", "  \n", "```\n\n```"])
@pytest.mark.parametrize("structured", [True, False])
def test_an_empty_answer_is_none(text: str, structured: bool) -> None:  # noqa: FBT001
    with pytest.raises(AnswerInvalidError, match="empty"):
        read_answer(text, structured=structured)
