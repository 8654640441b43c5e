"""Batch replication over HTTP, by boto3 and the `aws` command line. S3 Control's clients put the
account before the host of the endpoint, where nothing is: the front door taken as their proxy is
reached all the same."""

import json
import secrets
import subprocess
import sys
import pathlib

import unittest

from botocore.config import Config
from lab import eventually
from s3 import IRELAND, VIRGINIA, Objects

ACCOUNT = "111122223333"
TRUST = """{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal":
    {"Service": "batchoperations.s3.amazonaws.com"}, "Action": "sts:AssumeRole"}]}"""
POLICY = """{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*",
    "Resource": "*"}]}"""
# Ended, as jobs are.
OVER = ("Complete", "Failed", "Cancelled")


class Jobs(Objects):
    """One lab; each test has buckets of its own."""

    @classmethod
    def control(cls):
        """A boto3 client of S3 Control."""
        proxies = {"http": cls.lab.environment["AWS_ENDPOINT_URL"]}
        config = Config(retries={"total_max_attempts": 1}, proxies=proxies)
        return cls.lab.client(VIRGINIA, "s3control", config=config)

    @classmethod
    def batch_role(cls):
        """A role that jobs may assume, with all rights; its ARN."""
        iam = cls.lab.client(VIRGINIA, "iam")
        try:
            made = iam.create_role(RoleName="batch", AssumeRolePolicyDocument=TRUST)
        except iam.exceptions.EntityAlreadyExistsException:
            made = iam.get_role(RoleName="batch")
        iam.put_role_policy(RoleName="batch", PolicyName="s3", PolicyDocument=POLICY)
        return made["Role"]["Arn"]

    def job(self, reports, **more):
        """What every job of these tests is asked for with."""
        return {
            "AccountId": ACCOUNT, "Operation": {"S3ReplicateObject": {}}, "Priority": 1,
            "ConfirmationRequired": False, "ClientRequestToken": secrets.token_hex(8),
            "RoleArn": self.batch_role(), "Report": {
                "Enabled": True, "Bucket": f"arn:aws:s3:::{reports}", "Prefix": "batch",
                "Format": "Report_CSV_20180820", "ReportScope": "AllTasks",
                "ExpectedBucketOwner": ACCOUNT,
            }, **more,
        }

    def ended(self, job):
        """The job, once it has ended."""
        def told():
            found = self.control().describe_job(AccountId=ACCOUNT, JobId=job)["Job"]
            return found if found["Status"] in OVER else None
        return eventually(told)

    def report(self, reports, job):
        """The key and status of each line of a report."""
        manifest = json.loads(self.read(reports, f"batch/job-{job}/manifest.json"))
        text = self.read(reports, manifest["Results"][0]["Key"]).decode()
        lines = (line.split(",") for line in text.splitlines())
        return sorted((fields[1], fields[3]) for fields in lines)

    def test_what_was_there_before_goes_by_a_generated_job(self):
        source, reports = self.bucket(versioned=True), self.bucket()
        destination = self.bucket(IRELAND, versioned=True)
        for key in ("a b", "c"):
            self.s3().put_object(Bucket=source, Key=key, Body=key.encode())
        self.replicate(source, destination)
        made = self.control().create_job(**self.job(reports, ManifestGenerator={
            "S3JobManifestGenerator": {
                "ExpectedBucketOwner": ACCOUNT, "SourceBucket": f"arn:aws:s3:::{source}",
                "EnableManifestOutput": False, "Filter": {
                    "EligibleForReplication": True, "ObjectReplicationStatuses": ["NONE"],
                },
            },
        }))["JobId"]
        job = self.ended(made)
        self.assertEqual(job["Status"], "Complete")
        progress = job["ProgressSummary"]
        found = progress["TotalNumberOfTasks"], progress["NumberOfTasksSucceeded"]
        self.assertEqual(found, (2, 2))
        generator = job["ManifestGenerator"]["S3JobManifestGenerator"]
        self.assertEqual(generator["ExpectedBucketOwner"], ACCOUNT)
        self.assertEqual(job["Report"]["ExpectedBucketOwner"], ACCOUNT)
        self.assertEqual(
            self.report(reports, made), [("a%20b", "succeeded"), ("c", "succeeded")]
        )
        self.assertEqual(self.read(destination, "a b", IRELAND), b"a b")
        listed = self.control().list_jobs(
            AccountId=ACCOUNT, JobStatuses=["Complete", "Cancelled"]
        )["Jobs"]
        self.assertIn(made, [job["JobId"] for job in listed])
        active = self.control().list_jobs(AccountId=ACCOUNT, JobStatuses=["Active", "Suspended"])
        self.assertNotIn(made, [job["JobId"] for job in active["Jobs"]])

    def replicate(self, source, destination):
        """Sets a rule for all of a bucket."""
        self.s3().put_bucket_replication(Bucket=source, ReplicationConfiguration={
            "Role": self.role(), "Rules": [{
                "ID": "all", "Status": "Enabled", "Priority": 1, "Filter": {},
                "DeleteMarkerReplication": {"Status": "Enabled"},
                "Destination": {"Bucket": f"arn:aws:s3:::{destination}"},
            }],
        })

    def test_a_list_is_the_one_that_was_meant(self):
        source, lists = self.bucket(versioned=True), self.bucket(versioned=True)
        destination = self.bucket(IRELAND, versioned=True)
        first = self.s3().put_object(Bucket=source, Key="k", Body=b"1")["VersionId"]
        self.s3().put_object(Bucket=source, Key="k", Body=b"2")
        self.replicate(source, destination)
        line = f"{source},k,{first}\n{source},none,\n".encode()
        meant = self.s3().put_object(Bucket=lists, Key="list.csv", Body=line)
        self.s3().put_object(Bucket=lists, Key="list.csv", Body=b"another")
        manifest = {
            "Spec": {"Format": "S3BatchOperations_CSV_20180820",
                     "Fields": ["Bucket", "Key", "VersionId"]},
            "Location": {"ObjectArn": f"arn:aws:s3:::{lists}/list.csv", "ETag": meant["ETag"],
                         "ObjectVersionId": meant["VersionId"]},
        }
        made = self.control().create_job(**self.job(lists, Manifest=manifest))["JobId"]
        job = self.ended(made)
        self.assertEqual(job["Manifest"]["Spec"], manifest["Spec"])
        self.assertEqual(job["Manifest"]["Location"]["ETag"], meant["ETag"].strip('"'))
        self.assertEqual(self.report(lists, made), [("k", "succeeded"), ("none", "failed")])
        self.assertEqual(self.read(destination, "k", IRELAND, VersionId=first), b"1")
        del manifest["Location"]["ObjectVersionId"]
        self.refused("InvalidRequest", 400, self.control().create_job,
                     **self.job(lists, Manifest=manifest))
        other = self.job(lists, ManifestGenerator={"S3JobManifestGenerator": {
            "ExpectedBucketOwner": "444455556666", "SourceBucket": f"arn:aws:s3:::{source}",
            "EnableManifestOutput": False,
        }})
        self.refused("AccessDenied", 403, self.control().create_job, **other)

    def test_the_command_line_makes_confirms_and_stops_jobs(self):
        source, reports = self.bucket(versioned=True), self.bucket()
        destination = self.bucket(IRELAND, versioned=True)
        self.s3().put_object(Bucket=source, Key="k", Body=b"1")
        self.replicate(source, destination)
        job = self.job(reports, ManifestGenerator={"S3JobManifestGenerator": {
            "SourceBucket": f"arn:aws:s3:::{source}", "EnableManifestOutput": False,
        }})
        words = ["create-job", "--confirmation-required", "--priority", "7"]
        for name, flag in [("Operation", "operation"), ("Report", "report"),
                           ("ManifestGenerator", "manifest-generator")]:
            words += [f"--{flag}", json.dumps(job[name])]
        words += ["--role-arn", job["RoleArn"]]
        made = [self.aws_control(*words)["JobId"] for _ in range(2)]
        status = lambda job, wanted: self.aws_control(
            "update-job-status", "--job-id", job, "--requested-job-status", wanted
        )["Status"]
        self.assertEqual(status(made[0], "Cancelled"), "Cancelled")
        self.assertEqual(status(made[1], "Ready"), "Active")
        self.assertEqual(self.ended(made[1])["ProgressSummary"]["NumberOfTasksSucceeded"], 1)
        self.assertEqual(self.report(reports, made[1]), [("k", "succeeded")])

    def aws_control(self, *words):
        """Runs `aws s3control`; what it answers."""
        aws = pathlib.Path(sys.executable).with_name("aws")
        environment = dict(self.lab.environment)
        environment["HTTP_PROXY"] = environment["AWS_ENDPOINT_URL"]
        command = [str(aws), "--region", VIRGINIA, "--output", "json", "s3control", words[0],
                   "--account-id", ACCOUNT, *words[1:]]
        result = subprocess.run(
            command, capture_output=True, text=True, env=environment, timeout=60
        )
        self.assertEqual(result.returncode, 0, result.stderr)
        return json.loads(result.stdout)


if __name__ == "__main__":
    unittest.main()
