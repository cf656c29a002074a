import pytest
from django.core.exceptions import ImproperlyConfigured

from fynlo.env import read_env

PLACES = {"DATABASE_URL": "postgresql:///fynlo", "REDIS_URL": "redis://127.0.0.1:6379"}


def test_development_needs_only_the_two_servers():
    env = read_env(PLACES)
    assert (env.environment, env.db_role, env.debug, env.metrics_port) == ("development", "app", False, 0)
    assert env.allowed_hosts == ("127.0.0.1", "localhost")


def test_everything_wrong_is_named_at_once():
    with pytest.raises(ImproperlyConfigured) as refused:
        read_env({"ENVIRONMENT": "production", "DEBUG": "1", "METRICS_PORT": "http", "DB_ROLE": "root"})
    message = str(refused.value)
    for name in ("SECRET_KEY", "DATABASE_URL", "REDIS_URL", "BASE_URL", "JWT_SECRET_KEY"):
        assert f"{name} is not set." in message
    assert "METRICS_PORT must be a whole number, not 'http'." in message
    assert "DB_ROLE must be one of app, platform, migrator, readonly, backup, not 'root'." in message
    assert "DEBUG must be 0 in production." in message


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u@db.example.com/fynlo",
        "postgresql://u@db.example.com/fynlo?sslmode=require",
        "postgresql://u@10.0.0.5/fynlo",
        "postgresql://u@/fynlo?host=localhost,db.example.com",
        "postgresql://u@[2001:db8::1]/fynlo",
    ],
)
def test_rows_cross_a_network_only_to_a_server_that_proved_who_it_is(url):
    assert "so it needs sslmode=verify-full" in problems(DATABASE_URL=url)
    joined = f"{url}{'&' if '?' in url else '?'}sslmode=verify-full"
    assert "DATABASE_URL" not in problems(DATABASE_URL=joined)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql:///fynlo?host=/run/postgresql",
        "postgresql:///fynlo",
        "postgresql://u@127.0.0.1/fynlo",
        "postgresql://u@[::1]/fynlo",
        "postgresql://u@localhost:5432/fynlo",
        "postgresql://u@postgres/fynlo",
    ],
)
def test_a_socket_this_machine_and_a_container_are_no_network(url):
    assert "DATABASE_URL" not in problems(DATABASE_URL=url)


def problems(**environ):
    """What production refuses about these."""
    with pytest.raises(ImproperlyConfigured) as refused:
        read_env({**PLACES, "ENVIRONMENT": "production", **environ})
    return str(refused.value)


def test_the_address_of_the_api_can_only_be_confirmed():
    assert read_env({**PLACES, "API_V1_STR": "/api/v1"})
    with pytest.raises(ImproperlyConfigured, match="API_V1_STR must be one of /api/v1, not '/v2'"):
        read_env({**PLACES, "API_V1_STR": "/v2"})


def test_a_key_is_as_long_as_its_algorithm_asks():
    key = {"JWT_SECRET_KEY": "x" * 40}
    assert read_env({**PLACES, **key}).people.jwt_keys == ("x" * 40,)
    with pytest.raises(ImproperlyConfigured, match="JWT_SECRET_KEY must have at least 64 characters"):
        read_env({**PLACES, **key, "ALGORITHM": "HS512"})


def test_supabase_needs_its_public_key_and_https():
    with pytest.raises(ImproperlyConfigured, match="SUPABASE_ANON_KEY is not set"):
        read_env({**PLACES, "SUPABASE_URL": "http://127.0.0.1:1"})
    assert "SUPABASE_URL must begin with https://" in problems(SUPABASE_URL="http://x.example")


def test_production_is_no_demonstration():
    assert "DEMO must be 0 in production" in problems(DEMO="1")


def test_mail_in_production_says_whom_it_is_from():
    assert "RESEND_FROM_EMAIL is not set." in problems(RESEND_API_KEY="re_x")


def test_the_app_has_a_name_of_its_own():
    env = read_env({**PLACES, "APP_NAME": "Plates"})
    assert (env.app_name, env.payments.mail_from) == ("Plates", "Plates <receipts@fynlo.example>")


def test_a_secret_may_come_from_a_file(tmp_path):
    (tmp_path / "key").write_text("from a file\n")
    assert read_env({**PLACES, "SECRET_KEY_FILE": str(tmp_path / "key")}).secret_key == "from a file"


def test_a_secret_file_that_is_missing_is_named(tmp_path):
    with pytest.raises(ImproperlyConfigured, match="SECRET_KEY_FILE cannot be read: No such file"):
        read_env({**PLACES, "SECRET_KEY_FILE": str(tmp_path / "none")})
