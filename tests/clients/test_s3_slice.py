"""The `aws` command line on buckets and objects: `aws s3` as people use it, `aws s3api`, and a
bucket replicated to another Region, cut off and healed."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
import urllib.request

from lab import eventually
from s3 import IRELAND, VIRGINIA, Objects


class CommandLine(Objects):
    """`aws s3` and `aws s3api`."""

    lab_arguments = ()

    def aws_s3(self, *words, region=VIRGINIA, check=True, config=None):
        """Runs `aws s3`, whose output is text; what it prints."""
        environment = dict(self.lab.environment)
        if config is not None:
            environment["AWS_CONFIG_FILE"] = str(config)
        aws = pathlib.Path(sys.executable).with_name("aws")
        result = subprocess.run(
            [str(aws), "--region", region, "s3", *map(str, words)], capture_output=True,
            text=True, env=environment, timeout=120,
        )
        if check and result.returncode != 0:
            raise AssertionError(f"aws s3 {words}: {result.stdout}{result.stderr}")
        return result.stdout if check else result

    def test_folders_are_synced_copied_moved_and_removed(self):
        bucket = self.bucket()
        with tempfile.TemporaryDirectory() as folder:
            near, far = pathlib.Path(folder, "near"), pathlib.Path(folder, "far")
            files = {"a.txt": b"a", "b/c.bin": os.urandom(300_000), "b/d e+f.txt": b"",
                     "ü.txt": b"u"}
            for name, data in files.items():
                (near / name).parent.mkdir(parents=True, exist_ok=True)
                (near / name).write_bytes(data)
                # S3 tells times in seconds: a file of the same second would look newer.
                os.utime(near / name, (1_700_000_000, 1_700_000_000))
            self.aws_s3("sync", near, f"s3://{bucket}/site")
            self.assertEqual(self.keys(bucket), sorted(f"site/{name}" for name in files))
            self.assertEqual(self.aws_s3("sync", near, f"s3://{bucket}/site"), "")
            self.aws_s3("sync", f"s3://{bucket}/site", far)
            for name, data in files.items():
                self.assertEqual((far / name).read_bytes(), data, name)
            (near / "a.txt").unlink()
            self.aws_s3("sync", near, f"s3://{bucket}/site", "--delete")
            self.assertNotIn("site/a.txt", self.keys(bucket))
        listed = self.aws_s3("ls", f"s3://{bucket}/site/")
        self.assertIn("PRE b/", listed)
        self.assertIn("ü.txt", listed)
        self.aws_s3("mv", f"s3://{bucket}/site/b", f"s3://{bucket}/moved", "--recursive")
        self.assertEqual(
            self.keys(bucket), ["moved/c.bin", "moved/d e+f.txt", "site/ü.txt"]
        )
        self.aws_s3("rb", f"s3://{bucket}", "--force")
        self.refused("404", 404, self.s3().head_bucket, Bucket=bucket)

    def test_a_large_file_goes_in_parts_and_comes_back(self):
        bucket = self.bucket(IRELAND)
        with tempfile.TemporaryDirectory() as folder:
            sent, got = pathlib.Path(folder, "sent"), pathlib.Path(folder, "got")
            sent.write_bytes(os.urandom(20 * 1024 * 1024 + 7))
            self.aws_s3("cp", sent, f"s3://{bucket}/large", region=IRELAND)
            head = self.s3(IRELAND).head_object(Bucket=bucket, Key="large")
            self.assertRegex(head["ETag"], r'^"[0-9a-f]{32}-3"$')
            self.aws_s3("cp", f"s3://{bucket}/large", f"s3://{bucket}/copy", region=IRELAND)
            self.aws_s3("cp", f"s3://{bucket}/copy", got, region=IRELAND)
            self.assertEqual(sent.read_bytes(), got.read_bytes())

    def test_a_presigned_address_is_enough(self):
        bucket = self.bucket()
        self.s3().put_object(Bucket=bucket, Key="a b", Body=b"presigned")
        words = ("presign", f"s3://{bucket}/a b", "--expires-in", "60")
        with tempfile.TemporaryDirectory() as folder:
            config = pathlib.Path(folder, "config")
            config.write_text("[default]\ns3 =\n    signature_version = s3v4\n")
            addresses = [self.aws_s3(*words, config=config).strip()]
        # In Regions as old as Signature V2 the command line presigns as that has it.
        addresses.append(self.aws_s3(*words).strip())
        for address, sign in zip(addresses, ("X-Amz-Signature=", "AWSAccessKeyId="), strict=True):
            self.assertIn(sign, address)
            with urllib.request.urlopen(address, timeout=20) as answer:
                self.assertEqual(answer.read(), b"presigned")

    def test_a_bucket_made_in_another_region_is_found(self):
        bucket = f"{self.bucket()}-far"
        self.aws_s3("mb", f"s3://{bucket}", region=IRELAND)
        where = self.lab.aws(VIRGINIA, "s3api", "get-bucket-location", "--bucket", bucket)
        self.assertEqual(where["LocationConstraint"], IRELAND)
        # The command line follows the Region that it is told.
        self.assertEqual(self.aws_s3("ls", f"s3://{bucket}", region=VIRGINIA), "")
        self.assertIn(bucket, self.aws_s3("ls"))

    def test_replication_is_set_cut_off_and_healed(self):
        source, destination = self.bucket(versioned=True), self.bucket(IRELAND, versioned=True)
        configuration = {"Role": self.role(), "Rules": [{
            "ID": "to-eu-west-1", "Status": "Enabled", "Priority": 1, "Filter": {},
            "DeleteMarkerReplication": {"Status": "Enabled"},
            "Destination": {"Bucket": f"arn:aws:s3:::{destination}"},
        }]}
        answer = self.lab.aws(
            VIRGINIA, "s3api", "put-bucket-replication", "--bucket", source,
            "--replication-configuration", json.dumps(configuration),
        )
        self.assertEqual(answer, {})

        def status(key):
            head = self.lab.aws(VIRGINIA, "s3api", "head-object", "--bucket", source, "--key", key)
            return head["ReplicationStatus"]

        def there(key):
            result = self.lab.aws(
                IRELAND, "s3api", "head-object", "--bucket", destination, "--key", key, check=False
            )
            return result.returncode == 0

        put = lambda key: self.lab.aws(
            VIRGINIA, "s3api", "put-object", "--bucket", source, "--key", key, "--body", __file__
        )
        put("before")
        eventually(lambda: there("before"))
        eventually(lambda: status("before") == "COMPLETED")
        self.lab.run("fault", "cut", VIRGINIA, IRELAND)
        try:
            put("during")
            self.assertEqual(status("during"), "PENDING")
            self.assertFalse(there("during"))
            lag = self.lab.run("lag").stdout
            self.assertIn(source, lag)
        finally:
            self.lab.run("fault", "heal")
        eventually(lambda: there("during"))
        eventually(lambda: status("during") == "COMPLETED")
        self.assertEqual(
            self.read(destination, "during", IRELAND), pathlib.Path(__file__).read_bytes()
        )
        self.lab.run("verify")


if __name__ == "__main__":
    unittest.main()
