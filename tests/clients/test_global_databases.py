"""Global clusters by boto3 and psycopg: one writer in one Region and its copy in another. A
switchover loses nothing; a failover after a Region's death, asked for or not, loses what its list
says and nothing else; what was the writer comes back as a reader. Every acknowledged row is counted by its id."""

import threading
import time
import unittest

import psycopg
from botocore.exceptions import ClientError
from databases import NOT_TESTED, PASSWORD, POSTGRES, described, in_status, servers
from lab import Lab, eventually

VIRGINIA, IRELAND = "us-east-1", "eu-west-1"
WORLD = "world"
NAMES = {VIRGINIA: "orders-us", IRELAND: "orders-eu"}


def arn(region):
    """The ARN of the member in that Region."""
    return f"arn:aws:rds:{region}:111122223333:cluster:{NAMES[region]}"


def connect(address, **changes):
    """A connection of the master user to a cluster's endpoint."""
    wanted = {
        "host": address, "port": 5432, "dbname": "orders", "user": "master",
        "password": PASSWORD, "connect_timeout": 5, "autocommit": True, **changes,
    }
    return psycopg.connect(**wanted)


def answer(address, statement):
    """All rows that a statement gives; None: the endpoint doesn't answer it now."""
    try:
        with connect(address) as connection:
            return connection.execute(statement).fetchall()
    except psycopg.Error:
        return None


class Writer(threading.Thread):
    """Inserts numbered rows, one transaction each, through one endpoint, and keeps which were
    acknowledged and when; when its session ends it opens another one."""

    def __init__(self, address, first, every=0.005):
        super().__init__(daemon=True)
        self.address, self.number, self.every = address, first, every
        self.acknowledged, self.unknown, self.stopped = {}, set(), threading.Event()
        self.start()

    def run(self):
        while not self.stopped.is_set():
            try:
                with connect(self.address, connect_timeout=2) as connection:
                    self.write(connection)
            except psycopg.Error:
                time.sleep(0.02)

    def write(self, connection):
        """Until the session ends or nothing is to be written any more."""
        while not self.stopped.is_set():
            self.number += 1
            try:
                connection.execute("insert into rows values (%s)", [self.number])
            except psycopg.Error:
                # It may have been made, and its acknowledgement lost.
                self.unknown.add(self.number)
                raise
            self.acknowledged[self.number] = time.monotonic()
            time.sleep(self.every)

    def stop(self):
        """Ends it."""
        self.stopped.set()
        self.join(30)


@unittest.skipUnless(POSTGRES, NOT_TESTED)
class GlobalClusters(unittest.TestCase):
    """One lab of two Regions as far apart as they are, and an edge: whichever Region dies, the
    other and the edge are a majority."""

    def setUp(self):
        self.lab = Lab("--regions", f"{VIRGINIA},{IRELAND}", "--edges", "1")
        self.addCleanup(self.lab.close)
        self.rds = {region: self.lab.client(region, "rds") for region in NAMES}
        eventually(self.makes_the_world)
        self.add(VIRGINIA, MasterUsername="master", MasterUserPassword=PASSWORD,
                 DatabaseName="orders")
        with connect(self.writer(VIRGINIA)) as connection:
            connection.execute("create table rows (id int primary key)")
            connection.execute("insert into rows select generate_series(-1000, 0)")
        self.add(IRELAND)
        eventually(lambda: self.is_in_step(IRELAND), 60)

    def makes_the_world(self):
        """Makes the global cluster, once the council can decide."""
        try:
            self.rds[VIRGINIA].create_global_cluster(
                GlobalClusterIdentifier=WORLD, Engine="aurora-postgresql")
        except self.rds[VIRGINIA].exceptions.GlobalClusterAlreadyExistsFault:
            return True
        except ClientError as error:
            self.assertGreaterEqual(error.response["ResponseMetadata"]["HTTPStatusCode"], 400)
        return False

    def add(self, region, **changes):
        """Makes a member in that Region, with its instance."""
        client, name = self.rds[region], NAMES[region]
        client.create_db_cluster(
            DBClusterIdentifier=name, Engine="aurora-postgresql", GlobalClusterIdentifier=WORLD,
            **changes)
        client.create_db_instance(
            DBInstanceIdentifier=f"{name}-1", DBClusterIdentifier=name,
            DBInstanceClass="db.r6g.large", Engine="aurora-postgresql")
        in_status(client, f"{name}-1", seconds=120)

    def cluster(self, region):
        """What is described of the member in that Region."""
        client = self.rds[region]
        return client.describe_db_clusters(DBClusterIdentifier=NAMES[region])["DBClusters"][0]

    def writer(self, region):
        """The writer endpoint of that Region's cluster."""
        return self.cluster(region)["Endpoint"]

    def reader(self, region):
        """The reader endpoint of that Region's cluster."""
        return self.cluster(region)["ReaderEndpoint"]

    def world(self, asked=IRELAND):
        """What is described of the global cluster."""
        client = self.rds[asked]
        found = client.describe_global_clusters(GlobalClusterIdentifier=WORLD)
        return found["GlobalClusters"][0]

    def row(self, region):
        """What `causeway databases list` says of the instance there."""
        rows = self.lab.json("databases", "list")["databases"]
        return next((row for row in rows if row["instance"] == f"{NAMES[region]}-1"), {})

    def is_in_step(self, region):
        """Does the member there follow the writer?"""
        row = self.row(region)
        late = row.get("lag_milliseconds")
        return row.get("replication") == "streaming" and late is not None and late < 1000

    def is_writer(self, region, asked=IRELAND):
        """Is that member the writer, and nothing under way?"""
        world = self.world(asked)
        writers = [it["DBClusterArn"] for it in world["GlobalClusterMembers"] if it["IsWriter"]]
        return writers == [arn(region)] and not world.get("FailoverState")

    def takes_writes(self, address, number):
        """Does a row go in there?"""
        inserted = f"insert into rows values ({number}) on conflict do nothing returning id"
        return answer(address, inserted) is not None

    def kept(self, address):
        """The ids of all rows, as they are there."""
        with connect(address) as connection:
            return {row[0] for row in connection.execute("select id from rows")}

    def test_a_switchover_loses_nothing_and_can_be_switched_back(self):
        addresses = {region: self.writer(region) for region in NAMES}
        number, acknowledged = 0, set()
        for old, new in [(VIRGINIA, IRELAND), (IRELAND, VIRGINIA)]:
            writers = [Writer(addresses[old], number + 1)]
            self.addCleanup(writers[0].stop)
            eventually(lambda: len(writers[0].acknowledged) > 200)
            begun = time.monotonic()
            writers.append(Writer(addresses[new], number + 1_000_000))
            self.addCleanup(writers[1].stop)
            self.rds[VIRGINIA].switchover_global_cluster(
                GlobalClusterIdentifier=WORLD, TargetDbClusterIdentifier=arn(new))
            eventually(lambda: writers[1].acknowledged, 60)
            eventually(lambda: self.is_writer(new), 30)
            # Whatever the old one acknowledged while the new one served would be seen by now.
            for writer in writers:
                writer.stop()
                acknowledged |= set(writer.acknowledged)
            first = min(writers[1].acknowledged.values())
            last = max(writers[0].acknowledged.values())
            self.assertGreater(first, last, "two writers were reached at once")
            print(f"switched over to {new}: {first - begun:.2f} s to the first write there, "
                  f"{first - last:.2f} s without a writer")
            self.assertFalse(self.takes_writes(addresses[old], -5000))
            eventually(lambda: self.is_in_step(old), 60)
            number += 10_000_000
            missing = acknowledged - self.kept(addresses[new])
            self.assertEqual(missing, set(), "a switchover loses nothing")
            eventually(lambda: self.kept(self.reader(old)) >= acknowledged, 30)
        self.assertEqual(self.lab.json("databases", "lost")["lost"], [])

    def test_a_failover_loses_what_its_list_says_and_the_old_writer_comes_back_as_a_reader(self):
        addresses = {region: self.writer(region) for region in NAMES}
        readers = {region: self.reader(region) for region in NAMES}
        writer = Writer(addresses[VIRGINIA], 1)
        self.addCleanup(writer.stop)
        eventually(lambda: len(writer.acknowledged) > 300)
        self.lab.run("fault", "kill", VIRGINIA)
        killed = time.monotonic()
        other = Writer(addresses[IRELAND], 1_000_000)
        self.addCleanup(other.stop)
        writer.stop()
        # As an operator does who must notice it first: the lease is waited out by then.
        time.sleep(4)
        eventually(self.fails_over, 30)
        asked = time.monotonic()
        eventually(lambda: other.acknowledged, 60)
        served = min(other.acknowledged.values())
        print(f"failed over: {served - asked:.2f} s from the call to the first write, "
              f"{served - killed:.2f} s from the kill")
        eventually(lambda: self.is_writer(IRELAND))
        lost = set(writer.acknowledged) - self.kept(addresses[IRELAND])
        self.check_that_the_list_may_be_short()
        self.lab.run("fault", "heal")
        refused = self.watch_the_return(addresses[VIRGINIA])
        eventually(lambda: self.is_in_step(VIRGINIA), 120)
        other.stop()
        self.assertEqual(refused(), [], "the old writer took a write after its return")
        self.check_the_list(lost, writer.unknown)
        eventually(lambda: self.kept(readers[VIRGINIA]) >= set(other.acknowledged), 30)
        self.assertFalse(self.kept(readers[VIRGINIA]) & lost)
        # Back to where it was, with nothing lost.
        before = self.kept(addresses[IRELAND])
        self.rds[IRELAND].switchover_global_cluster(
            GlobalClusterIdentifier=WORLD, TargetDbClusterIdentifier=arn(VIRGINIA))
        eventually(lambda: self.is_writer(VIRGINIA), 60)
        eventually(lambda: self.takes_writes(addresses[VIRGINIA], -9000), 30)
        self.assertEqual(before - self.kept(addresses[VIRGINIA]), set())

    def fails_over(self):
        """Asks for the failover in the Region that lives, until there is a majority to decide."""
        try:
            self.rds[IRELAND].failover_global_cluster(
                GlobalClusterIdentifier=WORLD, TargetDbClusterIdentifier=arn(IRELAND),
                AllowDataLoss=True)
        except ClientError as error:
            print(f"not yet: {error}")
            return False
        return True

    def watch_the_return(self, address):
        """Tries to write through the old writer's endpoint all the while; returns what says which
        rows it took."""
        returned = Writer(address, 2_000_000, every=0.02)
        self.addCleanup(returned.stop)

        def stop():
            returned.stop()
            return sorted(returned.acknowledged)

        return stop

    def test_a_silent_writer_is_failed_over_unasked_and_each_region_tells_of_it(self):
        world = f"arn:aws:rds::111122223333:global-cluster:{WORLD}"
        tag = {"Key": "causeway:failover-after", "Value": "5s"}
        with self.assertRaises(ClientError) as refused:
            self.rds[IRELAND].add_tags_to_resource(
                ResourceName=world, Tags=[{**tag, "Value": "1s"}])
        self.assertEqual(refused.exception.response["Error"]["Code"], "InvalidParameterValue")
        self.rds[IRELAND].add_tags_to_resource(ResourceName=world, Tags=[tag])
        client = self.rds[VIRGINIA]
        eventually(lambda: tag in client.list_tags_for_resource(ResourceName=world)["TagList"])
        addresses = {region: self.writer(region) for region in NAMES}
        writer = Writer(addresses[VIRGINIA], 1)
        self.addCleanup(writer.stop)
        # Longer than the span: a writer that renews its lease stays.
        begun = time.monotonic()
        eventually(lambda: time.monotonic() > begun + 7 and len(writer.acknowledged) > 100, 60)
        self.assertTrue(self.is_writer(VIRGINIA))
        other = Writer(addresses[IRELAND], 1_000_000)
        self.addCleanup(other.stop)
        self.lab.run("fault", "kill", VIRGINIA)
        killed = time.monotonic()
        writer.stop()
        eventually(lambda: other.acknowledged, 60)
        served = min(other.acknowledged.values())
        print(f"failed over unasked: {served - killed:.2f} s from the kill to the first write")
        eventually(lambda: self.is_writer(IRELAND))
        self.assertIn("was decided by that Region", self.lab.run("databases", "plan").stdout)
        lost = set(writer.acknowledged) - self.kept(addresses[IRELAND])
        self.lab.run("fault", "heal")
        eventually(lambda: self.is_in_step(VIRGINIA), 120)
        other.stop()
        self.check_the_list(lost, writer.unknown)
        eventually(lambda: all(len(self.decisions(region)) == 1 for region in NAMES), 20)
        print(self.decisions(VIRGINIA)[0])

    def decisions(self, region):
        """What that Region's events tell of failovers that nobody asked for."""
        told = self.rds[region].describe_events(SourceType="db-cluster", Duration=60)["Events"]
        return [it["Message"] for it in told if "was decided by that Region" in it["Message"]]

    def check_that_the_list_may_be_short(self):
        """While the old writer's Region is dead the list says that it isn't all."""
        listed = self.lab.run("databases", "lost")
        self.assertIn(f"{VIRGINIA} did not answer", listed.stderr)
        self.assertIn("no Region that answered", listed.stdout)
        rows = self.lab.run("databases", "lost", "--sql", check=False)
        self.assertEqual((rows.returncode, rows.stdout), (1, ""), rows.stderr)
        self.assertIn(f"{VIRGINIA} did not answer", rows.stderr)

    def check_the_list(self, lost, unknown):
        """The list of lost transactions has every acknowledged row that is missing, by its id, and
        nothing beside what was never acknowledged."""
        told = self.lab.json("databases", "lost")["lost"]
        self.assertEqual(len(told), 1, told)
        inserted = sum(
            table["inserted"] for transaction in told[0]["transactions"]
            for table in transaction["tables"] if table["table"].endswith("rows"))
        sql = self.lab.run("databases", "lost", "--sql").stdout
        print(f"{len(lost)} acknowledged rows lost, {inserted} in the list")
        self.assertGreaterEqual(inserted, len(lost))
        self.assertLessEqual(inserted, len(lost) + len(unknown))
        for number in lost:
            self.assertIn(f" VALUES ('{number}')", sql)

    def test_without_the_right_to_lose_data_a_failover_is_a_switchover(self):
        client = self.rds[IRELAND]
        with self.assertRaises(ClientError) as refused:
            client.failover_global_cluster(
                GlobalClusterIdentifier=WORLD, TargetDbClusterIdentifier=arn(IRELAND),
                AllowDataLoss=True, Switchover=True)
        self.assertIn("InvalidParameter", refused.exception.response["Error"]["Code"])
        client.failover_global_cluster(
            GlobalClusterIdentifier=WORLD, TargetDbClusterIdentifier=arn(IRELAND))
        eventually(lambda: self.is_writer(IRELAND), 60)
        eventually(lambda: self.takes_writes(self.writer(IRELAND), 7), 30)
        # What is in Virginia follows; a member that is removed from the world is its own.
        eventually(lambda: self.is_in_step(VIRGINIA), 60)
        client.remove_from_global_cluster(
            GlobalClusterIdentifier=WORLD, DbClusterIdentifier=arn(VIRGINIA))
        eventually(lambda: self.takes_writes(self.writer(VIRGINIA), 8), 60)
        self.assertTrue(self.takes_writes(self.writer(IRELAND), 9))
        self.assertNotIn(9, self.kept(self.writer(VIRGINIA)))

    def test_a_writer_that_hears_no_majority_serves_nobody_until_it_does(self):
        address = self.writer(VIRGINIA)
        writer = Writer(address, 1)
        self.addCleanup(writer.stop)
        eventually(lambda: len(writer.acknowledged) > 50)
        for other in (IRELAND, "edge-1"):
            self.lab.run("fault", "cut", VIRGINIA, other)
        cut = time.monotonic()
        eventually(lambda: not self.takes_writes(address, -7000), 15)
        print(f"a writer that is cut off serves nobody after {time.monotonic() - cut:.2f} s")
        time.sleep(1)
        self.assertFalse(self.takes_writes(address, -7001))
        self.lab.run("fault", "heal")
        eventually(lambda: self.takes_writes(address, -7002), 30)
        writer.stop()
        self.assertEqual(set(writer.acknowledged) - self.kept(address), set())

    def test_what_is_made_is_taken_away_and_nothing_is_left(self):
        for region in (IRELAND, VIRGINIA):
            client, name = self.rds[region], NAMES[region]
            client.delete_db_instance(DBInstanceIdentifier=f"{name}-1", SkipFinalSnapshot=True)
            eventually(lambda: described(client, f"{name}-1") is None, 60)
            if region == IRELAND:
                client.remove_from_global_cluster(
                    GlobalClusterIdentifier=WORLD, DbClusterIdentifier=arn(region))
        for region in (IRELAND, VIRGINIA):
            if region == VIRGINIA:
                self.rds[region].remove_from_global_cluster(
                    GlobalClusterIdentifier=WORLD, DbClusterIdentifier=arn(region))
            self.rds[region].delete_db_cluster(
                DBClusterIdentifier=NAMES[region], SkipFinalSnapshot=True)
        self.rds[VIRGINIA].delete_global_cluster(GlobalClusterIdentifier=WORLD)
        # The other Region hears of it when the council's word has crossed.
        eventually(self.is_gone)
        eventually(lambda: servers(self.lab.data) == set(), 20)

    def is_gone(self):
        """Does the other Region know of no such global cluster any more?"""
        try:
            self.world()
        except self.rds[IRELAND].exceptions.GlobalClusterNotFoundFault:
            return True
        return False


if __name__ == "__main__":
    unittest.main()
