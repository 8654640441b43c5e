"""Terraform makes a table with a replica, and zones with records and health checks; finds nothing
to change, changes them, and takes them away. Skipped by name where Terraform or its AWS provider
isn't installed: nothing is downloaded. Most of the time is the provider's own: it waits half a
minute before it first asks whether a change of records is in sync."""

import glob
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

from botocore.exceptions import ClientError
from lab import Lab, eventually
from names import place, resolve

VIRGINIA, IRELAND = "us-east-1", "eu-west-1"
PROVIDER = "registry.terraform.io/hashicorp/aws"

PROVIDERS = """
terraform {
  required_providers { aws = { source = "hashicorp/aws" } }
}

provider "aws" {
  region                      = "us-east-1"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
}
"""

TABLE = """
resource "aws_dynamodb_table" "orders" {
  name             = "Orders"
  billing_mode     = "PAY_PER_REQUEST"
  hash_key         = "id"
  range_key        = "at"
  stream_enabled   = true
  stream_view_type = "NEW_AND_OLD_IMAGES"
  tags             = { owner = "%s" }

  attribute {
    name = "id"
    type = "S"
  }
  attribute {
    name = "at"
    type = "N"
  }
  attribute {
    name = "state"
    type = "S"
  }

  global_secondary_index {
    name            = "by-state"
    hash_key        = "state"
    projection_type = "ALL"
  }

  replica { region_name = "eu-west-1" }
}
"""

ZONE = """
resource "aws_route53_zone" "main" {
  name    = "tf.example"
  comment = "%s"
  tags    = { owner = "%s" }
}

resource "aws_route53_health_check" "app" {
  ip_address        = "127.0.0.1"
  port              = %s
  type              = "HTTP"
  resource_path     = "/health"
  request_interval  = 10
  failure_threshold = "3"
  tags              = { Name = "app" }
}

resource "aws_route53_health_check" "port" {
  ip_address         = "127.0.0.1"
  port               = 9
  type               = "TCP"
  request_interval   = 30
  failure_threshold  = 2
  invert_healthcheck = true
}

resource "aws_route53_record" "simple" {
  for_each = {
    A = ["192.0.2.1", "192.0.2.2"], AAAA = ["2001:db8::1"], MX = ["10 mail.tf.example."]
    TXT = ["v=spf1 -all", "two words"], CAA = ["0 issue \\"ca.example\\""]
    SRV = ["1 2 443 www.tf.example."]
  }
  zone_id = aws_route53_zone.main.zone_id
  name    = "simple"
  type    = each.key
  ttl     = %s
  records = each.value
}

resource "aws_route53_record" "wildcard" {
  zone_id = aws_route53_zone.main.zone_id
  name    = "*.any.tf.example"
  type    = "CNAME"
  ttl     = 60
  records = ["simple.tf.example"]
}

resource "aws_route53_record" "failover" {
  for_each        = { PRIMARY = "192.0.2.11", SECONDARY = "192.0.2.12" }
  zone_id         = aws_route53_zone.main.zone_id
  name            = "app"
  type            = "A"
  ttl             = 60
  records         = [each.value]
  set_identifier  = lower(each.key)
  health_check_id = each.key == "PRIMARY" ? aws_route53_health_check.app.id : null
  failover_routing_policy { type = each.key }
}

resource "aws_route53_record" "latency" {
  for_each       = { us-east-1 = "192.0.2.21", eu-west-1 = "192.0.2.22" }
  zone_id        = aws_route53_zone.main.zone_id
  name           = "near"
  type           = "A"
  ttl            = 60
  records        = [each.value]
  set_identifier = each.key
  latency_routing_policy { region = each.key }
}

resource "aws_route53_record" "weighted" {
  for_each       = { blue = 90, green = 0 }
  zone_id        = aws_route53_zone.main.zone_id
  name           = "shares"
  type           = "TXT"
  ttl            = 60
  records        = [each.key]
  set_identifier = each.key
  weighted_routing_policy { weight = each.value }
}

resource "aws_route53_record" "geolocation" {
  for_each       = { eu = ["EU", null, null], de = [null, "DE", null], or = [null, "US", "OR"]
                     all = [null, "*", null] }
  zone_id        = aws_route53_zone.main.zone_id
  name           = "geo"
  type           = "TXT"
  ttl            = 60
  records        = [each.key]
  set_identifier = each.key
  geolocation_routing_policy {
    continent   = each.value[0]
    country     = each.value[1]
    subdivision = each.value[2]
  }
}

resource "aws_route53_record" "multivalue" {
  for_each                         = toset(["192.0.2.31", "192.0.2.32"])
  zone_id                          = aws_route53_zone.main.zone_id
  name                             = "many"
  type                             = "A"
  ttl                              = 60
  records                          = [each.key]
  set_identifier                   = each.key
  multivalue_answer_routing_policy = true
}

resource "aws_route53_record" "alias" {
  zone_id = aws_route53_zone.main.zone_id
  name    = "tf.example"
  type    = "A"
  alias {
    zone_id                = aws_route53_zone.main.zone_id
    name                   = aws_route53_record.failover["PRIMARY"].fqdn
    evaluate_target_health = true
  }
}
"""


def mirrors():
    """Folders that providers are installed in: Terraform's own, and those of machine images."""
    places = [os.environ.get("CAUSEWAY_TERRAFORM_PLUGINS"), os.environ.get("TF_PLUGIN_CACHE_DIR")]
    home = pathlib.Path.home()
    places += [home / ".terraform.d/plugins", home / ".local/share/terraform/plugins"]
    places += ["/usr/local/share/terraform/plugins", "/usr/share/terraform/plugins"]
    places += [path.removesuffix("/registry.terraform.io")
               for path in sorted(glob.glob("/opt/*/registry.terraform.io"))]
    return [str(place) for place in places if place and pathlib.Path(place, PROVIDER).is_dir()]


class Terraform:
    """What the cases share: one lab, one folder with a state."""

    lab_arguments = ()

    @classmethod
    def setUpClass(cls):
        if not shutil.which("terraform"):
            raise unittest.SkipTest("NOT TESTED: terraform is not installed")
        found = mirrors()
        if not found:
            raise unittest.SkipTest(
                "NOT TESTED: terraform's provider hashicorp/aws is not installed; unpack it into "
                "a folder as of a filesystem mirror and name that in CAUSEWAY_TERRAFORM_PLUGINS"
            )
        folder = tempfile.TemporaryDirectory(prefix="causeway-terraform-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        settings = cls.folder / "settings.tfrc"
        settings.write_text(
            "disable_checkpoint = true\n"
            'provider_installation {\n  filesystem_mirror {\n    path = "%s"\n  }\n}\n' % found[0]
        )
        regions = ("--regions", f"{VIRGINIA},{IRELAND}")
        cls.lab = Lab("--delay-scale", "0.1", *regions, *cls.lab_arguments)
        cls.addClassCleanup(cls.lab.close)
        cls.environment = {**cls.lab.environment, "TF_CLI_CONFIG_FILE": str(settings)}
        # Only a cache of providers that is writable and wanted.
        cls.environment.pop("TF_PLUGIN_CACHE_DIR", None)

    def terraform(self, *words, expected=0):
        """Runs a command and returns what it prints."""
        result = subprocess.run(
            ["terraform", *words, "-no-color"],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
        )
        self.assertEqual(result.returncode, expected, result.stdout + result.stderr)
        return result.stdout

    def configure(self, configuration):
        (self.folder / "main.tf").write_text(PROVIDERS + configuration)

    def assert_settled(self):
        """Whatever the provider asks for is as the configuration has it: 2 would be a change."""
        self.terraform("plan", "-input=false", "-detailed-exitcode", expected=0)


class Tables(Terraform, unittest.TestCase):
    """`aws_dynamodb_table`."""

    def test_a_table_with_a_replica_is_made_changed_and_destroyed(self):
        self.configure(TABLE % "tests")
        self.terraform("init", "-input=false")
        self.terraform("plan", "-input=false", "-detailed-exitcode", expected=2)
        self.terraform("apply", "-input=false", "-auto-approve")
        self.assert_settled()

        table = self.lab.client(VIRGINIA).describe_table(TableName="Orders")["Table"]
        replicas = [(r["RegionName"], r["ReplicaStatus"]) for r in table["Replicas"]]
        self.assertEqual(replicas, [(IRELAND, "ACTIVE")])
        self.assertEqual(table["GlobalSecondaryIndexes"][0]["IndexName"], "by-state")
        item = {"id": {"S": "a"}, "at": {"N": "1"}}
        self.lab.client(IRELAND).put_item(TableName="Orders", Item=item)

        self.configure(TABLE % "operators")
        self.terraform("apply", "-input=false", "-auto-approve")
        self.assert_settled()
        shown = json.loads(self.terraform("show", "-json"))
        resources = shown["values"]["root_module"]["resources"]
        self.assertEqual(resources[0]["values"]["tags"], {"owner": "operators"})
        self.assertEqual(self.lab.client(VIRGINIA).scan(TableName="Orders")["Items"], [item])

        self.terraform("destroy", "-input=false", "-auto-approve")
        for region in (VIRGINIA, IRELAND):
            with self.assertRaises(ClientError) as raised:
                self.lab.client(region).describe_table(TableName="Orders")
            code = raised.exception.response["Error"]["Code"]
            self.assertEqual(code, "ResourceNotFoundException", region)


class Zones(Terraform, unittest.TestCase):
    """`aws_route53_zone`, `aws_route53_record` and `aws_route53_health_check`."""

    lab_arguments = ("--health-interval", "200ms")

    def test_zones_records_and_health_checks_are_made_changed_and_destroyed(self):
        self.configure(ZONE % ("made by tests", "tests", 9, 60))
        self.terraform("init", "-input=false")
        self.terraform("apply", "-input=false", "-auto-approve", "-parallelism=40")
        self.assert_settled()

        server = ("127.0.0.1", self.lab.dns_port)
        ask = lambda name, kind="A", where=None: resolve(
            server, f"{name}.tf.example".lstrip("."), kind, source=where and place(where)
        )
        self.assertEqual(ask("simple"), ["192.0.2.1", "192.0.2.2"])
        self.assertEqual(ask("simple", "TXT"), ['"two words"', '"v=spf1 -all"'])
        self.assertEqual(ask("x.any", "CNAME"), ["simple.tf.example."])
        # Nobody listens on port 9.
        eventually(lambda: ask("app") == ["192.0.2.12"], 10)
        self.assertEqual(ask(""), ["192.0.2.12"])
        self.assertEqual(ask("near", where="eu-central-1"), ["192.0.2.22"])
        self.assertEqual(ask("near", where="us-east-1"), ["192.0.2.21"])
        self.assertEqual(ask("shares", "TXT"), ['"blue"'])
        for where, found in (
            ("eu-west-1", "eu"), ("eu-central-1", "de"), ("us-west-2", "or"), ("us-east-1", "all"),
        ):
            self.assertEqual(ask("geo", "TXT", where), [f'"{found}"'])
        self.assertEqual(ask("many"), ["192.0.2.31", "192.0.2.32"])

        self.configure(ZONE % ("changed", "operators", 10, 61))
        self.terraform("apply", "-input=false", "-auto-approve", "-parallelism=40")
        self.assert_settled()
        self.terraform("destroy", "-input=false", "-auto-approve", "-parallelism=40")
        route53 = self.lab.client(VIRGINIA, "route53")
        self.assertEqual(route53.list_hosted_zones()["HostedZones"], [])
        self.assertEqual(route53.list_health_checks()["HealthChecks"], [])


if __name__ == "__main__":
    unittest.main()
