"""What the tests of Terraform share: where it is, a lab, and a folder with a state. Skipped by name
where Terraform or its AWS provider isn't installed: nothing is downloaded."""

import glob
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

from lab import Lab

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

    def terraform(self, *words, expected=0, timeout=300):
        """Runs a command and returns what it prints."""
        result = subprocess.run(
            ["terraform", *words, "-no-color"],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        self.assertEqual(result.returncode, expected, result.stdout + result.stderr)
        return result.stdout

    def configure(self, configuration):
        (self.folder / "main.tf").write_text(PROVIDERS + configuration)

    def assert_settled(self):
        """Whatever the provider asks for is as the configuration has it: 2 would be a change."""
        self.terraform("plan", "-input=false", "-detailed-exitcode", expected=0)
