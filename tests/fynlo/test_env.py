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


def test_a_secret_may_come_from_a_file(tmp_path):
    (tmp_path / "key").write_text("from a file\n")
    assert read_env({**PLACES, "SECRET_KEY_FILE": str(tmp_path / "key")}).secret_key == "from a file"


def test_a_secret_file_that_is_missing_is_named(tmp_path):
    with pytest.raises(ImproperlyConfigured, match="SECRET_KEY_FILE cannot be read: No such file"):
        read_env({**PLACES, "SECRET_KEY_FILE": str(tmp_path / "none")})
