"""A global cluster that is made of a cluster which is there and written to, by boto3 and psycopg."""

import unittest

from botocore.exceptions import ClientError
from databases import NOT_TESTED, PASSWORD, POSTGRES, in_status
from lab import Lab, eventually
from test_global_databases import Writer, answer, connect

VIRGINIA, IRELAND = "us-east-1", "eu-west-1"


@unittest.skipUnless(POSTGRES, NOT_TESTED)
class SourceClusters(unittest.TestCase):
    """One lab of two Regions and an edge; Virginia has a cluster with a reader, alone."""

    def setUp(self):
        self.lab = Lab("--regions", f"{VIRGINIA},{IRELAND}", "--edges", "1", "--delay-scale", "0")
        self.addCleanup(self.lab.close)
        self.rds = {region: self.lab.client(region, "rds") for region in [VIRGINIA, IRELAND]}
        self.add(VIRGINIA, "orders", "ab", MasterUsername="master", MasterUserPassword=PASSWORD,
                 DatabaseName="orders")

    def add(self, region, name, zones, **changes):
        """Makes a cluster with an instance in each of those zones, and waits for them."""
        client = self.rds[region]
        client.create_db_cluster(
            DBClusterIdentifier=name, Engine="aurora-postgresql", **changes)
        for zone in zones:
            client.create_db_instance(
                DBInstanceIdentifier=f"{name}-{zone}", DBClusterIdentifier=name,
                DBInstanceClass="db.r6g.large", Engine="aurora-postgresql",
                AvailabilityZone=f"{region}{zone}")
        for zone in zones:
            in_status(client, f"{name}-{zone}", seconds=120)

    def cluster(self, region, name):
        """What is described of a cluster."""
        client = self.rds[region]
        return client.describe_db_clusters(DBClusterIdentifier=name)["DBClusters"][0]

    def is_made(self, arn):
        """Makes the global cluster, once the council can decide."""
        try:
            return self.rds[VIRGINIA].create_global_cluster(
                GlobalClusterIdentifier="world", SourceDBClusterIdentifier=arn)["GlobalCluster"]
        except ClientError as error:
            self.assertEqual(error.response["Error"]["Code"], "Throttling")
            return None

    def count(self, address):
        """How many rows are there."""
        found = answer(address, "select count(*) from rows")
        return found[0][0] if found else None

    def switches(self, arn):
        """Has that member write; False: it isn't known to be in step yet."""
        client = self.rds[IRELAND]
        try:
            client.switchover_global_cluster(
                GlobalClusterIdentifier="world", TargetDbClusterIdentifier=arn)
        except client.exceptions.InvalidDBClusterStateFault:
            return False
        return True

    def test_a_cluster_that_is_written_to_becomes_the_writer_and_can_be_followed_and_moved(self):
        source = self.cluster(VIRGINIA, "orders")
        with connect(source["Endpoint"]) as connection:
            connection.execute("create table rows (id int primary key)")
            connection.execute("insert into rows select generate_series(-1000, -1)")
        writer = Writer(source["Endpoint"], 1)
        self.addCleanup(writer.stop)
        made = eventually(lambda: self.is_made(source["DBClusterArn"]))
        self.assertEqual((made["Engine"], made["DatabaseName"]), ("aurora-postgresql", "orders"))
        self.assertTrue(made["GlobalClusterMembers"][0]["IsWriter"])
        before = len(writer.acknowledged)
        eventually(lambda: len(writer.acknowledged) > before + 100)
        self.add(IRELAND, "copy", "a", GlobalClusterIdentifier="world")
        target = self.cluster(IRELAND, "copy")
        eventually(lambda: (self.count(target["ReaderEndpoint"]) or 0) > 1000)
        eventually(lambda: self.switches(target["DBClusterArn"]), 60)
        insert = ("insert into rows values (-2000) "
                  "on conflict (id) do update set id = excluded.id returning id")
        eventually(lambda: answer(target["Endpoint"], insert), 60)
        writer.stop()
        with connect(target["Endpoint"]) as connection:
            kept = {row[0] for row in connection.execute("select id from rows")}
        self.assertEqual(set(writer.acknowledged) - kept, set(), "a switchover loses nothing")
        print(f"{len(writer.acknowledged)} rows acknowledged, none missing")
        for name in ["orders-a", "orders-b"]:
            row = lambda: next(it for it in self.lab.json("databases", "list")["databases"]
                               if it["instance"] == name)
            eventually(lambda: row().get("replication") == "streaming", 60)
            address = row()["endpoint"].split(":")[0]
            eventually(lambda: self.count(address) == len(kept), 30)
        self.assertIsNone(answer(source["Endpoint"], insert))


if __name__ == "__main__":
    unittest.main()
