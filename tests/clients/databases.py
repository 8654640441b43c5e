"""What the tests of databases share: instances made by boto3, connections by psycopg, and the
PostgreSQL processes that a lab has left or not."""

import pathlib
import re
import shutil

import psycopg
from lab import eventually

# What RDS allows in a password, and shells, SQL and connection strings would trip over.
PASSWORD = "s3cret'$`\\!%&()=;*|<>{}[]~^#?,.:+-_"
POSTGRES = shutil.which("postgres") or any(
    pathlib.Path("/usr/lib/postgresql").glob("*/bin/postgres"))
NOT_TESTED = "NOT TESTED: PostgreSQL is not installed (apt-get install postgresql)"


def create(client, name, **changes):
    """Makes an instance; gives what the answer says of it."""
    wanted = {
        "DBInstanceIdentifier": name, "DBInstanceClass": "db.t3.micro", "Engine": "postgres",
        "AllocatedStorage": 20, "MasterUsername": "master", "MasterUserPassword": PASSWORD,
        "DBName": "orders", **changes,
    }
    return client.create_db_instance(**wanted)["DBInstance"]


def described(client, name):
    """What is described of one instance; None: there is none."""
    try:
        return client.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]
    except client.exceptions.DBInstanceNotFoundFault:
        return None


def in_status(client, name, status="available", seconds=180.0):
    """Waits until the instance has that status."""
    def has():
        instance = described(client, name)
        return instance if instance and instance["DBInstanceStatus"] == status else None

    try:
        return eventually(has, seconds)
    except AssertionError:
        events = client.describe_events(SourceIdentifier=name, SourceType="db-instance")["Events"]
        said = [event["Message"] for event in events]
        raise AssertionError(f"{described(client, name)} is not {status}: {said}") from None


def connect(instance, password=PASSWORD, **changes):
    """A connection of the master user to an instance's endpoint."""
    endpoint = instance["Endpoint"]
    wanted = {
        "host": endpoint["Address"], "port": endpoint["Port"], "dbname": instance["DBName"],
        "user": instance["MasterUsername"], "password": password, "connect_timeout": 10,
        "autocommit": True, **changes,
    }
    return psycopg.connect(**wanted)


def value(instance, statement, *arguments, **changes):
    """The first field that a statement gives, by a connection of its own."""
    with connect(instance, **changes) as connection:
        return connection.execute(statement, arguments or None).fetchone()[0]


def servers(data):
    """The numbers of the PostgreSQL processes (and what they start) of that data directory."""
    found = set()
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes()
            folder = (process / "cwd").readlink()
        except OSError:
            continue
        # A walsender's title has a place of the log, with a slash, behind the first word.
        name = re.split(rb"[\0 ]", words)[0].split(b"/")[-1]
        is_ours = str(folder).startswith(str(data)) or str(data).encode() in words
        if is_ours and name.startswith((b"postgres", b"pg_", b"initdb")):
            found.add(int(process.name))
    return found
