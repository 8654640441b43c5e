"""Terraform makes users, groups, roles and policies, finds nothing to change, changes them, and
takes them away."""

import unittest

from lab import eventually
from terraform import VIRGINIA, Terraform

MAIN = """
data "aws_caller_identity" "me" {}

data "aws_iam_policy_document" "tables" {
  statement {
    sid       = "Tables"
    actions   = ["dynamodb:%s"]
    resources = ["arn:aws:dynamodb:*:${data.aws_caller_identity.me.account_id}:table/*"]
    condition {
      test     = "StringEquals"
      variable = "aws:RequestedRegion"
      values   = ["us-east-1", "eu-west-1"]
    }
  }
}

data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["s3.amazonaws.com"]
    }
    principals {
      type        = "AWS"
      identifiers = [aws_iam_user.writer.arn]
    }
  }
}

resource "aws_iam_policy" "tables" {
  name        = "tables"
  path        = "/apps/"
  description = "What the application does"
  policy      = data.aws_iam_policy_document.tables.json
  tags        = { owner = "%s" }
}

resource "aws_iam_user" "writer" {
  name = "writer"
  path = "/apps/"
  tags = { owner = "%s" }
}

resource "aws_iam_access_key" "writer" {
  user = aws_iam_user.writer.name
}

resource "aws_iam_user_policy" "writer" {
  name   = "inline"
  user   = aws_iam_user.writer.name
  policy = data.aws_iam_policy_document.tables.json
}

resource "aws_iam_user_policy_attachment" "writer" {
  user       = aws_iam_user.writer.name
  policy_arn = aws_iam_policy.tables.arn
}

resource "aws_iam_group" "staff" {
  name = "staff"
}

resource "aws_iam_group_policy_attachment" "staff" {
  group      = aws_iam_group.staff.name
  policy_arn = "arn:aws:iam::aws:policy/AmazonDynamoDBReadOnlyAccess"
}

resource "aws_iam_group_membership" "staff" {
  name  = "staff"
  users = [aws_iam_user.writer.name]
  group = aws_iam_group.staff.name
}

resource "aws_iam_role" "replication" {
  name                 = "s3-crr-role"
  assume_role_policy   = data.aws_iam_policy_document.trust.json
  max_session_duration = %s
  permissions_boundary = aws_iam_policy.tables.arn
  tags                 = { owner = "%s" }
}

resource "aws_iam_role_policy" "replication" {
  name   = "inline"
  role   = aws_iam_role.replication.name
  policy = data.aws_iam_policy_document.tables.json
}

resource "aws_iam_role_policy_attachment" "replication" {
  role       = aws_iam_role.replication.name
  policy_arn = aws_iam_policy.tables.arn
}

resource "aws_iam_instance_profile" "replication" {
  name = "replication"
  role = aws_iam_role.replication.name
}

resource "aws_iam_account_alias" "alias" {
  account_alias = "causeway-tf"
}
"""


def configuration(action, owner, seconds):
    """The configuration with these values."""
    return MAIN % (action, owner, owner, seconds, owner)


class Iam(Terraform, unittest.TestCase):
    """The whole life of the resources of IAM."""

    def test_everything_is_made_changed_and_taken_away(self):
        iam = self.lab.client(VIRGINIA, "iam")

        def decided():
            try:
                iam.create_group(GroupName="first")
            except iam.exceptions.EntityAlreadyExistsException:
                return True
            except Exception:
                return False
            return True

        eventually(decided)
        iam.delete_group(GroupName="first")
        self.configure(configuration("GetItem", "a", 3600))
        self.terraform("init", "-input=false")
        self.terraform("apply", "-input=false", "-auto-approve", "-parallelism=40")
        self.assert_settled()
        keys = iam.list_access_keys(UserName="writer")["AccessKeyMetadata"]
        self.assertEqual(len(keys), 1)
        self.assertEqual(iam.list_account_aliases()["AccountAliases"], ["causeway-tf"])
        self.configure(configuration("PutItem", "b", 7200))
        self.terraform("apply", "-input=false", "-auto-approve", "-parallelism=40")
        self.assert_settled()
        role = iam.get_role(RoleName="s3-crr-role")["Role"]
        self.assertEqual(role["MaxSessionDuration"], 7200)
        self.terraform("destroy", "-input=false", "-auto-approve", "-parallelism=40")
        self.assertEqual(iam.list_users()["Users"], [])
        self.assertEqual(iam.list_roles()["Roles"], [])
        self.assertEqual(iam.list_policies(Scope="Local")["Policies"], [])


if __name__ == "__main__":
    unittest.main()
