"""A database in one Region and its replica in another: the lag is real, a cut link stops the stream
and nothing else, and a promotion loses no more than was on its way. All of it goes over the link."""

import threading
import time
import unittest

import psycopg
from databases import (
    NOT_TESTED, POSTGRES, connect, create, described, in_status, servers, value,
)
from lab import Lab, eventually

VIRGINIA, IRELAND = "us-east-1", "eu-west-1"
SOURCE = f"arn:aws:rds:{VIRGINIA}:111122223333:db:orders"

# Half of what a message takes from Virginia to Ireland and back.
ONE_WAY = 0.038


class Writer(threading.Thread):
    """Inserts numbered rows, one transaction each, and keeps which were acknowledged and when."""

    def __init__(self, instance, table, every=0.005):
        super().__init__(daemon=True)
        self.instance, self.table, self.every = instance, table, every
        self.acknowledged, self.stopped = {}, threading.Event()
        self.start()

    def run(self):
        number = 0
        with connect(self.instance) as connection:
            while not self.stopped.is_set():
                number += 1
                try:
                    connection.execute(f"insert into {self.table} values (%s)", [number])
                except psycopg.Error:
                    return
                self.acknowledged[number] = time.monotonic()
                time.sleep(self.every)

    def stop(self):
        """Ends it."""
        self.stopped.set()
        self.join(20)


@unittest.skipUnless(POSTGRES, NOT_TESTED)
class TwoRegions(unittest.TestCase):
    """One lab of two Regions as far apart as they are."""

    def setUp(self):
        self.lab = Lab("--regions", f"{VIRGINIA},{IRELAND}")
        self.addCleanup(self.lab.close)
        self.virginia = self.lab.client(VIRGINIA, "rds")
        self.ireland = self.lab.client(IRELAND, "rds")
        create(self.virginia, "orders")
        self.orders = in_status(self.virginia, "orders")
        with connect(self.orders) as connection:
            connection.execute("create table rows (id int primary key)")
            connection.execute("insert into rows select generate_series(-1000, 0)")
        self.ireland.create_db_instance_read_replica(
            DBInstanceIdentifier="readers", SourceDBInstanceIdentifier=SOURCE,
            SourceRegion=VIRGINIA)
        self.readers = in_status(self.ireland, "readers", seconds=120)

    def lag(self):
        """What is told of the replica."""
        rows = self.lab.json("databases", "lag")["databases"]
        return next(row for row in rows if row["instance"] == "readers")

    def streams(self):
        """Does the replica follow?"""
        row = self.lag()
        milliseconds = row["lag_milliseconds"]
        return row.get("replication") == "streaming" and milliseconds is not None \
            and milliseconds < 1000

    def has(self, number):
        """Does the replica have that row?"""
        return value(self.readers, "select count(*) from rows where id = %s", number) == 1

    def check_that_no_server_talks_to_another(self):
        """By PostgreSQL's own views: nobody comes from a network address, and nobody goes to one."""
        for instance in (self.orders, self.readers):
            with connect(instance) as connection:
                clients = connection.execute(
                    "select client_addr, client_port from pg_stat_activity "
                    "where backend_type in ('client backend', 'walsender')").fetchall()
                self.assertTrue(clients)
                self.assertEqual({address for address, _ in clients}, {None}, clients)
                self.assertEqual(
                    connection.execute("show listen_addresses").fetchone()[0], "")
        with connect(self.orders) as connection:
            senders = connection.execute(
                "select client_addr, state from pg_stat_replication "
                # An automated snapshot is copied by its own.
                "where application_name <> 'pg_basebackup'").fetchall()
        self.assertEqual(senders, [(None, "streaming")])
        with connect(self.readers) as connection:
            host, said = connection.execute(
                "select sender_host, conninfo from pg_stat_wal_receiver").fetchone()
        # A directory of the Region's own, where the link's stream listens: no server's own.
        self.assertTrue(host.startswith(f"{self.lab.data}/db/{IRELAND}/"), host)
        self.assertTrue(host.endswith(".up"), host)
        self.assertIn(host, said)
        self.assertNotIn("hostaddr", said)

    def test_a_replica_is_late_by_the_link_and_no_server_talks_to_another(self):
        self.assertEqual(self.readers["ReadReplicaSourceDBInstanceIdentifier"], SOURCE)
        arn = described(self.ireland, "readers")["DBInstanceArn"]
        eventually(lambda: described(self.virginia, "orders")[
            "ReadReplicaDBInstanceIdentifiers"] == [arn])
        self.assertEqual(value(self.readers, "select count(*) from rows"), 1001)
        with self.assertRaises(psycopg.errors.ReadOnlySqlTransaction):
            value(self.readers, "insert into rows values (1) returning id")
        eventually(self.streams)
        late = []
        with connect(self.orders) as source, connect(self.readers) as replica:
            for number in range(1, 31):
                # What is on its way to the replica may have left before the answer is here.
                begun = time.monotonic()
                source.execute("insert into rows values (%s)", [number])
                while not replica.execute(
                        "select 1 from rows where id = %s", [number]).fetchone():
                    self.assertLess(time.monotonic() - begun, 10)
                late.append(time.monotonic() - begun)
        late.sort()
        print(f"visible in {IRELAND} after {late[15] * 1000:.0f} ms at the median, "
              f"{late[-1] * 1000:.0f} ms at most")
        self.assertGreater(late[0], ONE_WAY * 0.9)
        row = self.lag()
        self.assertGreaterEqual(row["lag_milliseconds"], ONE_WAY * 1000 * 0.8)
        self.check_that_no_server_talks_to_another()
        self.check_that_the_link_metered_it()

    def check_that_the_link_metered_it(self):
        """The stream's bytes are among what crossed."""
        links = self.lab.json("status")["links"]
        crossed = [crossing for link in links if link["from"] == VIRGINIA
                   for crossing in link["crossings"] if crossing["lane"] == "stream"]
        self.assertGreater(sum(crossing["payload_bytes"] for crossing in crossed), 1_000_000)

    def test_a_cut_stops_the_stream_and_a_heal_brings_all_of_it(self):
        eventually(self.streams)
        self.lab.run("fault", "cut", VIRGINIA, IRELAND)
        with connect(self.orders) as connection:
            connection.execute("insert into rows select generate_series(1, 5000)")
        begun = self.lag()["lag_milliseconds"]
        time.sleep(3)
        row = self.lag()
        self.assertGreater(row["lag_milliseconds"], begun + 2000, row)
        self.assertFalse(self.has(5000))
        # Both go on: the source takes writes, the replica is read.
        self.assertEqual(value(self.readers, "select count(*) from rows"), 1001)
        self.lab.run("fault", "heal")
        eventually(lambda: self.has(5000), 30)
        eventually(self.streams, 30)
        self.assertEqual(value(self.readers, "select count(*) from rows"), 6001)

    def test_a_promotion_after_the_source_died_misses_only_what_was_under_way(self):
        eventually(self.streams)
        writer = Writer(self.orders, "rows")
        self.addCleanup(writer.stop)
        eventually(lambda: len(writer.acknowledged) > 300)
        self.lab.run("fault", "kill", VIRGINIA)
        killed = time.monotonic()
        writer.stop()
        eventually(self.is_promoted)
        eventually(self.takes_writes, 60)
        print(f"promoted in {time.monotonic() - killed:.1f} s after the kill")
        with connect(self.readers) as connection:
            kept = {row[0] for row in connection.execute("select id from rows where id > 0")}
        missing = set(writer.acknowledged) - kept - {0}
        # On the link was what its delay holds; a busy machine's sender may be late by more.
        span = ONE_WAY + 2
        last = max(writer.acknowledged.values())
        in_flight = sum(1 for at in writer.acknowledged.values() if at > last - span)
        print(f"{len(writer.acknowledged)} acknowledged, {len(missing)} missing, "
              f"{in_flight} at most were under way")
        self.assertLessEqual(len(missing), in_flight)
        # What is missing is the end of it, with no hole before.
        self.assertEqual(missing, {n for n in writer.acknowledged if n > max(kept, default=0)})
        eventually(lambda: "ReadReplicaSourceDBInstanceIdentifier"
                   not in described(self.ireland, "readers"))
        self.lab.run("fault", "heal")
        self.old_source_serves_alone()

    def is_promoted(self):
        """Is its promotion asked for? Not while its server can't be asked."""
        try:
            self.ireland.promote_read_replica(DBInstanceIdentifier="readers")
            return True
        except self.ireland.exceptions.InvalidDBInstanceStateFault:
            return False

    def takes_writes(self):
        """Is the replica a primary?"""
        try:
            with connect(self.readers) as connection:
                connection.execute("create table if not exists promoted (id int)")
            return True
        except psycopg.Error:
            return False

    def old_source_serves_alone(self):
        """The old source comes back for itself, and gives up the slot of who went its own way."""
        eventually(lambda: self.lab.run("status", check=False).returncode == 0, 60)
        orders = in_status(self.virginia, "orders")
        eventually(lambda: self.slots(orders) == 0, 60)
        self.assertEqual(described(self.virginia, "orders")["ReadReplicaDBInstanceIdentifiers"], [])

    def slots(self, instance):
        """How many slots it keeps for standbys; None: it isn't reached yet."""
        try:
            return value(instance, "select count(*) from pg_replication_slots"
                                   " where slot_name <> 'causeway_archive'")
        except psycopg.OperationalError:
            return None

    def test_a_replica_outlives_its_source_and_its_own_region_s_death(self):
        eventually(self.streams)
        # Its own Region dies and comes back: it goes on where it was.
        running = servers(self.lab.data)
        self.assertTrue(running)
        self.lab.run("fault", "kill", IRELAND)
        with connect(self.orders) as connection:
            connection.execute("insert into rows values (1)")
        self.lab.run("fault", "heal")
        eventually(lambda: self.lab.run("status", check=False).returncode == 0, 60)
        self.readers = in_status(self.ireland, "readers")
        eventually(lambda: self.reached() and self.has(1), 60)
        # The source is removed: what there was stays readable.
        self.virginia.delete_db_instance(DBInstanceIdentifier="orders", SkipFinalSnapshot=True)
        eventually(lambda: described(self.virginia, "orders") is None)
        self.assertTrue(self.has(1))
        self.ireland.delete_db_instance(DBInstanceIdentifier="readers", SkipFinalSnapshot=True)
        eventually(lambda: described(self.ireland, "readers") is None)
        eventually(lambda: servers(self.lab.data) == set(), 20)

    def reached(self):
        """Does the replica take a connection?"""
        try:
            return value(self.readers, "select 1") == 1
        except psycopg.OperationalError:
            return False


if __name__ == "__main__":
    unittest.main()
