"""An instance with a standby in another zone (MultiAZ): its zone is killed, and what was
acknowledged is there at the same address; the zone is healed, the old primary is a standby again,
and takes over in its turn. Replicas, in another Region and beside it, go on following, and a moment
from before all of that can be restored."""

import threading
import time
import unittest

import psycopg
from databases import (
    NOT_TESTED, POSTGRES, connect, create, described, in_status, servers, value,
)
from lab import Lab, eventually

VIRGINIA, IRELAND = "us-east-1", "eu-west-1"
ZONES = [f"{VIRGINIA}{letter}" for letter in "abc"]
SOURCE = f"arn:aws:rds:{VIRGINIA}:111122223333:db:orders"


class Writer(threading.Thread):
    """Inserts numbered rows, one transaction each, by whatever connection it gets, and keeps which
    were acknowledged and when."""

    def __init__(self, instance):
        super().__init__(daemon=True)
        self.instance, self.stopped = instance, threading.Event()
        self.acknowledged, self.tried = {}, 0
        self.start()

    def run(self):
        while not self.stopped.is_set():
            try:
                with connect(self.instance, connect_timeout=2) as connection:
                    while not self.stopped.is_set():
                        self.tried += 1
                        number = self.tried
                        connection.execute("insert into rows values (%s)", [number])
                        self.acknowledged[number] = time.monotonic()
                        time.sleep(0.002)
            except psycopg.Error:
                time.sleep(0.02)

    def stop(self):
        """Ends it."""
        self.stopped.set()
        self.join(30)

    def count(self):
        """How many were acknowledged."""
        return len(self.acknowledged)

    def goes_on(self):
        """Waits until another one was acknowledged; gives the longest time in which none was."""
        before = self.count()
        eventually(lambda: self.count() > before + 10, 60)
        times = sorted(self.acknowledged.values())
        return max(later - earlier for earlier, later in zip(times, times[1:]))


@unittest.skipUnless(POSTGRES, NOT_TESTED)
class TwoZones(unittest.TestCase):
    """One lab of two Regions; the second has a replica."""

    def setUp(self):
        self.lab = Lab("--delay-scale", "0", "--regions", f"{VIRGINIA},{IRELAND}")
        self.addCleanup(self.lab.close)
        self.client = self.lab.client(VIRGINIA, "rds")

    def is_in_step(self):
        """The row of the instance, if its standby is in step."""
        rows = self.lab.json("databases", "list")["databases"]
        row = next(row for row in rows if row["instance"] == "orders")
        return row if row["standby_in_step"] else None

    def in_step(self):
        """Waits until its standby is in step; gives the seconds that it took."""
        begun = time.monotonic()
        eventually(self.is_in_step, 120)
        return time.monotonic() - begun

    def check_rows(self, writer):
        """Nothing that was acknowledged is lost."""
        # Those from before the question: the writer goes on.
        acknowledged = set(writer.acknowledged)
        with connect(self.orders) as connection:
            held = {row[0] for row in connection.execute("select id from rows").fetchall()}
        missing = sorted(acknowledged - held)
        self.assertEqual(missing, [], f"of {len(acknowledged)} acknowledged")

    def events(self):
        """What was told of the instance."""
        told = self.client.describe_events(SourceIdentifier="orders", SourceType="db-instance")
        return [event["Message"] for event in told["Events"]]

    def test_a_zone_s_death_loses_nothing_and_the_other_one_s_after_it_neither(self):
        create(self.client, "orders", MultiAZ=True)
        self.orders = in_status(self.client, "orders", seconds=240)
        self.assertTrue(self.orders["MultiAZ"], self.orders)
        zones = (self.orders["AvailabilityZone"], self.orders["SecondaryAvailabilityZone"])
        self.assertNotEqual(*zones)
        endpoint = self.orders["Endpoint"]
        with connect(self.orders) as connection:
            connection.execute("create table rows (id int primary key)")
            seen = connection.execute(
                "select sync_state from pg_stat_replication "
                # An automated snapshot is copied by others.
                "where sync_state <> 'async'").fetchall()
        self.assertEqual(seen, [("sync",)])
        self.lab.client(IRELAND, "rds").create_db_instance_read_replica(
            DBInstanceIdentifier="readers", SourceDBInstanceIdentifier=SOURCE,
            SourceRegion=VIRGINIA)
        self.client.create_db_instance_read_replica(
            DBInstanceIdentifier="near", SourceDBInstanceIdentifier="orders",
            AvailabilityZone=next(zone for zone in ZONES if zone not in zones))
        replicas = [in_status(self.lab.client(IRELAND, "rds"), "readers", seconds=240),
                    in_status(self.client, "near", seconds=240)]
        writer = Writer(self.orders)
        self.addCleanup(writer.stop)
        eventually(lambda: writer.count() > 50, 60)
        eventually(self.backup, 120)
        moment = self.moment(writer)

        # The primary's zone dies: the standby takes over at the same address.
        self.fail_over(zones, writer)
        stalled = writer.goes_on()
        print(f"the zone's death held up commits for {stalled:.2f} s")
        self.check_rows(writer)
        now = described(self.client, "orders")
        self.assertEqual(now["Endpoint"], endpoint)
        self.assertEqual((now["SecondaryAvailabilityZone"], now["AvailabilityZone"]), zones)
        self.assertIn("Multi-AZ instance failover started.", self.events())
        self.assertIn("Multi-AZ instance failover completed", self.events())
        # It goes on alone meanwhile.
        self.assertIsNone(self.is_in_step())

        # The zone is back: so is the standby, and takes over in its turn, as it is asked.
        self.lab.run("fault", "heal")
        print(f"the old primary was in step after {self.in_step():.2f} s")
        self.client.reboot_db_instance(DBInstanceIdentifier="orders", ForceFailover=True)
        eventually(lambda: described(self.client, "orders")["AvailabilityZone"] == zones[0], 60)
        before = writer.count()
        eventually(lambda: writer.count() > before + 50, 60)
        print(f"back in step after {self.in_step():.2f} s")
        in_status(self.client, "orders")
        self.check_rows(writer)

        # The standby's zone dies: commits go on without it.
        self.lab.run("fault", "kill", f"{VIRGINIA}/{zones[1]}")
        eventually(lambda: self.is_in_step() is None, 30)
        begun = writer.count()
        eventually(lambda: writer.count() > begun + 50, 60)
        self.lab.run("fault", "heal")
        self.in_step()
        writer.stop()
        self.check_rows(writer)
        self.check_a_moment_before_is_restored(moment)
        last = max(writer.acknowledged)
        for replica in replicas:
            eventually(lambda: value(replica, "select max(id) from rows") >= last, 60)
        self.check_one_copy_is_left_after_it_is_none(zones)

    def backup(self):
        """What can be restored of the instance, once something can."""
        found = self.client.describe_db_instance_automated_backups(DBInstanceIdentifier="orders")
        backup = found["DBInstanceAutomatedBackups"][0]
        return backup if backup["Status"] == "active" else None

    def moment(self, writer):
        """A moment, what was acknowledged by then, and what can't have been committed."""
        acknowledged = set(writer.acknowledged)
        time.sleep(0.02)
        now = value(self.orders, "select clock_timestamp()")
        time.sleep(0.02)
        return now, acknowledged, writer.tried

    def check_a_moment_before_is_restored(self, moment):
        """The archive of the log has gone on over both failovers."""
        now, acknowledged, last = moment
        window = eventually(self.backup, 60)["RestoreWindow"]
        self.assertLess(window["EarliestTime"], now)
        eventually(lambda: self.backup()["RestoreWindow"]["LatestTime"] > now, 60)
        begun = time.monotonic()
        self.client.restore_db_instance_to_point_in_time(
            SourceDBInstanceIdentifier="orders", TargetDBInstanceIdentifier="before",
            RestoreTime=now)
        before = in_status(self.client, "before", seconds=120)
        print(f"restored over two failovers in {time.monotonic() - begun:.2f} s")
        with connect(before) as connection:
            held = {row[0] for row in connection.execute("select id from rows").fetchall()}
        self.assertEqual(acknowledged - held, set())
        self.assertLessEqual(max(held), last)
        self.client.delete_db_instance(DBInstanceIdentifier="before", SkipFinalSnapshot=True)
        eventually(lambda: "before" not in self.names(), 60)

    def names(self):
        """The instances of the Region."""
        found = self.client.describe_db_instances()["DBInstances"]
        return [it["DBInstanceIdentifier"] for it in found]

    def fail_over(self, zones, writer):
        """Kills the primary's zone in the middle of commits."""
        # A busy machine may have put it out of step for a while.
        self.in_step()
        before = writer.count()
        self.lab.run("fault", "kill", f"{VIRGINIA}/{zones[0]}")
        eventually(lambda: writer.count() > before + 50, 60)
        eventually(lambda: described(self.client, "orders")["AvailabilityZone"] == zones[1], 60)

    def check_one_copy_is_left_after_it_is_none(self, zones):
        """MultiAZ is taken away, and the standby's data with it."""
        homes = self.lab.data / "db" / VIRGINIA
        self.assertEqual(len(self.homes(homes)), 3)
        self.client.modify_db_instance(
            DBInstanceIdentifier="orders", MultiAZ=False, ApplyImmediately=True)
        eventually(lambda: len(self.homes(homes)) == 2, 60)
        alone = in_status(self.client, "orders")
        self.assertFalse(alone["MultiAZ"])
        self.assertEqual(alone["AvailabilityZone"], zones[0])
        self.assertNotIn("SecondaryAvailabilityZone", alone)
        self.assertTrue(servers(homes))

    @staticmethod
    def homes(directory):
        """The homes of servers there."""
        return [path for path in directory.iterdir() if (path / "whole").exists()]


if __name__ == "__main__":
    unittest.main()
