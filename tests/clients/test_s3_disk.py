"""A disk that fills up, for real: a small file system in memory under a lab of its own."""

import ctypes
import os
import pathlib
import unittest

from lab import Lab
from s3 import VIRGINIA, Objects

MIB = 1 << 20
# What must be free for blobs and for versions; the file system has more.
BLOBS, VERSIONS, WHOLE = 1024 * MIB, 768 * MIB, 1536 * MIB


class SmallDisk(Lab):
    """A lab whose data is on a file system of its own."""

    def start(self):
        if not os.path.ismount(self.data):
            self.data.mkdir()
            libc = ctypes.CDLL(None, use_errno=True)
            options = f"size={WHOLE}".encode()
            if libc.mount(b"none", bytes(self.data), b"tmpfs", 0, options) != 0:
                self.folder.cleanup()
                raise unittest.SkipTest("NOT TESTED: this user can't mount a file system")
        super().start()

    def close(self):
        if self.process.poll() is None:
            self.stop()
        ctypes.CDLL(None).umount2(bytes(self.data), 2)
        super().close()

    def leave(self, free):
        """Has so many bytes free on it, and not many more."""
        ballast = pathlib.Path(self.data, "ballast")
        ballast.unlink(missing_ok=True)
        with open(ballast, "wb") as file:
            now = os.statvfs(self.data)
            os.posix_fallocate(file.fileno(), 0, now.f_bavail * now.f_frsize - free)


class Disk(Objects):
    """One lab with one Region."""

    @classmethod
    def setUpClass(cls):
        cls.lab = SmallDisk("--delay-scale", "0", "--regions", VIRGINIA)
        cls.addClassCleanup(cls.lab.close)
        cls.clients = {}

    def test_a_full_disk_refuses_what_adds_to_it_and_goes_on_with_the_rest(self):
        bucket = self.bucket()
        put = lambda key, size: self.s3().put_object(Bucket=bucket, Key=key, Body=b"x" * size)
        put("small", 1_000)
        put("large", MIB)
        full = lambda key, size: self.refused(
            "ServiceUnavailable", 503, put, "Service is unable to handle request.",
            key=key, size=size,
        )
        self.lab.leave(BLOBS - 50 * MIB)
        full("more", MIB)
        put("little", 1_000)
        self.lab.leave(VERSIONS - 50 * MIB)
        full("more", 1_000)
        self.assertEqual(self.read(bucket, "large"), b"x" * MIB)
        self.s3().delete_object(Bucket=bucket, Key="little")
        pathlib.Path(self.lab.data, "ballast").unlink()
        put("more", MIB)
        self.assertEqual(self.keys(bucket), ["large", "more", "small"])
        self.lab.run("verify")


if __name__ == "__main__":
    unittest.main()
