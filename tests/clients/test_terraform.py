"""Terraform makes a table with a replica, finds nothing to change, changes it, and takes it away.
Skipped by name where Terraform or its AWS provider isn't installed: nothing is downloaded."""

import glob
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

from botocore.exceptions import ClientError
from lab import Lab

VIRGINIA, IRELAND = "us-east-1", "eu-west-1"
PROVIDER = "registry.terraform.io/hashicorp/aws"

CONFIGURATION = """
terraform {
  required_providers { aws = { source = "hashicorp/aws" } }
}

provider "aws" {
  region                      = "us-east-1"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
}

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


def mirrors():
    """Folders that providers are installed in: Terraform's own, and those of machine images."""
    places = [os.environ.get("CAUSEWAY_TERRAFORM_PLUGINS"), os.environ.get("TF_PLUGIN_CACHE_DIR")]
    home = pathlib.Path.home()
    places += [home / ".terraform.d/plugins", home / ".local/share/terraform/plugins"]
    places += ["/usr/local/share/terraform/plugins", "/usr/share/terraform/plugins"]
    places += [path.removesuffix("/registry.terraform.io")
               for path in sorted(glob.glob("/opt/*/registry.terraform.io"))]
    return [str(place) for place in places if place and pathlib.Path(place, PROVIDER).is_dir()]


class Terraform(unittest.TestCase):
    """One lab, one folder with a state."""

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
        cls.lab = Lab("--delay-scale", "0.1", "--regions", f"{VIRGINIA},{IRELAND}")
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

    def configure(self, owner):
        (self.folder / "main.tf").write_text(CONFIGURATION % owner)

    def assert_settled(self):
        """Whatever the provider asks for is as the configuration has it: 2 would be a change."""
        self.terraform("plan", "-input=false", "-detailed-exitcode", expected=0)

    def test_a_table_with_a_replica_is_made_changed_and_destroyed(self):
        self.configure("tests")
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

        self.configure("operators")
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


if __name__ == "__main__":
    unittest.main()
