"""A lab with TLS: boto3, the `aws` command line and Terraform by what `causeway env` sets, and nobody
else."""

import os
import unittest
import urllib.error
import urllib.request

import boto3
import psycopg
from botocore.config import Config
from botocore.exceptions import SSLError
from databases import NOT_TESTED, POSTGRES, connect, create, in_status
from lab import Lab
from terraform import VIRGINIA, Terraform

IRELAND = "eu-west-1"


class Tls(unittest.TestCase):
    """One lab that speaks TLS."""

    @classmethod
    def setUpClass(cls):
        cls.lab = Lab("--regions", f"{VIRGINIA},{IRELAND}", "--delay-scale", "0", "--tls")
        cls.addClassCleanup(cls.lab.close)
        cls.endpoint = cls.lab.environment["AWS_ENDPOINT_URL"]
        cls.bundle = cls.lab.environment["AWS_CA_BUNDLE"]

    def test_boto3_believes_the_lab_s_authority_and_no_other(self):
        self.assertTrue(self.endpoint.startswith("https://127.0.0.1:"), self.endpoint)
        for region in (VIRGINIA, IRELAND):
            client = self.lab.client(region, verify=self.bundle)
            self.assertEqual(client.list_tables()["TableNames"], [])
        with self.assertRaises(SSLError):
            self.lab.client(VIRGINIA, verify=True).list_tables()

    def test_a_region_s_own_address_and_names_of_this_machine_are_in_the_certificate(self):
        host, port = self.lab.address(IRELAND)
        own = self.lab.client(IRELAND, verify=self.bundle, endpoint_url=f"https://{host}:{port}")
        self.assertEqual(own.list_tables()["TableNames"], [])
        local = f"https://localhost:{self.lab.port}"
        named = self.lab.client(IRELAND, verify=self.bundle, endpoint_url=local)
        self.assertEqual(named.list_tables()["TableNames"], [])

    @unittest.skipUnless(POSTGRES, NOT_TESTED)
    def test_a_database_s_endpoint_is_verified_in_full_by_its_own_address_alone(self):
        rds = self.lab.client(IRELAND, "rds", verify=self.bundle)
        create(rds, "orders", BackupRetentionPeriod=0)
        orders = in_status(rds, "orders")
        verified = {"sslmode": "verify-full", "sslrootcert": self.bundle}
        with connect(orders, **verified) as connection:
            self.assertTrue(connection.pgconn.ssl_in_use)
            self.assertEqual(connection.execute("select 1").fetchone(), (1,))
        # At another's address it would be nobody's.
        elsewhere = {"host": "127.36.0.1", "hostaddr": orders["Endpoint"]["Address"]}
        with self.assertRaisesRegex(psycopg.OperationalError, "does not match host name"):
            connect(orders, **verified, **elsewhere)

    def test_the_variables_of_env_are_enough(self):
        answer = self.lab.aws(IRELAND, "dynamodb", "list-tables")
        self.assertEqual(answer["TableNames"], [])
        without = {**self.lab.environment}
        del without["AWS_CA_BUNDLE"]
        environment, self.lab.environment = self.lab.environment, without
        try:
            refused = self.lab.aws(IRELAND, "dynamodb", "list-tables", check=False)
        finally:
            self.lab.environment = environment
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("SSL", refused.stderr)

    def test_boto3_reads_them_from_the_environment(self):
        before = dict(os.environ)
        os.environ.update(self.lab.environment)
        try:
            config = Config(retries={"total_max_attempts": 1})
            session = boto3.session.Session()
            client = session.client("dynamodb", region_name=IRELAND, config=config)
            self.assertEqual(client.list_tables()["TableNames"], [])
        finally:
            os.environ.clear()
            os.environ.update(before)

    def test_plain_http_is_told_what_to_write(self):
        with self.assertRaises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"http://127.0.0.1:{self.lab.port}/", timeout=20)
        with refused.exception as answer:
            self.assertEqual(answer.code, 400)
            self.assertIn("https://", answer.read().decode())


class TerraformByTls(Terraform, unittest.TestCase):
    """Terraform on a lab that speaks TLS."""

    lab_arguments = ("--tls",)

    def test_a_table_is_made_and_taken_away(self):
        self.configure(TABLE)
        self.terraform("init")
        self.terraform("apply", "-auto-approve")
        answer = self.lab.aws(VIRGINIA, "dynamodb", "list-tables")
        self.assertEqual(answer["TableNames"], ["Orders"])
        self.terraform("destroy", "-auto-approve")


TABLE = """
resource "aws_dynamodb_table" "orders" {
  name         = "Orders"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "id"
  attribute {
    name = "id"
    type = "S"
  }
}
"""


if __name__ == "__main__":
    unittest.main()
