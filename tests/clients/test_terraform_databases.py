"""Terraform makes a global cluster with a member in each of two Regions, and an instance with a
replica in the other Region, finds nothing to change, also after a switchover, changes what may be
changed, and removes it all."""

import json
import unittest

import psycopg
from databases import NOT_TESTED, PASSWORD, POSTGRES, servers
from lab import eventually
from terraform import IRELAND, VIRGINIA, Terraform

DATABASES = """
provider "aws" {
  alias                       = "ireland"
  region                      = "eu-west-1"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
}

data "aws_vpc" "default" { default = true }

data "aws_subnets" "all" {
  filter {
    name   = "vpc-id"
    values = [data.aws_vpc.default.id]
  }
}

resource "aws_db_subnet_group" "orders" {
  name       = "orders"
  subnet_ids = data.aws_subnets.all.ids
}

resource "aws_db_parameter_group" "orders" {
  name   = "orders"
  family = "postgres15"
  parameter {
    name  = "log_min_duration_statement"
    value = "%(slow)s"
  }
}

resource "aws_db_instance" "orders" {
  identifier              = "orders"
  engine                  = "postgres"
  instance_class          = "%(class)s"
  allocated_storage       = 20
  db_name                 = "orders"
  username                = "master"
  password                = %(password)s
  parameter_group_name    = aws_db_parameter_group.orders.name
  db_subnet_group_name    = aws_db_subnet_group.orders.name
  backup_retention_period = 1
  apply_immediately       = true
  skip_final_snapshot     = true
  tags                    = { owner = "%(owner)s" }
}

resource "aws_db_instance" "readers" {
  provider            = aws.ireland
  identifier          = "readers"
  replicate_source_db = aws_db_instance.orders.arn
  instance_class      = "db.t3.micro"
  apply_immediately   = true
  skip_final_snapshot = true
}

resource "aws_db_snapshot" "then" {
  db_instance_identifier = aws_db_instance.orders.identifier
  db_snapshot_identifier = "then"
  tags                   = { owner = "%(owner)s" }
}

resource "aws_rds_global_cluster" "world" {
  global_cluster_identifier = "world"
  engine                    = "aurora-postgresql"
  database_name             = "orders"
}

resource "aws_rds_cluster" "virginia" {
  cluster_identifier        = "orders-us"
  engine                    = aws_rds_global_cluster.world.engine
  engine_version            = aws_rds_global_cluster.world.engine_version
  global_cluster_identifier = aws_rds_global_cluster.world.id
  database_name             = "orders"
  master_username           = "master"
  master_password           = %(password)s
  backup_retention_period   = %(retention)d
  apply_immediately         = true
  skip_final_snapshot       = true
  tags                      = { owner = "%(owner)s" }
}

resource "aws_rds_cluster_instance" "virginia" {
  identifier         = "orders-us-1"
  cluster_identifier = aws_rds_cluster.virginia.id
  engine             = aws_rds_cluster.virginia.engine
  engine_version     = aws_rds_cluster.virginia.engine_version
  instance_class     = "db.r6g.large"
  apply_immediately  = true
}

resource "aws_rds_cluster" "ireland" {
  provider                  = aws.ireland
  cluster_identifier        = "orders-eu"
  engine                    = aws_rds_global_cluster.world.engine
  engine_version            = aws_rds_global_cluster.world.engine_version
  global_cluster_identifier = aws_rds_global_cluster.world.id
  apply_immediately         = true
  skip_final_snapshot       = true
  depends_on                = [aws_rds_cluster_instance.virginia]
}

resource "aws_rds_cluster_instance" "ireland" {
  provider           = aws.ireland
  identifier         = "orders-eu-1"
  cluster_identifier = aws_rds_cluster.ireland.id
  engine             = aws_rds_cluster.ireland.engine
  engine_version     = aws_rds_cluster.ireland.engine_version
  instance_class     = "db.r6g.large"
  apply_immediately  = true
}

output "source" { value = aws_db_instance.orders.address }

output "replica" { value = aws_db_instance.readers.address }

output "writer" { value = aws_rds_cluster.virginia.endpoint }

output "reader" { value = aws_rds_cluster.ireland.reader_endpoint }

output "other" { value = aws_rds_cluster.ireland.endpoint }
"""

FIRST = {"slow": 1000, "class": "db.t3.micro", "owner": "tests", "retention": 1}
SECOND = {"slow": 2000, "class": "db.t3.small", "owner": "operators", "retention": 2}


def quoted(text):
    """As a string of Terraform's language, which has marks of its own."""
    return json.dumps(text).replace("${", "$${").replace("%{", "%%{")


@unittest.skipUnless(POSTGRES, NOT_TESTED)
class Databases(Terraform, unittest.TestCase):
    """`aws_rds_global_cluster`, `aws_db_instance` and what belongs to them, in one configuration:
    the provider waits at least half a minute for each, and does so side by side."""

    # The two Regions and the edge: with one of them away there is a majority.
    lab_arguments = ("--edges", "1")

    def apply(self, values):
        """Applies the configuration, finds nothing left to change, and gives the addresses."""
        self.configure(DATABASES % {**values, "password": quoted(PASSWORD)})
        self.terraform("apply", "-input=false", "-auto-approve", timeout=900)
        self.assert_settled()
        printed = json.loads(self.terraform("output", "-json"))
        return {name: output["value"] for name, output in printed.items()}

    def asked(self, address, statement):
        """The first field that a statement gives; None: not answered now."""
        try:
            with psycopg.connect(host=address, port=5432, dbname="orders", user="master",
                                 password=PASSWORD, connect_timeout=5,
                                 autocommit=True) as connection:
                return connection.execute(statement).fetchone()[0]
        except psycopg.Error:
            return None

    def makes_lines(self, address):
        """Is there a table with a row now?"""
        self.asked(address, "create table if not exists lines (id int)")
        return self.asked(address, "insert into lines values (7) returning id") == 7

    def test_databases_are_made_changed_and_destroyed(self):
        self.configure(DATABASES % {**FIRST, "password": quoted(PASSWORD)})
        self.terraform("init", "-input=false")
        at = self.apply(FIRST)
        for writer, reader in [("source", "replica"), ("writer", "reader")]:
            self.assertIsNone(self.asked(at[reader], "insert into lines values (8) returning id"))
            eventually(lambda: self.makes_lines(at[writer]))
            eventually(lambda: self.asked(at[reader], "select id from lines") == 7)
        shown = "show log_min_duration_statement"
        self.assertEqual(self.asked(at["source"], shown), "1s")

        again = self.apply(SECOND)
        self.assertEqual(again, at)
        self.assertEqual(self.asked(at["source"], shown), "2s")
        self.assertEqual(self.asked(at["source"], "select id from lines"), 7)
        instance = self.lab.client(VIRGINIA, "rds").describe_db_instances(
            DBInstanceIdentifier="orders")["DBInstances"][0]
        self.assertEqual(instance["DBInstanceClass"], "db.t3.small")
        self.assertEqual(instance["TagList"], [{"Key": "owner", "Value": "operators"}])
        self.check_that_a_switchover_is_no_change(at)
        self.check_that_the_writer_s_instance_goes_last()

        self.terraform("destroy", "-input=false", "-auto-approve", timeout=900)
        for region in (VIRGINIA, IRELAND):
            client = self.lab.client(region, "rds")
            self.assertEqual(client.describe_db_instances()["DBInstances"], [])
            self.assertEqual(client.describe_db_clusters()["DBClusters"], [])
            self.assertEqual(client.describe_global_clusters()["GlobalClusters"], [])
            self.assertEqual(client.describe_db_snapshots()["DBSnapshots"], [])
        eventually(lambda: servers(self.lab.data) == set(), 20)

    def check_that_a_switchover_is_no_change(self, at):
        """Another Region writes and gives back, and Terraform takes nothing apart for it."""
        for region, name, at_writer in [
            (IRELAND, "orders-eu", "other"), (VIRGINIA, "orders-us", "writer"),
        ]:
            eventually(self.is_in_step, 60)
            self.lab.client(region, "rds").switchover_global_cluster(
                GlobalClusterIdentifier="world",
                TargetDbClusterIdentifier=f"arn:aws:rds:{region}:111122223333:cluster:{name}")
            written = f"insert into lines values (9) returning '{name}'"
            eventually(lambda at_writer=at_writer, written=written:
                       self.asked(at[at_writer], written), 60)
            self.assert_settled()

    def is_in_step(self):
        """Does the member that doesn't write follow the one that does?"""
        rows = self.lab.json("databases", "list")["databases"]
        return any(row.get("replication") == "streaming" and row["instance"].startswith("orders-")
                   for row in rows)

    def check_that_the_writer_s_instance_goes_last(self):
        """In the words that the provider waits on: it asks for both at once, as it is told."""
        client = self.lab.client(VIRGINIA, "rds")
        with self.assertRaises(client.exceptions.ClientError) as refused:
            client.delete_db_instance(DBInstanceIdentifier="orders-us-1", SkipFinalSnapshot=True)
        error = refused.exception.response["Error"]
        self.assertEqual(error["Code"], "InvalidDBClusterStateFault")
        self.assertIn("Delete the replica cluster before deleting", error["Message"])


OF_A_CLUSTER = """
resource "aws_rds_cluster" "first" {
  cluster_identifier  = "first"
  engine              = "aurora-postgresql"
  database_name       = "orders"
  master_username     = "master"
  master_password     = %(password)s
  apply_immediately   = true
  skip_final_snapshot = true
  lifecycle { ignore_changes = [global_cluster_identifier] }
}

resource "aws_rds_cluster_instance" "first" {
  identifier         = "first-1"
  cluster_identifier = aws_rds_cluster.first.id
  engine             = aws_rds_cluster.first.engine
  instance_class     = "db.r6g.large"
  apply_immediately  = true
}

resource "aws_rds_global_cluster" "world" {
  global_cluster_identifier    = "world"
  source_db_cluster_identifier = aws_rds_cluster.first.arn
  force_destroy                = true
}

output "writer" { value = aws_rds_cluster.first.endpoint }
"""


@unittest.skipUnless(POSTGRES, NOT_TESTED)
class OfACluster(Terraform, unittest.TestCase):
    """A global cluster that is made of a cluster, while that gets its first instance."""

    lab_arguments = ("--edges", "1")

    def test_a_global_cluster_is_made_of_a_cluster_and_taken_apart(self):
        self.configure(OF_A_CLUSTER % {"password": quoted(PASSWORD)})
        self.terraform("init", "-input=false")
        self.terraform("apply", "-input=false", "-auto-approve", timeout=900)
        self.assert_settled()
        writer = json.loads(self.terraform("output", "-json"))["writer"]["value"]
        with psycopg.connect(host=writer, port=5432, dbname="orders", user="master",
                             password=PASSWORD) as connection:
            connection.execute("create table lines (id int)")
        client = self.lab.client(VIRGINIA, "rds")
        world = client.describe_global_clusters()["GlobalClusters"][0]
        self.assertEqual([it["IsWriter"] for it in world["GlobalClusterMembers"]], [True])
        self.terraform("destroy", "-input=false", "-auto-approve", timeout=900)
        self.assertEqual(client.describe_db_instances()["DBInstances"], [])
        self.assertEqual(client.describe_global_clusters()["GlobalClusters"], [])


if __name__ == "__main__":
    unittest.main()
