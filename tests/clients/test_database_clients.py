"""Clients of PostgreSQL by name, through an instance's endpoint: psql with its own commands and
COPY, pgbench, psycopg; and a password of every character that RDS allows, through each of them."""

import os
import shutil
import string
import subprocess
import unittest

import psycopg
from databases import NOT_TESTED, POSTGRES, create, described, in_status, value
from lab import Lab, eventually

REGION = "us-east-1"
# RDS allows all that is printed but these four: / " @ and a space.
EVERY = "".join(sorted(set(string.digits + string.ascii_letters + string.punctuation) - set('/"@')))


def program(name):
    """Where it is; pgbench stands beside the server on some systems."""
    return shutil.which(name) or f"/usr/lib/postgresql/15/bin/{name}"


@unittest.skipUnless(POSTGRES, NOT_TESTED)
class Clients(unittest.TestCase):
    """One lab of one Region, and an instance made by the `aws` command line."""

    @classmethod
    def setUpClass(cls):
        cls.lab = Lab("--delay-scale", "0", "--regions", REGION)
        cls.addClassCleanup(cls.lab.close)
        cls.client = cls.lab.client(REGION, "rds")
        # Version 1 goes to AWS's own endpoint for RDS in us-east-1 unless it is told by a word.
        url = ("--endpoint-url", cls.lab.environment["AWS_ENDPOINT_URL"])
        cls.lab.aws(
            REGION, *url, "rds", "create-db-instance", "--db-instance-identifier", "orders",
            "--db-instance-class", "db.t3.micro", "--engine", "postgres", "--allocated-storage",
            "20", "--master-username", "master", f"--master-user-password={EVERY}", "--db-name",
            "orders")
        cls.orders = in_status(cls.client, "orders")

    def run_program(self, name, *words, given=None):
        """Runs one of PostgreSQL's clients as the master user; gives what it prints."""
        endpoint = self.orders["Endpoint"]
        command = [program(name), "-h", endpoint["Address"], "-p", str(endpoint["Port"]),
                   "-U", "master", *words]
        ran = subprocess.run(
            command, env={**os.environ, "PGPASSWORD": EVERY}, input=given, timeout=120,
            capture_output=True, text=True, check=False)
        self.assertEqual(ran.returncode, 0, ran.stderr)
        return ran.stdout

    def psql(self, *words, given=None):
        """Runs psql, which stops at the first error."""
        return self.run_program("psql", "-X", "-v", "ON_ERROR_STOP=1", "-d", "orders", *words,
                                given=given)

    def test_psql_describes_and_copies_in_both_directions(self):
        self.psql("-c", "create table lines (id int primary key, word text)")
        rows = "".join(f"{number}\tword {number}\n" for number in range(20_000))
        self.psql("-c", "copy lines from stdin", given=rows)
        self.assertIn('"lines_pkey" PRIMARY KEY, btree (id)', self.psql("-c", "\\d lines"))
        self.assertIn("master", self.psql("-c", "\\du"))
        self.assertIn("orders", self.psql("-c", "\\l"))
        self.assertIn(" lines ", self.psql("-c", "\\dt+"))
        self.assertEqual(self.psql("-c", "copy (select * from lines order by id) to stdout"), rows)
        copied = self.psql("-c", "\\copy (select id from lines where id < 3) to stdout")
        self.assertEqual(copied, "0\n1\n2\n")
        with psycopg.connect(self.psycopg()) as connection, connection.cursor() as cursor:
            with cursor.copy("copy lines (id) from stdin binary") as copy:
                copy.set_types(["int4"])
                for number in range(20_000, 21_000):
                    copy.write_row((number,))
            cursor.execute("select count(*) from lines")
            self.assertEqual(cursor.fetchone()[0], 21_000)

    def psycopg(self):
        """A connection string of psycopg with the password in it."""
        endpoint = self.orders["Endpoint"]
        return psycopg.conninfo.make_conninfo(
            host=endpoint["Address"], port=endpoint["Port"], dbname="orders", user="master",
            password=EVERY)

    def test_pgbench_makes_its_tables_and_runs_its_load(self):
        self.run_program("pgbench", "-i", "-q", "-s", "1", "orders")
        said = self.run_program("pgbench", "-c", "4", "-j", "2", "-t", "50", "orders")
        self.assertIn("number of transactions actually processed: 200/200", said)
        self.assertIn("number of failed transactions: 0 (0.000%)", said)
        counted = value(self.orders, "select count(*) from pgbench_history", password=EVERY)
        self.assertEqual(counted, 200)
        # The invariant of that load: each transaction moves one amount through all of them.
        sums = value(
            self.orders, "select array[(select sum(abalance) from pgbench_accounts), "
            "(select sum(bbalance) from pgbench_branches), "
            "(select sum(delta) from pgbench_history)]",
            password=EVERY)
        self.assertEqual(len(set(sums)), 1, sums)
        # With statements prepared once, by the extended protocol.
        said = self.run_program("pgbench", "-M", "prepared", "-S", "-c", "2", "-t", "100", "orders")
        self.assertIn("number of transactions actually processed: 200/200", said)

    def test_a_password_of_every_character_is_taken_and_changed(self):
        self.assertEqual(len(EVERY), 91)
        self.assertEqual(self.psql("-Atc", "select current_user").strip(), "master")
        self.assertEqual(value(self.orders, "select 1", password=EVERY), 1)
        for wrong in (EVERY[:-1], EVERY[1:], EVERY.swapcase()):
            with self.assertRaises(psycopg.OperationalError):
                value(self.orders, "select 1", password=wrong)
        # A user of the database's own, by statements that the client quotes.
        with psycopg.connect(self.psycopg(), autocommit=True) as connection:
            made = psycopg.sql.SQL("create role clerk login password {}")
            connection.execute(made.format(psycopg.sql.Literal(EVERY)))
        self.assertEqual(value(self.orders, "select current_user", user="clerk", password=EVERY),
                         "clerk")
        # By boto3, the other way round.
        create(self.client, "keys", MasterUserPassword=EVERY)
        keys = in_status(self.client, "keys")
        self.assertEqual(value(keys, "select 1", password=EVERY), 1)
        self.client.modify_db_instance(
            DBInstanceIdentifier="keys", MasterUserPassword=EVERY[::-1], ApplyImmediately=True)
        eventually(lambda: self.takes(keys, EVERY[::-1]))
        self.assertFalse(self.takes(keys, EVERY))
        self.client.delete_db_instance(DBInstanceIdentifier="keys", SkipFinalSnapshot=True)
        eventually(lambda: described(self.client, "keys") is None)

    def takes(self, instance, password):
        """Does it take that password?"""
        try:
            return value(instance, "select 1", password=password) == 1
        except psycopg.OperationalError:
            return False


if __name__ == "__main__":
    unittest.main()
