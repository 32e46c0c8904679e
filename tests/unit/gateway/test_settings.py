import pytest

from aos.gateway.settings import GatewaySettings
from aos.model.environment import SettingsError


def test_everything_but_the_namespace_has_a_default() -> None:
    settings = GatewaySettings.from_environment({"POD_NAMESPACE": "aos-system"})
    assert settings.max_request_bytes == 1_048_576
    assert settings.max_staleness_seconds == 300
    assert settings.operator == "system:serviceaccount:aos-system:aos-operator"


def test_a_field_is_read_from_the_variable_of_its_name() -> None:
    settings = GatewaySettings.from_environment(
        {
            "POD_NAMESPACE": "aos-system",
            "AOS_MAX_REQUEST_BYTES": "2048",
            "AOS_ALLOWED_HOSTS": "gateway.example.com, 10.0.0.1",
            "AOS_OPERATOR_USERNAME": "somebody",
        }
    )
    assert settings.max_request_bytes == 2048
    assert settings.allowed_hosts == ("gateway.example.com", "10.0.0.1")
    assert settings.operator == "somebody"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("AOS_MAX_REQUEST_BYTES", "lots"),
        ("AOS_TOKEN_CACHE_SECONDS", "61"),
        ("AOS_MAX_JSON_DEPTH", "100000"),
        ("AOS_PORT", "-1"),
    ],
)
def test_a_value_out_of_bounds_is_refused_by_the_name_of_its_variable(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=variable):
        GatewaySettings.from_environment({"POD_NAMESPACE": "aos-system", variable: value})


def test_a_missing_namespace_is_refused() -> None:
    with pytest.raises(SettingsError, match="POD_NAMESPACE"):
        GatewaySettings.from_environment({})


def test_every_field_says_what_it_bounds() -> None:
    for name, field in GatewaySettings.model_fields.items():
        assert field.description, GatewaySettings.variable_of(name)
