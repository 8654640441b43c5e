"""EC2's small part by boto3, `aws` and Terraform, and certificates that are uploaded to IAM."""

import json
import subprocess
import tempfile
import unittest
from pathlib import Path

from botocore.exceptions import ClientError
from lab import Lab
from terraform import Terraform

VIRGINIA = "us-east-1"

# Named by the service, and no operation that is built takes it as its only fault.
NOT_BUILT = "NotImplemented"

NETWORK = """
data "aws_vpc" "default" {
  default = true
}

data "aws_subnets" "default" {
  filter {
    name   = "vpc-id"
    values = [data.aws_vpc.default.id]
  }
}

data "aws_availability_zones" "here" {
  state = "available"
}

resource "aws_security_group" "web" {
  name        = "web"
  description = "Web"
  vpc_id      = data.aws_vpc.default.id
  ingress {
    from_port   = 80
    to_port     = 80
    protocol    = "tcp"
    cidr_blocks = ["0.0.0.0/0"]
  }
  egress {
    from_port   = 0
    to_port     = 0
    protocol    = "-1"
    cidr_blocks = ["0.0.0.0/0"]
  }
  tags = { owner = "%(owner)s" }
}

output "subnets" {
  value = length(data.aws_subnets.default.ids)
}

output "zones" {
  value = data.aws_availability_zones.here.names
}
"""


def code_of(refused):
    return refused.exception.response["Error"]["Code"]


class Network(unittest.TestCase):
    """One lab of one Region."""

    @classmethod
    def setUpClass(cls):
        cls.lab = Lab("--delay-scale", "0", "--regions", VIRGINIA)
        cls.addClassCleanup(cls.lab.close)
        cls.ec2 = cls.lab.client(VIRGINIA, "ec2")
        # IAM's settings are the council's: from here on it decides.
        cls.lab.route53(VIRGINIA)

    def test_the_operation_table_is_the_published_model(self):
        rows = self.lab.json("status", "--operations")
        rows = rows["operations"] if isinstance(rows, dict) else rows
        row = next(row for row in rows if row["service"] == "ec2")
        names = set(row["built_names"]) | set(row["not_built_names"])
        self.assertEqual(names, set(self.ec2.meta.service_model.operation_names))
        with self.assertRaises(ClientError) as refused:
            self.ec2.run_instances(MinCount=1, MaxCount=1)
        self.assertEqual(code_of(refused), NOT_BUILT)
        self.assertIn("RunInstances", str(refused.exception))

    def test_what_clients_ask_of_the_default_network(self):
        vpc = self.ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])
        vpc = vpc["Vpcs"][0]["VpcId"]
        subnets = self.ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc]}])
        zones = [subnet["AvailabilityZone"] for subnet in subnets["Subnets"]]
        self.assertEqual(sorted(zones), ["us-east-1a", "us-east-1b", "us-east-1c"])
        described = self.lab.aws(VIRGINIA, "ec2", "describe-availability-zones")
        names = [zone["ZoneName"] for zone in described["AvailabilityZones"]]
        self.assertEqual(names, sorted(zones))
        answered = self.ec2.describe_vpc_attribute(VpcId=vpc, Attribute="enableDnsHostnames")
        self.assertTrue(answered["EnableDnsHostnames"]["Value"])
        with self.assertRaises(ClientError) as refused:
            self.ec2.describe_vpcs(VpcIds=["vpc-12345678"])
        self.assertEqual(code_of(refused), "InvalidVpcID.NotFound")
        with self.assertRaises(ClientError) as refused:
            self.ec2.describe_vpcs(DryRun=True)
        self.assertEqual(code_of(refused), "DryRunOperation")
        self.assertEqual([region["RegionName"] for region in self.ec2.describe_regions()["Regions"]],
                         [VIRGINIA])

    def test_a_security_group_is_kept_across_a_restart(self):
        group = self.ec2.create_security_group(
            GroupName="kept", Description="Kept",
            TagSpecifications=[{
                "ResourceType": "security-group", "Tags": [{"Key": "a", "Value": "b"}],
            }],
        )["GroupId"]
        permission = {
            "IpProtocol": "tcp", "FromPort": 443, "ToPort": 443,
            "IpRanges": [{"CidrIp": "10.0.0.0/8", "Description": "inside"}],
        }
        added = self.ec2.authorize_security_group_ingress(
            GroupId=group, IpPermissions=[permission]
        )["SecurityGroupRules"]
        self.assertEqual(added[0]["CidrIpv4"], "10.0.0.0/8")
        with self.assertRaises(ClientError) as refused:
            self.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[permission])
        self.assertEqual(code_of(refused), "InvalidPermission.Duplicate")
        self.lab.run("fault", "kill", VIRGINIA)
        self.lab.run("fault", "start", VIRGINIA)
        shown = self.ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]
        self.assertEqual(shown["IpPermissions"][0]["IpRanges"][0]["Description"], "inside")
        self.assertEqual(shown["Tags"], [{"Key": "a", "Value": "b"}])
        paginator = self.ec2.get_paginator("describe_security_groups")
        pages = paginator.paginate(PaginationConfig={"PageSize": 5})
        names = {found["GroupName"] for page in pages for found in page["SecurityGroups"]}
        self.assertLessEqual({"default", "kept"}, names)
        self.ec2.delete_security_group(GroupId=group)

    def test_a_certificate_is_uploaded_and_its_key_is_shown_to_nobody(self):
        iam = self.lab.client(VIRGINIA, "iam")
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30",
                 "-keyout", folder / "key.pem", "-out", folder / "certificate.pem",
                 "-subj", "/CN=shop.example.com"],
                check=True, capture_output=True,
            )
            body = (folder / "certificate.pem").read_text()
            key = (folder / "key.pem").read_text()
        made = iam.upload_server_certificate(
            ServerCertificateName="shop", CertificateBody=body, PrivateKey=key
        )["ServerCertificateMetadata"]
        self.assertEqual(made["Arn"], "arn:aws:iam::111122223333:server-certificate/shop")
        read = iam.get_server_certificate(ServerCertificateName="shop")["ServerCertificate"]
        self.assertEqual(read["CertificateBody"].strip(), body.strip())
        self.assertNotIn("PRIVATE", json.dumps(read, default=str))
        with self.assertRaises(ClientError) as refused:
            iam.upload_server_certificate(
                ServerCertificateName="other", CertificateBody=body, PrivateKey=body
            )
        self.assertEqual(code_of(refused), "MalformedCertificate")
        iam.delete_server_certificate(ServerCertificateName="shop")


class SecurityGroups(Terraform, unittest.TestCase):
    """`aws_security_group`, and the data sources that most configurations begin with."""

    def test_a_group_is_made_changed_and_destroyed(self):
        self.configure(NETWORK % {"owner": "tests"})
        self.terraform("init", "-input=false")
        self.terraform("apply", "-input=false", "-auto-approve")
        self.assert_settled()
        outputs = json.loads(self.terraform("output", "-json"))
        self.assertEqual(outputs["subnets"]["value"], 3)
        self.assertEqual(outputs["zones"]["value"][0], "us-east-1a")
        self.configure(NETWORK % {"owner": "others"})
        self.terraform("apply", "-input=false", "-auto-approve")
        self.assert_settled()
        self.terraform("destroy", "-input=false", "-auto-approve")


if __name__ == "__main__":
    unittest.main()
