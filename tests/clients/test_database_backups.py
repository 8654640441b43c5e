"""Backups of databases by boto3 and psycopg: a table that was dropped by mistake comes back as it was
right before, and a snapshot is copied to another Region over a link that is cut meanwhile."""

import datetime
import time
import unittest

from databases import NOT_TESTED, POSTGRES, connect, create, described, in_status, value
from lab import Lab, eventually

HERE, THERE = "us-east-1", "eu-west-1"


def snapshot(client, name):
    """What is described of one snapshot; None: there is none."""
    try:
        return client.describe_db_snapshots(DBSnapshotIdentifier=name)["DBSnapshots"][0]
    except client.exceptions.DBSnapshotNotFoundFault:
        return None


@unittest.skipUnless(POSTGRES, NOT_TESTED)
class Backups(unittest.TestCase):
    """One lab of two Regions, and an instance with backups."""

    @classmethod
    def setUpClass(cls):
        cls.lab = Lab("--delay-scale", "0.2", "--regions", f"{HERE},{THERE}")
        cls.addClassCleanup(cls.lab.close)
        cls.client = cls.lab.client(HERE, "rds")
        cls.there = cls.lab.client(THERE, "rds")
        create(cls.client, "orders", BackupRetentionPeriod=2)
        cls.orders = in_status(cls.client, "orders")

    def backup(self):
        """What can be restored of the instance, once something can."""
        found = self.client.describe_db_instance_automated_backups(DBInstanceIdentifier="orders")
        backup = found["DBInstanceAutomatedBackups"][0]
        return backup if backup["Status"] == "active" else None

    def test_a_table_that_was_dropped_by_mistake_is_there_right_before(self):
        eventually(self.backup, 120)
        with connect(self.orders) as connection:
            connection.execute("create table lines (id int primary key)")
            for number in range(1, 21):
                connection.execute("insert into lines values (%s)", (number,))
            # A moment is a millisecond.
            time.sleep(0.02)
            before = connection.execute("select clock_timestamp()").fetchone()[0]
            time.sleep(0.02)
            connection.execute("insert into lines values (99)")
            connection.execute("drop table lines")

        def reached():
            window = self.backup()["RestoreWindow"]
            return window if window["LatestTime"] > before else None

        window = eventually(reached, 60)
        self.assertLess(window["EarliestTime"], before)
        latest = described(self.client, "orders")["LatestRestorableTime"]
        self.assertGreaterEqual(latest, window["LatestTime"])
        taken = self.client.describe_db_snapshots(
            DBInstanceIdentifier="orders", SnapshotType="automated")["DBSnapshots"]
        self.assertTrue(taken[0]["DBSnapshotIdentifier"].startswith("rds:orders-20"), taken)
        names = {"SourceDBInstanceIdentifier": "orders", "TargetDBInstanceIdentifier": "again"}
        for refused in [
            {"RestoreTime": latest + datetime.timedelta(hours=1)},
            {"RestoreTime": window["EarliestTime"] - datetime.timedelta(seconds=5)},
        ]:
            with self.assertRaises(self.client.exceptions.InvalidRestoreFault):
                self.client.restore_db_instance_to_point_in_time(**names, **refused)
        begun = time.monotonic()
        self.client.restore_db_instance_to_point_in_time(**names, RestoreTime=before)
        again = in_status(self.client, "again")
        print(f"restored in {time.monotonic() - begun:.1f} s")
        with connect(again) as connection:
            ids = [row[0] for row in connection.execute("select id from lines order by id")]
        self.assertEqual(ids, list(range(1, 21)))
        for name in ["again"]:
            self.client.delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=True)

    def test_a_snapshot_is_copied_over_a_link_that_is_cut_meanwhile(self):
        with connect(self.orders) as connection:
            connection.execute("create table kept as select n, repeat('x', 400) as x"
                               " from generate_series(1, 20000) as n")
        self.client.create_db_snapshot(
            DBInstanceIdentifier="orders", DBSnapshotIdentifier="kept")
        eventually(lambda: snapshot(self.client, "kept")["Status"] == "available", 60)
        arn = snapshot(self.client, "kept")["DBSnapshotArn"]
        # Slow enough to be cut in its middle.
        self.lab.run("fault", "rate", HERE, THERE, "4000000", "--for", "10m")
        copy = self.there.copy_db_snapshot(
            SourceDBSnapshotIdentifier=arn, TargetDBSnapshotIdentifier="kept-here",
            SourceRegion=HERE)["DBSnapshot"]
        self.assertEqual((copy["Status"], copy["SourceRegion"]), ("copying", HERE))

        def percent():
            return snapshot(self.there, "kept-here")["PercentProgress"]

        eventually(lambda: percent() > 5, 60)
        self.lab.run("fault", "cut", HERE, THERE, "--for", "10m")
        time.sleep(1)
        held = percent()
        self.assertLess(held, 100)
        self.lab.run("fault", "kill", THERE, "--for", "10m")
        self.lab.run("fault", "heal")
        begun = time.monotonic()
        eventually(lambda: self.status() == "available", 120)
        print(f"cut at {held} %, whole {time.monotonic() - begun:.1f} s after the heal")
        self.there.restore_db_instance_from_db_snapshot(
            DBInstanceIdentifier="kept", DBSnapshotIdentifier="kept-here")
        kept = in_status(self.there, "kept")
        self.assertEqual(value(kept, "select count(*), sum(n) from kept"), 20000)

    def status(self):
        """Of the copy; None while its Region comes back."""
        try:
            return snapshot(self.there, "kept-here")["Status"]
        except Exception:  # noqa: BLE001 - it is down, in whatever way
            return None


if __name__ == "__main__":
    unittest.main()
