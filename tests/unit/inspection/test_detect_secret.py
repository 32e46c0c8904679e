import pytest

from aos.inspection.detect_secret import entropy_bits, is_placeholder
from tests.unit.inspection.make import AWS, GITHUB, JWT, LETTERS, PRIVATE_KEY, texts_found

HEX = "0123456789abcdef" * 4
KEYS = {
    "AWS": AWS,
    "GitHub": GITHUB,
    "GitHub, fine-grained": "github" + "_pat_" + LETTERS[:30],
    "GitLab": "glpat" + "-" + LETTERS[:20],
    "Slack": "xoxb" + "-1234567890-" + LETTERS[:24],
    "Stripe": "sk_" + "live_" + LETTERS[:24],
    "Google": "AIza" + LETTERS[:35],
    "OpenAI": "sk-" + "proj-" + LETTERS[:40],
    "Anthropic": "sk-" + "ant-api03-" + LETTERS[:40],
    "Hugging Face": "hf_" + LETTERS[:34],
    "npm": "npm_" + LETTERS[:36],
    "DigitalOcean": "dop" + "_v1_" + HEX,
    "SendGrid": "SG." + LETTERS[:22] + "." + LETTERS[:41] + "ab",
    "Twilio": "SK" + HEX[:32],
    "Shopify": "shpat" + "_" + HEX[:32],
    "Vault": "hvs." + LETTERS[:24],
    "Databricks": "dapi" + HEX[:32],
    "Telegram": "123456789:AA" + LETTERS[:33],
    "JSON web token": JWT,
    "private key": PRIVATE_KEY,
    "random token": LETTERS[:32],
}
IN_CONTEXT = {
    "a password": ("password=hunter2!x next", "hunter2!x"),
    "a password with a colon": ("Password: Tr0ub4dor", "Tr0ub4dor"),
    "a password in quotes": ('passwd = "correct horse battery"', "correct horse battery"),
    "a password in a sentence": ("the password is hunter2!", "hunter2!"),
    "a key": ("api_key: abcd1234efgh", "abcd1234efgh"),
    "a key in a URL": ("https://x.example/?token=abcd1234efgh&x=1", "abcd1234efgh"),
    "a header": ("Authorization: Bearer abcDEF1234567890", "abcDEF1234567890"),
    "a connection": ("postgres://app:s3cret@db.example:5432/x", "app:s3cret"),
    "a connection without user": ("redis://:s3cret@cache.example/0", ":s3cret"),
}
NOT_FOUND = {
    "a sentence about passwords": "the password is incorrect",
    "a required password": "password: required",
    "a template": "password=${DB_PASSWORD}",
    "stars": "password: ********",
    "a hash": HEX,
    "a uuid": "550e8400-e29b-41d4-a716-446655440000",
    "a path": "/usr/local/lib/python3/site-packages/aos/inspection/finder2024",
    "an identifier": "getCustomerAccountByIdentifierAndRegion",
    "a style's name": "sk-estimator-doc-link-fitted-cont",
    "a mail address in a URL": "https://example.com/users/ana@example.com",
    "basic words": "Basic characterizations",
    "a token that is short": "token: EUR",
    "an image": "data:image/png;base64," + LETTERS * 20,
}


@pytest.mark.parametrize("value", KEYS.values(), ids=KEYS)
def test_keys_are_found_by_their_shape(value: str) -> None:
    assert texts_found(f"use {value} here", "secret") == [("secret", value)]


@pytest.mark.parametrize(("text", "value"), IN_CONTEXT.values(), ids=IN_CONTEXT)
def test_secrets_are_found_by_what_stands_before_them(text: str, value: str) -> None:
    assert texts_found(text, "secret") == [("secret", value)]


@pytest.mark.parametrize("text", NOT_FOUND.values(), ids=NOT_FOUND)
def test_other_text_is_no_secret(text: str) -> None:
    assert texts_found(text, "secret") == []


def test_a_private_key_without_end_is_one_to_the_end() -> None:
    cut = PRIVATE_KEY[:-20]
    assert texts_found(f"x {cut}", "secret") == [("secret", cut)]


def test_entropy_is_zero_for_one_letter_and_grows_with_variety() -> None:
    assert entropy_bits(b"aaaa") == 0
    assert entropy_bits(b"abcd") == 2


@pytest.mark.parametrize(
    "value", [b"null", b"changeme", b"<password>", b"${X}", b"xxxx", b"***", b"[redacted:pii]"]
)
def test_placeholders_are_told_from_secrets(value: bytes) -> None:
    assert is_placeholder(value)
    assert not is_placeholder(b"hunter2")
