import pytest
import re2

from aos.inspection.keys import MAX_KEY_LENGTH, RULES, in_words, meaning_of


def classes_of(key: str, value: str) -> set[str]:
    return {RULES[place].data_class for place in meaning_of(key).rules if RULES[place].holds(value.encode())}


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("dateOfBirth", "date_of_birth"),
        ("date-of-birth", "date_of_birth"),
        ("Date Of Birth", "date_of_birth"),
        ("APIKey", "api_key"),
        ("X-Api-Key", "x_api_key"),
        ("__proto__", "proto"),
    ],
)
def test_keys_are_read_as_words_however_they_are_written(key: str, words: str) -> None:
    assert in_words(key) == words


SAYS = [
    ("password", "hunter2", "secret"),
    ("dbPassword", "hunter2", "secret"),
    ("client_secret", "abcd", "secret"),
    ("AWS_SECRET_ACCESS_KEY", "abcdefgh", "secret"),
    ("token", "abcd1234", "secret"),
    ("Authorization", "abcd1234", "secret"),
    ("userPin", "1234", "secret"),
    ("phone", "0171 2345678", "pii"),
    ("home_phone_number", "4155550123", "pii"),
    ("ssn", "123456789", "pii"),
    ("passportNumber", "C01X00T47", "pii"),
    ("dob", "1980-01-02", "pii"),
    ("firstName", "Ana", "pii"),
    ("street_address", "Main Street 1", "pii"),
    ("mrn", "447192", "phi"),
    ("patientId", "447192", "phi"),
    ("diagnosis", "flu", "phi"),
    ("bloodType", "AB", "phi"),
    ("cvv", "123", "payment"),
    ("cardNumber", "4000000000000", "payment"),
    ("bank_account", "12345678", "payment"),
]
SAYS_NOTHING = [
    ("name", "Acme"),
    ("passwordPolicy", "strict policy"),
    ("nextPageToken", "abcd1234"),
    ("token_count", "12345678"),
    ("password", "null"),
    ("password", "x"),
    ("token", "two words here"),
    ("phone", "unknown"),
    ("cvv", "12345"),
    ("firstName", "42"),
    ("description", "hunter2"),
    ("[redacted:pii] password", "hunter2"),
    ("k" * (MAX_KEY_LENGTH + 1), "hunter2"),
]


@pytest.mark.parametrize(("key", "value", "data_class"), SAYS)
def test_a_key_says_what_its_value_is(key: str, value: str, data_class: str) -> None:
    assert classes_of(key, value) == {data_class}


@pytest.mark.parametrize(("key", "value"), SAYS_NOTHING)
def test_other_keys_say_nothing(key: str, value: str) -> None:
    assert classes_of(key, value) == set()


@pytest.mark.parametrize(("key", "_value", "_class"), SAYS)
def test_a_rule_s_hint_matches_every_key_that_falls_under_it(key: str, _value: str, _class: str) -> None:
    for place in meaning_of(key).rules:
        assert re2.search(RULES[place].hint, f'{{"{key}":1}}')


def test_some_keys_say_no_more_than_what_stands_around_them() -> None:
    assert meaning_of("value").generic
    assert not meaning_of("note").generic


def test_words_of_letters_can_not_hold_data_and_digits_may() -> None:
    assert meaning_of("created_at").plain
    assert not meaning_of("ana@example.com").plain
    assert not meaning_of("order-4111").plain
