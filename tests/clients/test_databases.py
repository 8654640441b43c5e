"""Databases in one Region by real clients: boto3, psycopg, psql and the `aws` command line. The
servers are PostgreSQL's own; nothing of them is left when the Region ends."""

import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest
import unittest.mock

import lab
import psycopg
from botocore.exceptions import ClientError
from databases import (
    NOT_TESTED, PASSWORD, POSTGRES, connect, create, described, in_status, servers, value,
)
from lab import Lab, eventually

REGION = "us-east-1"


@unittest.skipUnless(POSTGRES, NOT_TESTED)
class OneRegion(unittest.TestCase):
    """One lab of one Region, and an instance that most tests use."""

    @classmethod
    def setUpClass(cls):
        cls.lab = Lab("--delay-scale", "0", "--regions", REGION)
        cls.addClassCleanup(cls.lab.close)
        cls.client = cls.lab.client(REGION, "rds")
        made = create(cls.client, "orders")
        assert made["DBInstanceStatus"] == "creating", made
        cls.orders = in_status(cls.client, "orders")

    def test_an_instance_is_described_as_it_is(self):
        orders = self.orders
        self.assertEqual(orders["Engine"], "postgres")
        version = value(self.orders, "show server_version")
        self.assertTrue(version.startswith(orders["EngineVersion"]), (version, orders))
        self.assertEqual(orders["Endpoint"]["Port"], 5432)
        self.assertEqual(
            orders["DBInstanceArn"], f"arn:aws:rds:{REGION}:111122223333:db:orders")
        self.assertTrue(orders["AvailabilityZone"].startswith(REGION))
        rows = self.lab.json("databases", "list")["databases"]
        row = next(row for row in rows if row["instance"] == "orders")
        self.assertEqual((row["region"], row["status"], row["role"]),
                         (REGION, "available", "primary"))
        listed = self.lab.run("databases", "list").stdout
        self.assertIn(f"{orders['Endpoint']['Address']}:5432", listed)

    def test_psql_and_psycopg_reach_it_with_the_password_and_nobody_without(self):
        endpoint = self.orders["Endpoint"]
        command = ["psql", "-h", endpoint["Address"], "-p", str(endpoint["Port"]), "-U", "master",
                   "-d", "orders", "-Atc", "select 40 + 2"]
        said = subprocess.run(command, env={**os.environ, "PGPASSWORD": PASSWORD}, timeout=20,
                              capture_output=True, text=True, check=True)
        self.assertEqual(said.stdout.strip(), "42")
        for user, password in [
            ("master", "wrong-password"), ("postgres", PASSWORD),
            ("causeway_admin", PASSWORD), ("causeway_replication", PASSWORD),
        ]:
            with self.subTest(user=user), self.assertRaises(psycopg.OperationalError):
                connect(self.orders, password=password, user=user)
        with self.assertRaises(psycopg.OperationalError):
            connect(self.orders, replication="database")

    def test_the_master_is_no_superuser_and_has_no_way_to_the_host(self):
        with connect(self.orders) as connection:
            self.assertEqual(
                connection.execute("select rolsuper from pg_roles where rolname = current_user")
                .fetchone(), (False,))
            self.assertTrue(connection.execute(
                "select pg_has_role(current_user, 'rds_superuser', 'member')").fetchone()[0])
            for statement in [
                "copy (select 1) to program 'id'", "copy (select 1) to '/tmp/causeway-copy'",
                "create table lines (line text); copy lines from '/etc/passwd'",
                "select pg_read_file('/etc/passwd')", "select lo_import('/etc/passwd')",
                "alter system set archive_command = 'id'",
                "grant pg_execute_server_program to current_user",
                "grant pg_read_server_files to current_user",
                "grant pg_write_server_files to current_user",
                "create role boss superuser", "alter role master superuser",
                "alter role causeway_admin password 'x'", "set role causeway_admin",
                "set session authorization causeway_admin", "create language plpython3u",
                "create role spy replication", "drop role causeway_replication",
            ]:
                with self.subTest(statement=statement):
                    with self.assertRaises(psycopg.Error) as refused:
                        connection.execute(statement)
                    self.assertIn(refused.exception.sqlstate[:2], ("42", "0A", "58", "25", "2B"),
                                  refused.exception)
            connection.execute("create role clerk login password 'clerks-own-1'")
            connection.execute("grant rds_superuser to clerk")
            connection.execute("drop role clerk")

    def test_a_client_cancels_its_statement_through_the_endpoint(self):
        with connect(self.orders) as connection:
            timer = threading.Timer(0.5, connection.cancel)
            timer.start()
            begun = time.monotonic()
            with self.assertRaises(psycopg.errors.QueryCanceled):
                connection.execute("select pg_sleep(30)")
            self.assertLess(time.monotonic() - begun, 10)

    def test_the_password_is_changed_and_the_old_one_is_refused(self):
        create(self.client, "keys")
        keys = in_status(self.client, "keys")
        self.client.modify_db_instance(
            DBInstanceIdentifier="keys", MasterUserPassword="another-1", ApplyImmediately=True)

        def takes(password):
            try:
                return value(keys, "select 1", password=password) == 1
            except psycopg.OperationalError:
                return False

        eventually(lambda: takes("another-1"))
        self.assertFalse(takes(PASSWORD))
        self.client.delete_db_instance(DBInstanceIdentifier="keys", SkipFinalSnapshot=True)
        eventually(lambda: described(self.client, "keys") is None)

    def test_reboot_stop_and_start_keep_every_row(self):
        create(self.client, "cycle")
        cycle = in_status(self.client, "cycle")
        with connect(cycle) as connection:
            connection.execute("create table kept (id int primary key)")
            connection.execute("insert into kept select generate_series(1, 100)")
            begun = connection.execute("select pg_postmaster_start_time()").fetchone()[0]
            self.client.reboot_db_instance(DBInstanceIdentifier="cycle")
            eventually(lambda: self.is_broken(connection))
        cycle = in_status(self.client, "cycle")
        self.assertGreater(value(cycle, "select pg_postmaster_start_time()"), begun)
        stopped = self.client.stop_db_instance(DBInstanceIdentifier="cycle")["DBInstance"]
        self.assertEqual(stopped["DBInstanceStatus"], "stopping")
        in_status(self.client, "cycle", "stopped")
        with self.assertRaises(psycopg.OperationalError):
            connect(cycle)
        with self.assertRaises(self.client.exceptions.InvalidDBInstanceStateFault):
            self.client.reboot_db_instance(DBInstanceIdentifier="cycle")
        self.client.start_db_instance(DBInstanceIdentifier="cycle")
        cycle = in_status(self.client, "cycle")
        self.assertEqual(value(cycle, "select count(*) from kept"), 100)
        self.client.delete_db_instance(DBInstanceIdentifier="cycle", SkipFinalSnapshot=True)
        eventually(lambda: described(self.client, "cycle") is None)

    def is_broken(self, connection):
        """Was the connection broken off?"""
        try:
            connection.execute("select 1")
            return False
        except psycopg.OperationalError:
            return True

    def test_a_snapshot_is_restored_as_it_was(self):
        with connect(self.orders) as connection:
            connection.execute("create table before (id int primary key)")
            connection.execute("insert into before select generate_series(1, 1000)")
            self.client.create_db_snapshot(
                DBSnapshotIdentifier="then", DBInstanceIdentifier="orders")
            self.client.get_waiter("db_snapshot_available").wait(
                DBSnapshotIdentifier="then", WaiterConfig={"Delay": 1, "MaxAttempts": 60})
            connection.execute("delete from before")
        snapshot = self.client.describe_db_snapshots(DBSnapshotIdentifier="then")["DBSnapshots"][0]
        self.assertEqual(snapshot["Status"], "available")
        self.client.restore_db_instance_from_db_snapshot(
            DBInstanceIdentifier="again", DBSnapshotIdentifier="then")
        again = in_status(self.client, "again")
        self.assertNotEqual(again["Endpoint"]["Address"], self.orders["Endpoint"]["Address"])
        self.assertEqual(value(again, "select count(*) from before"), 1000)
        self.assertEqual(value(self.orders, "select count(*) from before"), 0)
        self.client.delete_db_instance(DBInstanceIdentifier="again", SkipFinalSnapshot=True)
        eventually(lambda: described(self.client, "again") is None)
        self.client.delete_db_snapshot(DBSnapshotIdentifier="then")
        manual = {"SnapshotType": "manual"}
        eventually(lambda: not self.client.describe_db_snapshots(**manual)["DBSnapshots"])
        with self.assertRaises(self.client.exceptions.DBSnapshotNotFoundFault):
            self.client.describe_db_snapshots(DBSnapshotIdentifier="then")

    def test_a_replica_in_the_same_region_follows(self):
        self.client.create_db_instance_read_replica(
            DBInstanceIdentifier="beside", SourceDBInstanceIdentifier="orders")
        beside = in_status(self.client, "beside")
        self.assertEqual(beside["ReadReplicaSourceDBInstanceIdentifier"], "orders")
        self.assertEqual(
            described(self.client, "orders")["ReadReplicaDBInstanceIdentifiers"], ["beside"])
        with connect(self.orders) as connection:
            connection.execute("create table followed (id int primary key)")
            connection.execute("insert into followed values (7)")
        eventually(lambda: self.seen(beside, "select id from followed") == 7)
        with self.assertRaises(psycopg.errors.ReadOnlySqlTransaction):
            value(beside, "insert into followed values (8) returning id")
        self.client.delete_db_instance(DBInstanceIdentifier="beside", SkipFinalSnapshot=True)
        eventually(lambda: described(self.client, "beside") is None)
        eventually(lambda: value(
            self.orders, "select count(*) from pg_replication_slots"
            " where slot_name <> 'causeway_archive'") == 0)

    def seen(self, instance, statement):
        """What a statement gives; None: not yet."""
        try:
            return value(instance, statement)
        except (psycopg.errors.UndefinedTable, TypeError):
            return None

    def test_the_command_line_makes_waits_and_deletes(self):
        # Version 1 goes to AWS's own endpoint for RDS in us-east-1 unless it is told on its own line.
        def rds(*words):
            url = ("--endpoint-url", self.lab.environment["AWS_ENDPOINT_URL"])
            return self.lab.aws(REGION, *url, "rds", *words)

        made = rds(
            "create-db-instance", "--db-instance-identifier", "cli",
            "--db-instance-class", "db.t3.micro", "--engine", "postgres", "--allocated-storage",
            "20", "--master-username", "master", "--master-user-password", PASSWORD,
            "--db-name", "orders", "--tags", "Key=team,Value=sea",
        )["DBInstance"]
        self.assertNotIn("Endpoint", made)
        # The waiter of the command line looks each 30 s: ours is sooner.
        cli = in_status(self.client, "cli")
        rds("wait", "db-instance-available", "--db-instance-identifier", "cli")
        self.assertEqual(value(cli, "select 1"), 1)
        tags = rds("list-tags-for-resource", "--resource-name",
                       cli["DBInstanceArn"])["TagList"]
        self.assertEqual(tags, [{"Key": "team", "Value": "sea"}])
        rds("delete-db-instance", "--db-instance-identifier", "cli",
                "--skip-final-snapshot")
        rds("wait", "db-instance-deleted", "--db-instance-identifier", "cli")

    def test_other_engines_and_wrong_versions_are_refused_by_name(self):
        client = self.client
        for changes, code in [
            ({"Engine": "mysql"}, "InvalidParameterValue"),
            ({"EngineVersion": "9.6.1"}, "InvalidParameterCombination"),
            ({"MasterUsername": "causeway_admin"}, "InvalidParameterValue"),
            ({"MasterUserPassword": "short"}, "InvalidParameterValue"),
            ({"DBInstanceClass": "db.none"}, "InvalidParameterValue"),
        ]:
            with self.subTest(**changes), self.assertRaises(ClientError) as refused:
                create(client, "refused", **changes)
            self.assertIn(refused.exception.response["Error"]["Code"],
                          (code, "InvalidParameterValue", "InvalidParameterCombination"))
        with self.assertRaises(client.exceptions.DBInstanceAlreadyExistsFault):
            create(client, "orders")

    def test_actions_are_judged_as_others_are(self):
        iam = self.lab.client(REGION, "iam")
        iam.create_user(UserName="reader")
        iam.put_user_policy(
            UserName="reader", PolicyName="reads", PolicyDocument="""{"Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": "rds:Describe*", "Resource": "*"}]}""")
        key = iam.create_access_key(UserName="reader")["AccessKey"]
        reader = self.lab.client(
            REGION, "rds", aws_access_key_id=key["AccessKeyId"],
            aws_secret_access_key=key["SecretAccessKey"])
        self.assertTrue(reader.describe_db_instances()["DBInstances"])
        with self.assertRaises(ClientError) as refused:
            create(reader, "theirs")
        self.assertEqual(refused.exception.response["Error"]["Code"], "AccessDenied")
        self.assertIn("rds:CreateDBInstance", str(refused.exception))

    def test_a_zone_that_dies_ends_its_servers_and_they_come_back(self):
        orders = described(self.client, "orders")
        zone = orders["AvailabilityZone"]
        with connect(orders) as connection:
            connection.execute("create table zoned (id int)")
            connection.execute("insert into zoned values (1)")
            self.lab.run("fault", "kill", f"{REGION}/{zone}")
            eventually(lambda: self.is_broken(connection), 10)
        with self.assertRaises(psycopg.OperationalError):
            connect(orders)
        self.lab.run("fault", "heal")
        eventually(lambda: self.reached(orders), 30)
        self.assertEqual(value(orders, "select count(*) from zoned"), 1)

    def reached(self, instance):
        """Does it take a connection?"""
        try:
            return value(instance, "select 1") == 1
        except psycopg.OperationalError:
            return False


@unittest.skipUnless(POSTGRES, NOT_TESTED)
class Restarts(unittest.TestCase):
    """Each its own lab: it is stopped and killed."""

    def setUp(self):
        self.lab = Lab("--delay-scale", "0", "--regions", REGION)
        self.addCleanup(self.lab.close)
        self.client = self.lab.client(REGION, "rds")
        create(self.client, "orders")
        self.orders = in_status(self.client, "orders")

    def test_a_lab_that_starts_again_has_every_instance_and_row(self):
        with connect(self.orders) as connection:
            connection.execute("create table kept (id int primary key)")
            connection.execute("insert into kept select generate_series(1, 1000)")
        self.assertTrue(servers(self.lab.data))
        begun = time.monotonic()
        self.lab.stop()
        self.assertLess(time.monotonic() - begun, 15)
        eventually(lambda: servers(self.lab.data) == set(), 20)
        self.lab.start()
        again = in_status(self.lab.client(REGION, "rds"), "orders")
        self.assertEqual(again["Endpoint"], self.orders["Endpoint"])
        self.assertEqual(again["DbiResourceId"], self.orders["DbiResourceId"])
        eventually(lambda: OneRegion.reached(self, again), 30)
        self.assertEqual(value(again, "select count(*) from kept"), 1000)
        logs = [*self.lab.data.rglob("log"), *self.lab.data.rglob("log.old")]
        self.assertGreater(len(logs), 1)
        for log in logs:
            self.assertNotIn(PASSWORD.encode(), log.read_bytes(), log)
            self.assertNotIn(b"SCRAM-SHA-256$", log.read_bytes(), log)

    def test_a_region_that_is_killed_leaves_no_server_and_loses_no_acknowledged_row(self):
        with connect(self.orders) as connection:
            connection.execute("create table kept (id int primary key)")
        acknowledged, stop = [], threading.Event()

        def write():
            number = 0
            with connect(self.orders) as connection:
                while not stop.is_set():
                    number += 1
                    try:
                        connection.execute("insert into kept values (%s)", [number])
                    except psycopg.Error:
                        return
                    acknowledged.append(number)

        writer = threading.Thread(target=write)
        writer.start()
        self.addCleanup(stop.set)
        eventually(lambda: len(acknowledged) > 200)
        running = servers(self.lab.data)
        self.assertTrue(running)
        os.kill(self.lab.processes()[REGION], signal.SIGKILL)
        eventually(lambda: not any(os.path.exists(f"/proc/{it}") for it in running), 10)
        writer.join(10)
        # The supervisor shows a Region that ended by itself, and starts it when it is told to.
        self.lab.run("fault", "start", REGION, check=False)
        eventually(lambda: self.lab.run("status", check=False).returncode == 0, 30)
        again = in_status(self.client, "orders")
        eventually(lambda: OneRegion.reached(self, again), 30)
        with connect(again) as connection:
            kept = {row[0] for row in connection.execute("select id from kept")}
        self.assertEqual(set(acknowledged) - kept, set())


def can_hide():
    """May this process mount something over a directory, for itself alone?"""
    tried = ["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"]
    return shutil.which("unshare") and subprocess.run(tried, capture_output=True).returncode == 0


# Starts a lab that doesn't see Debian's PostgreSQL; anything else is as ever.
HIDING = """#!/bin/sh
[ "$1" = up ] || exec {0} "$@"
exec unshare --mount sh -c \
    'mount -t tmpfs none /usr/lib/postgresql && exec "$0" "$@"' {0} "$@"
"""


@unittest.skipUnless(pathlib.Path("/usr/lib/postgresql").is_dir() and can_hide(),
                     "NOT TESTED: only root can hide PostgreSQL from a process")
class Missing(unittest.TestCase):
    """A machine without PostgreSQL."""

    def test_who_makes_an_instance_is_told_what_to_install(self):
        folder = tempfile.TemporaryDirectory(prefix="causeway-hiding-")
        self.addCleanup(folder.cleanup)
        program = pathlib.Path(folder.name, "causeway")
        program.write_text(HIDING.format(shlex.quote(lab.CAUSEWAY)))
        program.chmod(0o755)
        with unittest.mock.patch.object(lab, "CAUSEWAY", str(program)):
            here = Lab("--delay-scale", "0", "--regions", REGION)
            self.addCleanup(here.close)
            client = here.client(REGION, "rds")
            self.assertEqual(client.describe_db_instances()["DBInstances"], [])
            with self.assertRaises(ClientError) as refused:
                create(client, "orders")
            self.assertIn("apt-get install postgresql", str(refused.exception))
            self.assertLess(refused.exception.response["ResponseMetadata"]["HTTPStatusCode"], 500)
            self.assertEqual(client.describe_db_instances()["DBInstances"], [])


if __name__ == "__main__":
    unittest.main()
