import pytest

from aos.policy.glob import matches


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("crm", "crm", True),
        ("crm", "crmx", False),
        ("*", "anything", True),
        ("export_*", "export_contacts", True),
        ("export_*", "reexport_contacts", False),
        ("*_contact", "get_contact", True),
        ("a*c", "abbbc", True),
        ("a**c", "ac", True),
        ("a.c", "abc", False),
    ],
)
def test_only_a_star_is_special(pattern: str, name: str, *, expected: bool) -> None:
    assert matches(pattern, name) is expected
