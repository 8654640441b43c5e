"""Terraform makes a table with a replica, finds nothing to change, changes it and removes it."""

import json
import unittest

from botocore.exceptions import ClientError
from terraform import IRELAND, VIRGINIA, Terraform

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


if __name__ == "__main__":
    unittest.main()
