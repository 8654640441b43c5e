"""Bytes elsewhere: a Region whose larger bytes are in a bucket of another lab, in real processes;
killed amid an upload, and with the other lab away."""

import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import unittest

from botocore.awsrequest import AWSRequest
from botocore.exceptions import ClientError
from lab import CAUSEWAY, Lab, eventually, free_port
from s3 import VIRGINIA, Objects, signer

MIB = 1024 * 1024

# A lab of one Region: nothing else is asked of either here.
ONE = ("--regions", VIRGINIA, "--edges", "0", "--delay-scale", "0")


def store_file(folder, lab, bucket, prefix="near"):
    """A file for `--blob-store`, and the credentials that it names; its path."""
    folder = pathlib.Path(folder)
    (folder / "credentials").write_text(
        "[default]\n"
        f"aws_access_key_id = {lab.environment['AWS_ACCESS_KEY_ID']}\n"
        f"aws_secret_access_key = {lab.environment['AWS_SECRET_ACCESS_KEY']}\n"
    )
    file = folder / "store.toml"
    file.write_text(
        f'endpoint = "http://127.0.0.1:{lab.port}"\nregion = "{VIRGINIA}"\n'
        f'bucket = "{bucket}"\nprefix = "{prefix}"\ncredentials = "credentials"\n'
    )
    return file


class Elsewhere(Objects):
    """`lab` keeps its larger bytes in a bucket of `far`."""

    @classmethod
    def setUpClass(cls):
        cls.clients = {}
        cls.far = Lab(*ONE)
        cls.addClassCleanup(cls.far.close)
        cls.theirs = cls.far.client(VIRGINIA, "s3")
        eventually(cls.made)
        cls.files = tempfile.TemporaryDirectory(prefix="causeway-elsewhere-")
        cls.addClassCleanup(cls.files.cleanup)
        cls.file = store_file(cls.files.name, cls.far, "bytes")
        cls.lab = Lab(*ONE, "--blob-store", str(cls.file))
        cls.addClassCleanup(cls.lab.close)

    @classmethod
    def made(cls):
        """Makes the bucket, once the council can decide."""
        try:
            return cls.theirs.create_bucket(Bucket="bytes")
        except ClientError as error:
            if error.response["Error"]["Code"] not in ("OperationAborted", "ServiceUnavailable",
                                                       "SlowDown"):
                raise
            return None

    def kept(self):
        """The names of what is in the other lab's bucket, without their folder."""
        pages = self.theirs.get_paginator("list_objects_v2").paginate(Bucket="bytes")
        names = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
        self.assertTrue(all(name.startswith(f"near/{VIRGINIA}/") for name in names), names)
        return {name.rsplit("/", 1)[1] for name in names}

    def uploads(self):
        """How many uploads are under way there."""
        return len(self.theirs.list_multipart_uploads(Bucket="bytes").get("Uploads", []))

    def restart(self, how=signal.SIGTERM):
        """Stops and starts the lab."""
        self.lab.stop(how)
        eventually(lambda: not self.lab.run("status", check=False).returncode == 0)
        self.lab.start()
        self.clients.clear()

    def test_larger_bytes_are_there_and_small_ones_are_not(self):
        bucket, before, uploads = self.bucket(), self.kept(), self.uploads()
        self.assertIn("owner", before)
        objects = {"small": 16 * 1024, "one": 100_000, "parts": 12 * MIB + 5}
        data = {key: os.urandom(size) for key, size in objects.items()}
        for key, body in data.items():
            self.s3().put_object(Bucket=bucket, Key=key, Body=body)
        # One object for each of the two larger ones: no note of an upload stays.
        made = self.kept() - before
        self.assertEqual(len(made), 2, made)
        self.assertTrue(all(len(name) == 32 for name in made), made)
        self.assertEqual(self.uploads(), uploads)
        self.assertFalse(list(pathlib.Path(self.lab.data).rglob("blobs")), "nothing is here")
        for key, body in data.items():
            self.assertEqual(self.read(bucket, key), body, key)
            part = self.read(bucket, key, Range="bytes=9000-15000")
            self.assertEqual(part, body[9000:15001], key)
        for name in made:
            sealed = self.theirs.get_object(Bucket="bytes", Key=f"near/{VIRGINIA}/{name}")
            self.assertNotIn(data["one"][:32], sealed["Body"].read(), "bytes leave sealed alone")
        self.restart()
        self.assertEqual(self.read(bucket, "parts"), data["parts"])
        verified = self.lab.json("verify")
        self.assertEqual(verified["regions"][0]["findings"], [])
        self.assertGreaterEqual(verified["regions"][0]["detail"]["objects"]["pieces"], 3)

    def test_uploads_in_parts_and_copies_are_whole(self):
        bucket, data, uploads = self.bucket(), os.urandom(17 * MIB), self.uploads()
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, "file")
            file.write_bytes(data)
            self.s3().upload_file(str(file), bucket, "uploaded")
        self.s3().copy_object(
            Bucket=bucket, Key="copied", CopySource={"Bucket": bucket, "Key": "uploaded"}
        )
        for key in ("uploaded", "copied"):
            self.assertEqual(self.read(bucket, key), data, key)
        self.assertEqual(self.uploads(), uploads)

    def test_a_region_killed_amid_an_upload_leaves_what_it_finds_again(self):
        bucket = self.bucket()
        body = os.urandom(10 * MIB)
        self.s3().put_object(Bucket=bucket, Key="kept", Body=body)
        before = self.kept()
        target = f"http://127.0.0.1:{self.lab.port}/{bucket}/lost"
        request = AWSRequest("PUT", target, data=b"", headers={
            "Host": f"127.0.0.1:{self.lab.port}", "x-amz-content-sha256": "UNSIGNED-PAYLOAD",
        })
        signer(self.lab, VIRGINIA).add_auth(request)
        lines = [f"PUT /{bucket}/lost HTTP/1.1", f"Content-Length: {20 * MIB}"]
        lines += [f"{name}: {value}" for name, value in request.headers.items()]
        with socket.create_connection(("127.0.0.1", self.lab.port), timeout=60) as link:
            link.sendall("\r\n".join([*lines, "", ""]).encode() + bytes(14 * MIB))
            notes = eventually(lambda: {n for n in self.kept() - before if n.endswith(".part")})
            self.assertEqual(self.uploads(), 1)
            self.lab.run("fault", "kill", VIRGINIA)
        self.lab.run("fault", "heal")
        eventually(lambda: self.alive(bucket), 60)
        self.assertEqual(self.keys(bucket), ["kept"])
        self.assertEqual(self.read(bucket, "kept"), body)
        # It is an orphan, which is removed when it has been one for an hour.
        self.assertEqual({n for n in self.kept() if n.endswith(".part")}, notes)

    def alive(self, bucket):
        """Does the Region serve again?"""
        try:
            return self.s3().head_bucket(Bucket=bucket)
        except Exception:  # Refused, reset, or 503 on the way.
            return None

    def test_while_the_other_lab_is_away_large_bytes_fail_and_small_ones_go_on(self):
        bucket, data = self.bucket(), os.urandom(300_000)
        self.s3().put_object(Bucket=bucket, Key="large", Body=data)
        self.s3().put_object(Bucket=bucket, Key="small", Body=b"small")
        self.far.stop()
        try:
            for call, more in [
                (self.s3().get_object, {}),
                (self.s3().put_object, {"Body": data}),
                (self.s3().put_object, {"Body": bytes(12 * MIB)}),
            ]:
                with self.assertRaises(ClientError) as raised:
                    call(Bucket=bucket, Key="large", **more)
                status = raised.exception.response["ResponseMetadata"]["HTTPStatusCode"]
                self.assertEqual(status, 503)
            self.s3().put_object(Bucket=bucket, Key="small", Body=b"still")
            self.assertEqual(self.read(bucket, "small"), b"still")
            self.assertEqual(self.keys(bucket), ["large", "small"])
            alarms = self.lab.json("status")["sites"][0]["detail"]["alarms"]
            self.assertTrue(any("the store of their bytes" in alarm for alarm in alarms), alarms)
            verified = self.lab.run("verify", "--json", check=False)
            self.assertEqual(verified.returncode, 1)
            # It starts without the store, too.
            self.restart()
            self.assertEqual(self.read(bucket, "small"), b"still")
        finally:
            self.far.start()
        self.assertEqual(eventually(lambda: self.found(bucket)), data)
        self.s3().put_object(Bucket=bucket, Key="again", Body=data)
        self.assertEqual(self.read(bucket, "again"), data)
        self.assertEqual(self.lab.json("verify")["regions"][0]["findings"], [])

    def found(self, bucket):
        """The bytes, once the other lab serves."""
        try:
            return self.read(bucket, "large")
        except ClientError:
            return None

    def test_bytes_are_not_moved_by_a_change_of_configuration(self):
        folder = tempfile.TemporaryDirectory(prefix="causeway-elsewhere-")
        self.addCleanup(folder.cleanup)
        data = pathlib.Path(folder.name, "data")

        def up(*words):
            """What `causeway up` says when it doesn't start."""
            command = [CAUSEWAY, "up", "--data", str(data), "--api-port", str(free_port()),
                       *ONE, *words]
            ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
            return ended.returncode, ended.stderr

        absent = pathlib.Path(folder.name, "absent.toml")
        code, said = up("--blob-store", str(absent))
        self.assertEqual(code, 2, said)
        self.assertIn("absent.toml", said)
        self.assertFalse(data.exists(), "a refusal leaves nothing behind")
        # A Region that was made elsewhere looks nowhere else.
        self.lab.stop()
        try:
            for words in ("local", store_file(folder.name, self.far, "bytes", "elsewhere")):
                command = [CAUSEWAY, "up", "--data", str(self.lab.data), "--api-port",
                           str(self.lab.port), "--blob-store", str(words)]
                ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
                self.assertNotEqual(ended.returncode, 0)
                self.assertIn("aren't moved", ended.stderr)
        finally:
            self.lab.arguments = (*ONE, "--blob-store", str(self.file))
            self.lab.start()
            self.clients.clear()

    def test_another_lab_s_folder_is_refused(self):
        other = Lab(*ONE, "--blob-store", str(self.file))
        self.addCleanup(other.close)
        client = other.client(VIRGINIA, "s3")

        def created():
            try:
                return client.create_bucket(Bucket="theirs")
            except ClientError:
                return None

        before = self.kept()
        eventually(created)
        client.put_object(Bucket="theirs", Key="small", Body=b"x")
        with self.assertRaises(ClientError) as raised:
            client.put_object(Bucket="theirs", Key="large", Body=bytes(100_000))
        self.assertEqual(raised.exception.response["ResponseMetadata"]["HTTPStatusCode"], 503)
        alarms = other.json("status")["sites"][0]["detail"]["alarms"]
        self.assertTrue(any("another Region's" in alarm for alarm in alarms), alarms)
        self.assertEqual(self.kept(), before)


if __name__ == "__main__":
    unittest.main()
