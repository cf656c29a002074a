"""The database's roles and what each of them may do: all that needs an administrator.

Migrations run without one. Rights on single tables and functions are given by the migrations that
make them, never here: a repeated bootstrap must not give back what a migration took away.
"""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import psycopg
from psycopg import sql

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Role:
    name: str
    purpose: str
    login: bool = False
    inherit: bool = True
    bypass_fence: bool = False
    copies_cluster: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def attributes(self) -> tuple[str, ...]:
        return (
            "LOGIN" if self.login else "NOLOGIN",
            "INHERIT" if self.inherit else "NOINHERIT",
            "BYPASSRLS" if self.bypass_fence else "NOBYPASSRLS",
            "NOCREATEROLE",
            "NOCREATEDB",
            "REPLICATION" if self.copies_cluster else "NOREPLICATION",
        )


ROLES = (
    # No inheriting: a member of the function owners below, without having their rights.
    Role("fynlo_owner", "owns every object; nobody logs in as it", inherit=False),
    Role(
        "fynlo_migrator",
        "runs migrations as fynlo_owner; the deployment's login",
        login=True,
        inherit=False,
        settings={"lock_timeout": "5s"},
    ),
    Role(
        "fynlo_app",
        "runs the application inside the fence",
        login=True,
        settings={
            "statement_timeout": "10s",
            "idle_in_transaction_session_timeout": "15s",
            "lock_timeout": "3s",
        },
    ),
    Role(
        "fynlo_platform",
        "runs the platform console, over all restaurants, in a process of its own",
        login=True,
        inherit=False,
        settings={
            "statement_timeout": "30s",
            "idle_in_transaction_session_timeout": "15s",
            "lock_timeout": "3s",
        },
    ),
    Role(
        "fynlo_readonly",
        "reads reports inside the fence",
        login=True,
        settings={
            "statement_timeout": "30s",
            "idle_in_transaction_session_timeout": "60s",
            "default_transaction_read_only": "on",
        },
    ),
    Role("fynlo_rollup", "owns the functions and views that sum up all restaurants"),
    Role("fynlo_directory", "owns the look-ups before a restaurant is known"),
    Role(
        "fynlo_backup",
        "reads everything: for pg_dump, which refuses to run behind the fence, and for pg_basebackup",
        login=True,
        bypass_fence=True,
        copies_cluster=True,
        settings={"default_transaction_read_only": "on"},
    ),
    Role(
        "fynlo_monitor",
        "lets exporters see sessions, locks and sizes, and no row",
        login=True,
        settings={"default_transaction_read_only": "on", "statement_timeout": "10s"},
    ),
)
ROLE_NAMES = tuple(role.name for role in ROLES)
LOGINS = tuple(role.name for role in ROLES if role.login)

READ_ALL = "pg_read_all_data"
ONLY_FOR_BACKUPS = ("BYPASSRLS", "REPLICATION")
MONITOR = "pg_monitor"
# Of Postgres's own roles, whose rights come with membership. Backups or figures fail without them.
BUILT_IN = (READ_ALL, MONITOR)

# (role, member). The owner may hand objects to the function owners (ALTER ... OWNER TO asks for
# membership) but has none of their rights.
MEMBERSHIPS = (
    ("fynlo_owner", "fynlo_migrator"),
    ("fynlo_rollup", "fynlo_owner"),
    ("fynlo_directory", "fynlo_owner"),
    # Inside one restaurant's scope the platform's process is fynlo_app. It has nothing by this before it
    # says so, or that role's fence would close around the console too.
    ("fynlo_app", "fynlo_platform"),
    (READ_ALL, "fynlo_backup"),
    (MONITOR, "fynlo_monitor"),
)

# Written so that it also takes away what is too much: revoke from everybody, then grant.
GRANTS = """
REVOKE ALL ON DATABASE {database} FROM PUBLIC, {roles};
GRANT CONNECT ON DATABASE {database} TO {logins};
GRANT CREATE ON DATABASE {database} TO fynlo_owner;
-- REFRESH MATERIALIZED VIEW CONCURRENTLY fills a temporary table as the view's owner.
GRANT TEMPORARY ON DATABASE {database} TO fynlo_rollup;

REVOKE ALL ON SCHEMA public FROM PUBLIC, {roles};
GRANT USAGE, CREATE ON SCHEMA public TO fynlo_owner;
GRANT USAGE ON SCHEMA public TO fynlo_app, fynlo_platform, fynlo_readonly, fynlo_rollup, fynlo_directory;

-- SECURITY DEFINER functions live in a schema of their own, because Postgres asks that an object's
-- new owner may CREATE in its schema. In public that would let the two make tables beside ours; here
-- they can make nothing but what only they own anyway, and no other role can put anything beside it.
CREATE SCHEMA IF NOT EXISTS definer AUTHORIZATION fynlo_owner;
REVOKE ALL ON SCHEMA definer FROM PUBLIC, {roles};
GRANT USAGE, CREATE ON SCHEMA definer TO fynlo_owner, fynlo_rollup, fynlo_directory;
GRANT USAGE ON SCHEMA definer TO fynlo_app, fynlo_platform, fynlo_readonly;

-- No TRUNCATE, REFERENCES or TRIGGER; on sequences USAGE but not SELECT, which shows others' pace.
ALTER DEFAULT PRIVILEGES FOR ROLE fynlo_owner IN SCHEMA public REVOKE ALL ON TABLES FROM {others};
ALTER DEFAULT PRIVILEGES FOR ROLE fynlo_owner IN SCHEMA public REVOKE ALL ON SEQUENCES FROM {others};
ALTER DEFAULT PRIVILEGES FOR ROLE fynlo_owner IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO fynlo_app, fynlo_platform;
ALTER DEFAULT PRIVILEGES FOR ROLE fynlo_owner IN SCHEMA public
    GRANT USAGE ON SEQUENCES TO fynlo_app, fynlo_platform;
-- For every schema: a default of one schema cannot take away what everybody has by birth.
ALTER DEFAULT PRIVILEGES FOR ROLE fynlo_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
"""

# One line for each thing that bootstrap_roles decides, so that two snapshots can be compared.
SNAPSHOT = """
WITH ours AS (SELECT * FROM pg_roles WHERE rolname = ANY(%(roles)s)),
grants AS (
    SELECT 'database' AS place, a.*
      FROM pg_database d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a
     WHERE d.datname = current_database() AND a.grantee <> d.datdba
    UNION ALL
    SELECT 'schema ' || n.nspname, a.*
      FROM pg_namespace n, aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a
     WHERE n.nspname IN ('public', 'definer')
    UNION ALL
    SELECT format('new %%s of fynlo_owner in %%s',
                  CASE f.defaclobjtype WHEN 'r' THEN 'tables' WHEN 'S' THEN 'sequences'
                                       WHEN 'f' THEN 'functions' ELSE f.defaclobjtype::text END,
                  coalesce(n.nspname, 'every schema')), a.*
      FROM pg_default_acl f LEFT JOIN pg_namespace n ON n.oid = f.defaclnamespace
      JOIN ours ON ours.oid = f.defaclrole AND ours.rolname = 'fynlo_owner', aclexplode(f.defaclacl) a
)
SELECT format('role %%s: login %%s, superuser %%s, inherit %%s, createrole %%s, createdb %%s, '
              'replication %%s, bypassrls %%s', rolname, rolcanlogin, rolsuper, rolinherit,
              rolcreaterole, rolcreatedb, rolreplication, rolbypassrls) FROM ours
UNION
SELECT format('setting of %%s: %%s', ours.rolname, setting)
  FROM pg_db_role_setting s JOIN ours ON ours.oid = s.setrole, unnest(s.setconfig) setting
 WHERE s.setdatabase = 0 AND split_part(setting, '=', 1) = ANY(%(settings)s)
UNION
-- The columns inherit_option and set_option are there from PostgreSQL 16 on.
SELECT format('membership: %%s in %%s, inherit %%s, set %%s, admin %%s', ours.rolname, m.roleid::regrole,
              coalesce(to_jsonb(m) ->> 'inherit_option', ours.rolinherit::text),
              coalesce(to_jsonb(m) ->> 'set_option', 'true'), m.admin_option)
  FROM pg_auth_members m JOIN ours ON ours.oid = m.member
UNION
SELECT format('grant: %%s on %%s to %%s', privilege_type, place,
              CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END) FROM grants
"""

# What a bootstrap of another database at the same moment looks like: "tuple concurrently updated" or
# a role that has just been made.
CONCURRENT_CHANGE = (
    psycopg.errors.InternalError_,
    psycopg.errors.UniqueViolation,
    psycopg.errors.DuplicateObject,
)


class UnsafeRole(Exception):
    """The database's state is one that must not be built upon; a person has to look."""


def bootstrap_roles(
    connection: psycopg.Connection, database: str, passwords: Mapping[str, str] | None = None
) -> None:
    """Create or correct the roles and their rights in `database`, which the connection must be in.

    The login must be a superuser, or have CREATEROLE and CREATEDB and own the database. `passwords` maps
    login names to new passwords; the others keep theirs. Repeating changes nothing. Raises UnsafeRole
    when one of the roles is a superuser, or is the administrator itself.
    """
    if connection.info.dbname != database:
        raise ValueError(f"The connection is to {connection.info.dbname!r}, not to {database!r}.")
    # Roles belong to the whole cluster, and no lock of Postgres spans databases: try again instead.
    for attempt in range(20):
        try:
            with connection.transaction():
                _apply(connection, database)
                for name, password in (passwords or {}).items():
                    _set_password(connection, name, password)
            return
        except CONCURRENT_CHANGE:
            if attempt == 19:
                raise
            time.sleep(0.05 * (attempt + 1))


def role_drift(connection: psycopg.Connection, database: str) -> list[str]:
    """What bootstrap_roles would change, one line each: done, compared and rolled back."""
    with connection.transaction(force_rollback=True):
        before = _snapshot(connection)
        _apply(connection, database)
        after = _snapshot(connection)
    return [f"missing: {line}" for line in sorted(after - before)] + [
        f"too much: {line}" for line in sorted(before - after)
    ]


def create_database(connection: psycopg.Connection, database: str) -> bool:
    """Create an empty UTF-8 database unless it exists; True when it was made. Needs autocommit."""
    if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database]).fetchone():
        return False
    # C.UTF-8 sorts by code point on every machine, so that no index breaks when a C library changes.
    # Where the server knows it built in (from 17 on), its clusters are made with it: see script/.
    locale = sql.SQL("")
    if connection.info.server_version < 170000:
        locale = sql.SQL(" LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8'")
    elif not connection.execute(
        "SELECT 1 FROM pg_database WHERE datname = 'template0' AND datlocprovider = 'b'"
    ).fetchone():
        locale = sql.SQL(" LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'")
    connection.execute(
        sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'{}").format(
            sql.Identifier(database), locale
        )
    )
    return True


def _apply(connection: psycopg.Connection, database: str) -> None:
    administrator, is_superuser = connection.execute(
        "SELECT rolname, rolsuper FROM pg_roles WHERE rolname = current_user"
    ).fetchone()  # type: ignore[misc]
    _refuse_unsafe(connection, administrator)
    for role in ROLES:
        _ensure_role(connection, role)
    _ensure_memberships(connection)
    if is_superuser:
        _grant(connection, database)
        return
    # Default privileges are only changed by who has the rights of their role.
    owner_to_administrator = sql.SQL("fynlo_owner TO {}").format(sql.Identifier(administrator))
    _grant_membership(connection, owner_to_administrator, inherit=True)
    _grant(connection, database)
    connection.execute(sql.SQL("REVOKE fynlo_owner FROM {}").format(sql.Identifier(administrator)))


def _refuse_unsafe(connection: psycopg.Connection, administrator: str) -> None:
    if administrator in ROLE_NAMES:
        raise UnsafeRole(f"The administrator's login must not be {administrator}, one of the roles it makes.")
    superusers = connection.execute(
        "SELECT rolname FROM pg_roles WHERE rolname = ANY(%s) AND rolsuper", [list(ROLE_NAMES)]
    ).fetchall()
    if superusers:
        names = ", ".join(name for (name,) in superusers)
        raise UnsafeRole(f"{names} must not be a superuser: row-level security would not apply to it.")


def _ensure_role(connection: psycopg.Connection, role: Role) -> None:
    name = sql.Identifier(role.name)
    if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role.name]).fetchone():
        connection.execute(sql.SQL("CREATE ROLE {}").format(name))
    # Only what is wrong is mentioned: some attributes only a superuser may so much as name.
    found = connection.execute(
        """
        SELECT CASE WHEN rolcanlogin THEN 'LOGIN' ELSE 'NOLOGIN' END,
               CASE WHEN rolinherit THEN 'INHERIT' ELSE 'NOINHERIT' END,
               CASE WHEN rolcreaterole THEN 'CREATEROLE' ELSE 'NOCREATEROLE' END,
               CASE WHEN rolcreatedb THEN 'CREATEDB' ELSE 'NOCREATEDB' END,
               CASE WHEN rolreplication THEN 'REPLICATION' ELSE 'NOREPLICATION' END,
               CASE WHEN rolbypassrls THEN 'BYPASSRLS' ELSE 'NOBYPASSRLS' END
          FROM pg_roles WHERE rolname = %s
        """,
        [role.name],
    ).fetchone()
    for attribute in role.attributes:
        if attribute not in (found or ()):
            alter = sql.SQL("ALTER ROLE {} {}").format(name, sql.SQL(attribute))
            _execute_if_allowed(connection, alter, needed=attribute not in ONLY_FOR_BACKUPS)
    for setting, value in role.settings.items():
        connection.execute(
            sql.SQL("ALTER ROLE {} SET {} = {}").format(name, sql.Identifier(setting), sql.Literal(value))
        )


def _ensure_memberships(connection: psycopg.Connection) -> None:
    query = """
        SELECT a.roleid::regrole::text, m.rolname, g.rolname
          FROM pg_auth_members a JOIN pg_roles m ON m.oid = a.member LEFT JOIN pg_roles g ON g.oid = a.grantor
         WHERE m.rolname = ANY(%s)
    """
    for role, member, grantor in connection.execute(query, [list(ROLE_NAMES)]).fetchall():
        if (role, member) in MEMBERSHIPS:
            continue
        revoke = sql.SQL("REVOKE {} FROM {}").format(sql.SQL(role), sql.Identifier(member))
        if grantor and connection.info.server_version >= 160000:
            revoke += sql.SQL(" GRANTED BY {}").format(sql.Identifier(grantor))
        connection.execute(revoke)
    for role, member in MEMBERSHIPS:
        pair = sql.SQL("{} TO {}").format(sql.Identifier(role), sql.Identifier(member))
        _grant_membership(connection, pair, inherit=role in BUILT_IN, needed=role not in BUILT_IN)


def _grant_membership(
    connection: psycopg.Connection, pair: sql.Composed, *, inherit: bool, needed: bool = True
) -> None:
    grant = sql.SQL("GRANT {}").format(pair)
    if connection.info.server_version >= 160000:  # before, the member's own INHERIT or NOINHERIT decides
        grant += sql.SQL(" WITH INHERIT {}, SET TRUE").format(sql.SQL("TRUE" if inherit else "FALSE"))
    _execute_if_allowed(connection, grant, needed=needed)


def _execute_if_allowed(connection: psycopg.Connection, statement: sql.Composed, *, needed: bool) -> None:
    """An administrator who is no superuser may lack what only backups and figures need: warn and go on."""
    try:
        with connection.transaction():
            connection.execute(statement)
    except psycopg.errors.InsufficientPrivilege as error:
        if needed:
            raise
        logger.warning(
            "%s: %s. Backups or figures will fail until a superuser repeats this.",
            statement.as_string(connection),
            error.diag.message_primary,
        )


def _grant(connection: psycopg.Connection, database: str) -> None:
    def names(roles: tuple[str, ...]) -> sql.Composed:
        return sql.SQL(", ").join(map(sql.Identifier, roles))

    others = tuple(name for name in ROLE_NAMES if name != "fynlo_owner")
    connection.execute(
        sql.SQL(GRANTS).format(
            database=sql.Identifier(database),
            roles=names(ROLE_NAMES),
            logins=names(LOGINS),
            others=names(others),
        )
    )


def _set_password(connection: psycopg.Connection, name: str, password: str) -> None:
    # Encrypted here, so that the password itself appears in no log of the server.
    encrypted = connection.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256")
    connection.execute(
        sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(name), sql.Literal(encrypted.decode()))
    )


def _snapshot(connection: psycopg.Connection) -> set[str]:
    settings = {setting for role in ROLES for setting in role.settings}
    rows = connection.execute(SNAPSHOT, {"roles": list(ROLE_NAMES), "settings": list(settings)})
    return {line for (line,) in rows}
