"""rclone and s3cmd, as Debian ships them."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

from s3 import IRELAND, VIRGINIA, Objects

FILES = {"a.txt": b"a", "b/c.bin": b"\0" * 70_000, "b/d e+f.txt": b"", "ü/ö.txt": b"u"}


class Tools(Objects):
    """Both against one lab."""

    lab_arguments = ("--delay-scale", "0")

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.near, self.far = (pathlib.Path(folder.name, name) for name in ("near", "far"))
        for name, data in {**FILES, "large": os.urandom(17 * 1024 * 1024)}.items():
            (self.near / name).parent.mkdir(parents=True, exist_ok=True)
            (self.near / name).write_bytes(data)
        self.home = folder.name

    def run_tool(self, *words, environment=None):
        if not shutil.which(words[0]):
            self.skipTest(f"NOT TESTED: {words[0]} is not installed")
        # The lab speaks plain HTTP, and rclone minds a bundle of authorities all the same.
        lab = {name: value for name, value in self.lab.environment.items()
               if name != "AWS_CA_BUNDLE"}
        result = subprocess.run(
            [str(word) for word in words], capture_output=True, text=True, timeout=120,
            env={**lab, "HOME": self.home, **(environment or {})},
        )
        self.assertEqual(result.returncode, 0, f"{words}: {result.stdout}{result.stderr}")
        return result.stdout

    def same(self):
        for path in self.near.rglob("*"):
            if path.is_file():
                name = path.relative_to(self.near)
                self.assertEqual((self.far / name).read_bytes(), path.read_bytes(), name)

    def rclone(self, *words, region=VIRGINIA):
        # Of AWS itself rclone names buckets in the host, whatever it is told.
        lab = {
            "TYPE": "s3", "PROVIDER": "Other", "REGION": region, "ENV_AUTH": "true",
            "ENDPOINT": self.lab.environment["AWS_ENDPOINT_URL"],
            "LOCATION_CONSTRAINT": "" if region == VIRGINIA else region,
            "FORCE_PATH_STYLE": "true", "CHUNK_SIZE": "5Mi", "UPLOAD_CUTOFF": "5Mi",
        }
        environment = {f"RCLONE_CONFIG_LAB_{name}": value for name, value in lab.items()}
        return self.run_tool("rclone", *words, environment=environment)

    def test_rclone_syncs_checks_serves_ranges_and_purges(self):
        bucket = "rclone-bucket"
        self.rclone("mkdir", f"lab:{bucket}", region=IRELAND)
        self.rclone("sync", self.near, f"lab:{bucket}/x", region=IRELAND)
        self.rclone("check", self.near, f"lab:{bucket}/x", region=IRELAND)
        self.rclone("sync", f"lab:{bucket}/x", self.far, region=IRELAND)
        self.same()
        part = self.rclone("cat", f"lab:{bucket}/x/b/c.bin", "--offset", "69990", region=IRELAND)
        self.assertEqual(part, "\0" * 10)
        self.rclone("copy", f"lab:{bucket}/x", f"lab:{bucket}/y", region=IRELAND)
        listed = self.rclone("lsf", "-R", "--files-only", f"lab:{bucket}/y", region=IRELAND)
        self.assertEqual(sorted(listed.split("\n")[:-1]), sorted([*FILES, "large"]))
        self.rclone("purge", f"lab:{bucket}", region=IRELAND)
        self.refused("404", 404, self.s3(IRELAND).head_bucket, Bucket=bucket)

    def s3cmd(self, *words):
        address = self.lab.environment["AWS_ENDPOINT_URL"].partition("://")[2]
        configuration = pathlib.Path(self.home, "s3cfg")
        configuration.write_text(
            "[default]\n"
            f"access_key = {self.lab.environment['AWS_ACCESS_KEY_ID']}\n"
            f"secret_key = {self.lab.environment['AWS_SECRET_ACCESS_KEY']}\n"
            f"host_base = {address}\nhost_bucket = {address}\nuse_https = False\n"
            f"bucket_location = {VIRGINIA}\nmultipart_chunk_size_mb = 5\n"
        )
        return self.run_tool("s3cmd", "--config", configuration, "--no-progress", *words)

    def test_s3cmd_puts_syncs_moves_and_removes(self):
        bucket = "s3://s3cmd-bucket"
        self.s3cmd("mb", bucket)
        # Whatever it copies, it sets the list of the original on: S3 wants lists to be allowed.
        self.s3().put_bucket_ownership_controls(
            Bucket="s3cmd-bucket",
            OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerPreferred"}]},
        )
        self.s3cmd("sync", f"{self.near}/", f"{bucket}/x/")
        self.s3cmd("sync", f"{bucket}/x/", f"{self.far}/")
        self.same()
        self.assertIn("large", self.s3cmd("ls", f"{bucket}/x/"))
        self.s3cmd("mv", f"{bucket}/x/a.txt", f"{bucket}/moved.txt")
        self.s3cmd("setacl", "--acl-private", f"{bucket}/moved.txt")
        self.assertIn("moved.txt", self.s3cmd("info", f"{bucket}/moved.txt"))
        self.s3cmd("del", "--recursive", "--force", bucket)
        self.s3cmd("rb", bucket)


if __name__ == "__main__":
    unittest.main()
