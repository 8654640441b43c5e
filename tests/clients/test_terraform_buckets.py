"""Terraform makes two buckets with everything on them, the one replicated to the other, finds
nothing to change, changes them, and takes them away."""

import json
import unittest

from botocore.exceptions import ClientError
from lab import eventually
from terraform import IRELAND, VIRGINIA, Terraform

MAIN = """
provider "aws" {
  alias                       = "far"
  region                      = "eu-west-1"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
  s3_use_path_style           = true
}

resource "aws_iam_role" "replication" {
  name = "s3-crr-role"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect = "Allow", Action = "sts:AssumeRole", Principal = { Service = "s3.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy" "replication" {
  name = "replication"
  role = aws_iam_role.replication.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect = "Allow"
        Action = [
          "s3:GetReplicationConfiguration", "s3:ListBucket",
          "s3:GetObjectVersionForReplication", "s3:GetObjectVersionAcl",
          "s3:GetObjectVersionTagging",
        ]
        Resource = [aws_s3_bucket.near.arn, "${aws_s3_bucket.near.arn}/*"]
      },
      {
        Effect   = "Allow"
        Action   = ["s3:ReplicateObject", "s3:ReplicateDelete", "s3:ReplicateTags"]
        Resource = "${aws_s3_bucket.far.arn}/*"
      },
    ]
  })
}

# The provider can't change a bucket whose replication syncs the changes of replicas: it sends an
# empty SourceSelectionCriteria along, which S3 refuses (hashicorp/terraform-provider-aws#44192).
resource "aws_s3_bucket" "near" {
  bucket        = "terraform-near"
  force_destroy = true
  tags          = { owner = "tests" }
}

resource "aws_s3_bucket" "far" {
  provider      = aws.far
  bucket        = "terraform-far"
  force_destroy = true
  tags          = { owner = "%(owner)s" }
}

resource "aws_s3_bucket_versioning" "near" {
  bucket = aws_s3_bucket.near.id
  versioning_configuration { status = "Enabled" }
}

resource "aws_s3_bucket_versioning" "far" {
  provider = aws.far
  bucket   = aws_s3_bucket.far.id
  versioning_configuration { status = "Enabled" }
}

resource "aws_s3_bucket_replication_configuration" "near" {
  depends_on = [aws_s3_bucket_versioning.near, aws_s3_bucket_versioning.far]
  bucket     = aws_s3_bucket.near.id
  role       = aws_iam_role.replication.arn

  rule {
    id       = "everything"
    priority = 1
    status   = "Enabled"
    filter { prefix = "%(prefix)s" }
    delete_marker_replication { status = "Enabled" }
    source_selection_criteria {
      replica_modifications { status = "Enabled" }
    }
    destination {
      bucket        = aws_s3_bucket.far.arn
      storage_class = "STANDARD"
      metrics {
        status = "Enabled"
        event_threshold { minutes = 15 }
      }
      replication_time {
        status = "Enabled"
        time { minutes = 15 }
      }
    }
  }
}

resource "aws_s3_bucket_public_access_block" "near" {
  bucket                  = aws_s3_bucket.near.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "near" {
  bucket = aws_s3_bucket.near.id
  rule { object_ownership = "BucketOwnerEnforced" }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "near" {
  bucket = aws_s3_bucket.near.id
  rule {
    apply_server_side_encryption_by_default { sse_algorithm = "AES256" }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "near" {
  depends_on = [aws_s3_bucket_versioning.near]
  bucket     = aws_s3_bucket.near.id
  rule {
    id     = "old"
    status = "Enabled"
    filter { prefix = "logs/" }
    expiration { days = %(days)d }
    noncurrent_version_expiration {
      noncurrent_days           = 30
      newer_noncurrent_versions = 2
    }
    abort_incomplete_multipart_upload { days_after_initiation = 7 }
  }
}

resource "aws_s3_bucket_cors_configuration" "near" {
  bucket = aws_s3_bucket.near.id
  cors_rule {
    allowed_methods = ["GET", "PUT"]
    allowed_origins = ["https://*.example.com"]
    allowed_headers = ["*"]
    expose_headers  = ["ETag"]
    max_age_seconds = 300
  }
}

resource "aws_s3_bucket_policy" "near" {
  depends_on = [aws_s3_bucket_public_access_block.near]
  bucket     = aws_s3_bucket.near.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "NoPlainText"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:DeleteBucketPolicy"
      Resource  = aws_s3_bucket.near.arn
      Condition = { StringEquals = { "aws:PrincipalTag/none" = "none" } }
    }]
  })
}

resource "aws_s3_object" "page" {
  depends_on   = [aws_s3_bucket_replication_configuration.near]
  bucket       = aws_s3_bucket.near.id
  key          = "site/index.html"
  content      = "<p>%(owner)s</p>"
  content_type = "text/html"
  tags         = { kind = "page" }
}
"""


class Buckets(Terraform, unittest.TestCase):
    """`aws_s3_bucket` and what stands beside it."""

    def settings(self, **changes):
        self.configure(MAIN % {"owner": "tests", "prefix": "", "days": 90, **changes})

    def configure(self, configuration):
        super().configure(configuration)
        main = self.folder / "main.tf"
        main.write_text(main.read_text().replace(
            "skip_requesting_account_id  = true\n",
            "skip_requesting_account_id  = true\n  s3_use_path_style           = true\n", 1,
        ))

    def test_buckets_are_made_changed_and_destroyed(self):
        self.settings()
        self.terraform("init", "-input=false")
        self.terraform("apply", "-input=false", "-auto-approve")
        self.assert_settled()
        near, far = (self.lab.client(region, "s3") for region in (VIRGINIA, IRELAND))
        page = {"Bucket": "terraform-far", "Key": "site/index.html"}

        def text():
            try:
                return far.get_object(**page)["Body"].read()
            except ClientError:
                return None

        eventually(lambda: text() == b"<p>tests</p>")
        self.assertEqual(far.head_object(**page)["ReplicationStatus"], "REPLICA")

        self.settings(owner="operators", prefix="site/", days=60)
        self.terraform("apply", "-input=false", "-auto-approve")
        self.assert_settled()
        eventually(lambda: text() == b"<p>operators</p>")
        shown = json.loads(self.terraform("show", "-json"))
        values = {one["address"]: one["values"]
                  for one in shown["values"]["root_module"]["resources"]}
        self.assertEqual(values["aws_s3_bucket.far"]["tags"], {"owner": "operators"})
        configuration = near.get_bucket_replication(Bucket="terraform-near")
        (rule,) = configuration["ReplicationConfiguration"]["Rules"]
        self.assertEqual(rule["Filter"], {"Prefix": "site/"})

        self.terraform("destroy", "-input=false", "-auto-approve")
        names = [bucket["Name"] for bucket in near.list_buckets()["Buckets"]]
        self.assertEqual(names, [])


if __name__ == "__main__":
    unittest.main()
