"""Clusters with more than one instance, by boto3 and psycopg: readers of a global cluster's members
take the reader endpoint's sessions in turn, die with their zones, and follow on whoever writes."""

import os
import pathlib
import re
import signal
import time
import unittest

import dns.message
import dns.query
import psycopg
from botocore.exceptions import ClientError
from databases import NOT_TESTED, PASSWORD, POSTGRES, in_status, servers
from lab import Lab, eventually
from test_global_databases import Writer, answer, connect

VIRGINIA, IRELAND = "us-east-1", "eu-west-1"
WORLD = "world"
NAMES = {VIRGINIA: "orders-us", IRELAND: "orders-eu"}


@unittest.skipUnless(POSTGRES, NOT_TESTED)
class Readers(unittest.TestCase):
    """One lab of two Regions and an edge; Virginia's cluster has two readers, Ireland's one."""

    def setUp(self):
        self.lab = Lab("--regions", f"{VIRGINIA},{IRELAND}", "--edges", "1", "--delay-scale", "0")
        self.addCleanup(self.lab.close)
        self.rds = {region: self.lab.client(region, "rds") for region in NAMES}
        eventually(self.makes_the_world)
        self.add(VIRGINIA, "abc", MasterUsername="master", MasterUserPassword=PASSWORD,
                 DatabaseName="orders")
        # Ireland knows of the writer once the council's word has crossed.
        in_status(self.rds[VIRGINIA], f"{NAMES[VIRGINIA]}-a", seconds=120)
        self.add(IRELAND, "ab")
        for region, zones in [(VIRGINIA, "abc"), (IRELAND, "ab")]:
            for zone in zones:
                in_status(self.rds[region], f"{NAMES[region]}-{zone}", seconds=120)

    def makes_the_world(self):
        """Makes the global cluster, once the council can decide."""
        try:
            self.rds[VIRGINIA].create_global_cluster(
                GlobalClusterIdentifier=WORLD, Engine="aurora-postgresql")
        except self.rds[VIRGINIA].exceptions.GlobalClusterAlreadyExistsFault:
            return True
        except ClientError:
            pass
        return False

    def add(self, region, zones, **changes):
        """Makes a member in that Region with an instance in each of those zones."""
        client, name = self.rds[region], NAMES[region]
        client.create_db_cluster(
            DBClusterIdentifier=name, Engine="aurora-postgresql", GlobalClusterIdentifier=WORLD,
            **changes)
        for zone in zones:
            client.create_db_instance(
                DBInstanceIdentifier=f"{name}-{zone}", DBClusterIdentifier=name,
                DBInstanceClass="db.r6g.large", Engine="aurora-postgresql",
                AvailabilityZone=f"{region}{zone}")

    def cluster(self, region):
        """What is described of the member in that Region."""
        client = self.rds[region]
        return client.describe_db_clusters(DBClusterIdentifier=NAMES[region])["DBClusters"][0]

    def rows(self):
        """What `causeway databases list` says, by instance."""
        return {row["instance"]: row for row in self.lab.json("databases", "list")["databases"]}

    def sessions(self, *names):
        """How many sessions lead to each of those instances."""
        rows = self.rows()
        return [rows[name].get("connections") for name in names]

    def address(self, name):
        """An instance's own endpoint."""
        return self.rows()[name]["endpoint"].split(":")[0]

    def has(self, address, number):
        """Is that row there?"""
        return answer(address, f"select id from rows where id = {number}") == [(number,)]

    def test_readers_take_sessions_in_turn_die_with_their_zone_and_follow_whoever_writes(self):
        head, second, third = (f"{NAMES[VIRGINIA]}-{zone}" for zone in "abc")
        cluster = self.cluster(VIRGINIA)
        members = {it["DBInstanceIdentifier"]: it["IsClusterWriter"]
                   for it in cluster["DBClusterMembers"]}
        self.assertEqual(members, {head: True, second: False, third: False})
        with connect(cluster["Endpoint"]) as connection:
            connection.execute("create table rows (id int primary key)")
            connection.execute("insert into rows values (1)")
        reader = cluster["ReaderEndpoint"]
        eventually(lambda: self.has(reader, 1))
        self.spreads(reader, head, second, third)
        self.has_custom_endpoints(head, second, third)
        self.survives_a_zone(reader, head, second, third)
        self.follows_a_switchover()
        self.has_another_head()
        self.follows_a_failover()

    def spreads(self, reader, head, second, third):
        """Sessions go to both readers alike, and not to the head."""
        begun = time.monotonic()
        connections = [connect(reader) for _ in range(6)]
        print(f"6 sessions in {time.monotonic() - begun:.2f} s")
        for connection in connections:
            with self.assertRaises(psycopg.errors.ReadOnlySqlTransaction):
                connection.execute("insert into rows values (2)")
        eventually(lambda: self.sessions(head, second, third) == [0, 3, 3], 10)
        for connection in connections:
            connection.close()
        eventually(lambda: self.sessions(head, second, third) == [0, 0, 0], 10)

    def has_custom_endpoints(self, head, second, third):
        """One of them leads to the instances that it lists, or not to those that it leaves out."""
        client = self.rds[VIRGINIA]
        made = client.create_db_cluster_endpoint(
            DBClusterIdentifier=NAMES[VIRGINIA], DBClusterEndpointIdentifier="reports",
            EndpointType="READER", StaticMembers=[third])
        wanted = [({}, [0, 0, 3]), ({"ExcludedMembers": [third]}, [0, 3, 0]),
                  ({"EndpointType": "ANY", "StaticMembers": [head]}, [3, 0, 0])]
        for change, sessions in wanted:
            if change:
                client.modify_db_cluster_endpoint(
                    DBClusterEndpointIdentifier="reports", **change)
            connections = [
                eventually(lambda: self.connected(made["Endpoint"]), 10) for _ in range(3)]
            eventually(lambda: self.sessions(head, second, third) == sessions, 10)
            for connection in connections:
                connection.close()
            eventually(lambda: self.sessions(head, second, third) == [0, 0, 0], 10)
        client.delete_db_cluster_endpoint(DBClusterEndpointIdentifier="reports")
        eventually(lambda: self.connected(made["Endpoint"]) is None, 20)

    def connected(self, address):
        """A connection there; None: nobody takes it."""
        try:
            return connect(address)
        except psycopg.OperationalError:
            return None

    def global_writer(self):
        """Where the global writer endpoint's name leads, as an edge answers it."""
        found = self.rds[IRELAND].describe_global_clusters(GlobalClusterIdentifier=WORLD)
        name = found["GlobalClusters"][0]["Endpoint"]
        message = dns.message.make_query(name, "A")
        answered = dns.query.udp(message, "127.0.0.1", port=self.lab.dns_port, timeout=5)
        return [item.address for records in answered.answer for item in records]

    def survives_a_zone(self, reader, head, second, third):
        """Without one reader the other takes all, without either the head does; each comes back."""
        for dies, zones, takes in [((second,), "b", third), ((second, third), "bc", head)]:
            for zone in zones:
                self.lab.run("fault", "kill", f"{VIRGINIA}/{VIRGINIA}{zone}")
            eventually(lambda: all(self.rows()[name].get("role") is None for name in dies), 20)
            connections = [connect(reader) for _ in range(2)]
            eventually(lambda: self.sessions(takes) == [2], 10)
            for connection in connections:
                connection.close()
            self.lab.run("fault", "heal")
            for name in dies:
                eventually(lambda: self.rows()[name].get("replication") == "streaming", 60)

    def follows_a_switchover(self):
        """Every instance of both clusters has what the new writer wrote, and no other takes it."""
        begun = time.monotonic()
        target = self.cluster(IRELAND)
        eventually(lambda: self.global_writer() == [self.cluster(VIRGINIA)["Endpoint"]], 10)
        self.rds[IRELAND].switchover_global_cluster(
            GlobalClusterIdentifier=WORLD, TargetDbClusterIdentifier=target["DBClusterArn"])
        inserted = ("insert into rows values (3) "
                    "on conflict (id) do update set id = excluded.id returning id")
        eventually(lambda: answer(target["Endpoint"], inserted), 60)
        print(f"switched over with readers in {time.monotonic() - begun:.2f} s")
        eventually(lambda: self.global_writer() == [target["Endpoint"]], 10)
        for name in sorted(self.rows()):
            address = self.address(name)
            eventually(lambda: self.has(address, 3), 60)
        print(f"all five have it after {time.monotonic() - begun:.2f} s")
        eventually(lambda: all(
            row.get("replication") == "streaming" for name, row in self.rows().items()
            if name != f"{NAMES[IRELAND]}-a"), 60)

    def has_another_head(self):
        """A reader of the cluster that only follows takes its head's role: nobody's writes end."""
        head, second, third = (f"{NAMES[VIRGINIA]}-{zone}" for zone in "abc")
        begun = time.monotonic()
        eventually(lambda: self.hands_over(second), 60)
        with self.assertRaises(ClientError):
            self.rds[IRELAND].failover_db_cluster(DBClusterIdentifier=NAMES[IRELAND])
        eventually(lambda: self.cluster(VIRGINIA)["Status"] == "available", 60)
        members = self.cluster(VIRGINIA)["DBClusterMembers"]
        members = [it["DBInstanceIdentifier"] for it in members]
        self.assertEqual(members, [second, head, third])
        with connect(self.cluster(IRELAND)["Endpoint"]) as connection:
            connection.execute("insert into rows values (5)")
        for name in members:
            eventually(lambda: self.has(self.address(name), 5), 60)
        print(f"another head of a secondary: all have a row in {time.monotonic() - begun:.2f} s")
        eventually(lambda: all(
            self.rows()[name].get("replication") == "streaming" for name in members), 60)

    def hands_over(self, name):
        """Asks for another head; False: it doesn't follow the new writer yet."""
        client = self.rds[VIRGINIA]
        try:
            client.failover_db_cluster(
                DBClusterIdentifier=NAMES[VIRGINIA], TargetDBInstanceIdentifier=name)
        except client.exceptions.InvalidDBClusterStateFault:
            return False
        return True

    def follows_a_failover(self):
        """The writer's Region dies, with its readers; back again, all of them follow the new one."""
        target = self.cluster(VIRGINIA)
        self.lab.run("fault", "kill", IRELAND)
        begun = time.monotonic()
        eventually(lambda: self.fails_over(target["DBClusterArn"]), 30)
        inserted = "insert into rows values (4) returning id"
        eventually(lambda: answer(target["Endpoint"], inserted), 60)
        print(f"failed over with readers in {time.monotonic() - begun:.2f} s")
        for zone in "abc":
            eventually(lambda: self.has(self.address(f"{NAMES[VIRGINIA]}-{zone}"), 4), 60)
        self.lab.run("fault", "heal")
        for zone in "ab":
            name = f"{NAMES[IRELAND]}-{zone}"
            eventually(lambda: self.rows().get(name, {}).get("replication") == "streaming", 90)
            eventually(lambda: self.has(self.address(name), 4), 60)
        print(f"all follow after {time.monotonic() - begun:.2f} s")

    def fails_over(self, arn):
        """Asks for the failover, until there is a majority to decide."""
        try:
            self.rds[VIRGINIA].failover_global_cluster(
                GlobalClusterIdentifier=WORLD, TargetDbClusterIdentifier=arn, AllowDataLoss=True)
        except ClientError:
            return False
        return True


@unittest.skipUnless(POSTGRES, NOT_TESTED)
class Handover(unittest.TestCase):
    """One Region: a reader takes over from the head of its cluster while rows are written, when it
    is asked to and when the head's zone dies."""

    def setUp(self):
        self.lab = Lab("--delay-scale", "0", "--regions", VIRGINIA)
        self.addCleanup(self.lab.close)
        self.rds = self.lab.client(VIRGINIA, "rds")
        self.rds.create_db_cluster(
            DBClusterIdentifier="orders", Engine="aurora-postgresql", DatabaseName="orders",
            MasterUsername="master", MasterUserPassword=PASSWORD)
        for zone in "ab":
            self.rds.create_db_instance(
                DBInstanceIdentifier=f"orders-{zone}", DBClusterIdentifier="orders",
                DBInstanceClass="db.r6g.large", Engine="aurora-postgresql",
                AvailabilityZone=f"{VIRGINIA}{zone}")
        for zone in "ab":
            in_status(self.rds, f"orders-{zone}", seconds=120)

    def cluster(self):
        """What is described of it."""
        return self.rds.describe_db_clusters(DBClusterIdentifier="orders")["DBClusters"][0]

    def row(self, name):
        """What `causeway databases list` says of an instance."""
        rows = self.lab.json("databases", "list")["databases"]
        return next(row for row in rows if row["instance"] == name)

    def test_a_reader_takes_over_with_every_row_and_back_and_from_a_dead_head(self):
        writer = self.cluster()["Endpoint"]
        with connect(writer) as connection:
            connection.execute("create table rows (id int primary key)")
        rows = Writer(writer, 0)
        self.addCleanup(rows.stop)
        for takes, was in [("orders-b", "orders-a"), ("orders-a", "orders-b")]:
            eventually(lambda: self.row(takes).get("replication") == "streaming", 60)
            before = len(rows.acknowledged)
            eventually(lambda: len(rows.acknowledged) > before + 100)
            begun = time.monotonic()
            self.rds.failover_db_cluster(DBClusterIdentifier="orders")
            eventually(lambda: self.cluster()["Status"] == "available", 60)
            last = time.monotonic()
            eventually(lambda: max(rows.acknowledged.values()) > last, 30)
            gap = min(at for at in list(rows.acknowledged.values()) if at > last) - begun
            print(f"handed over to {takes} in {gap:.2f} s")
            members = {it["DBInstanceIdentifier"]: it["IsClusterWriter"]
                       for it in self.cluster()["DBClusterMembers"]}
            self.assertEqual(members, {takes: True, was: False})
            eventually(lambda: self.row(was).get("replication") == "streaming", 60)
        for address in (writer, self.cluster()["ReaderEndpoint"]):
            acknowledged = set(rows.acknowledged)
            eventually(lambda: acknowledged <= self.kept(address), 30)
        self.assertEqual(self.lab.json("databases", "lost")["lost"], [])
        self.is_succeeded_when_its_zone_dies(rows, writer)

    def kept(self, address):
        """The rows that are there."""
        return {row[0] for row in answer(address, "select id from rows") or []}

    def is_succeeded_when_its_zone_dies(self, rows, writer):
        """The head's zone dies: the reader takes over unasked, and what it lacked is listed."""
        # What it sends stands still: by itself a reader lacks next to nothing.
        for number in servers(self.lab.data):
            try:
                if b"walsender" in pathlib.Path(f"/proc/{number}/cmdline").read_bytes():
                    os.kill(number, signal.SIGSTOP)
            except (FileNotFoundError, ProcessLookupError):
                continue  # Somebody's session, which has ended.
        before = len(rows.acknowledged)
        eventually(lambda: len(rows.acknowledged) > before + 20)
        self.lab.run("fault", "kill", f"{VIRGINIA}/{VIRGINIA}a")
        begun = time.monotonic()
        eventually(lambda: self.members() == ["orders-b", "orders-a"], 60)
        taken = time.monotonic()
        eventually(lambda: max(rows.acknowledged.values()) > taken, 60)
        gap = min(at for at in list(rows.acknowledged.values()) if at > taken) - begun
        print(f"a reader took over from a dead head in {gap:.2f} s")
        told = self.rds.describe_events(SourceType="db-cluster", Duration=60)["Events"]
        messages = [event["Message"] for event in told]
        self.assertIn("Started cross AZ failover to DB instance: orders-b", messages)
        self.assertEqual(messages[-1], "Completed failover to DB instance: orders-b")
        self.lab.run("fault", "heal")
        eventually(lambda: self.row("orders-a").get("replication") == "streaming", 90)
        rows.stop()
        lost = set(rows.acknowledged) - self.kept(writer)
        sql = self.lab.run("databases", "lost", "--sql").stdout
        listed = {int(number) for number in re.findall(r" VALUES \('(\d+)'\)", sql)}
        print(f"{len(lost)} acknowledged rows lost, {len(listed)} listed")
        self.assertGreater(len(lost), 10, "nothing was in the way of the reader")
        self.assertEqual(lost - listed, set(), "lost, and named nowhere")
        eventually(lambda: self.kept(self.cluster()["ReaderEndpoint"]) == self.kept(writer), 30)

    def members(self):
        """Its instances, the head first."""
        return [it["DBInstanceIdentifier"] for it in self.cluster()["DBClusterMembers"]]


if __name__ == "__main__":
    unittest.main()
