"""A lab of its own for a test: started on free ports, in a directory that goes away with it."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

# Absolute, since some tests run it elsewhere.
CAUSEWAY = os.path.abspath(os.environ.get("CAUSEWAY", "target/release/causeway"))


def free_port():
    """A port that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


# How many times longer than on an idle machine everything may take: labs of other tests run
# beside, and what holds costs nothing.
SLOW = 2


def eventually(condition, seconds=30.0):
    """Waits until the condition holds and returns its value; fails when it has taken [`SLOW`] times
    longer than that many seconds."""
    seconds *= SLOW
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"still not so after {seconds} s: {condition}")
        time.sleep(0.05)


# What `causeway up` says of a port that somebody else took after it was drawn here, and of two that
# were drawn and lead to one: it derives others from them.
TAKEN = ("is taken by another process", "choose ports that differ")


class Lab:
    """A running `causeway up`."""

    def __init__(self, *arguments, tries=5):
        self.folder = tempfile.TemporaryDirectory(prefix="causeway-clients-")
        # Database servers run as a user of their own when we are root: it has to pass through.
        os.chmod(self.folder.name, 0o711)
        # Where `causeway` looks when it runs in this folder and isn't told.
        self.data = pathlib.Path(self.folder.name, ".causeway")
        self.port = free_port()
        self.dns_port = free_port()
        self.arguments = arguments
        self.process = None
        try:
            self.start()
        except AssertionError:
            # Labs of other tests start at the same time, and each listens on more than was looked at.
            said = pathlib.Path(self.folder.name, "up.log").read_text()
            is_taken = any(words in said for words in TAKEN)
            if not is_taken or tries == 1 or self.was_slow:
                raise
            self.log.close()
            self.folder.cleanup()
            self.__init__(*arguments, tries=tries - 1)

    def start(self):
        """Starts the lab and waits until it is ready."""
        self.log = open(pathlib.Path(self.folder.name, "up.log"), "ab")
        command = [CAUSEWAY, "up", "--data", str(self.data), "--api-port", str(self.port)]
        command += ["--dns-port", str(self.dns_port)]
        self.process = subprocess.Popen(
            command + list(self.arguments), stdout=self.log, stderr=self.log
        )
        try:
            eventually(self.ready, 30)
        except AssertionError:
            self.log.flush()
            sys.stderr.write(pathlib.Path(self.folder.name, "up.log").read_text())
            # It would run beside every other test: nobody has it yet who could stop it.
            self.was_slow = self.process.poll() is None
            if self.was_slow:
                self.give_up()
            raise
        self.environment = {**os.environ, **self.credentials()}

    def ready(self):
        """Do all its sites serve?"""
        if self.process.poll() is not None:
            raise AssertionError(f"causeway up ended with {self.process.returncode}")
        return self.run("status", check=False).returncode == 0

    def stop(self, how=signal.SIGTERM):
        """Stops the lab; its data stays."""
        self.process.send_signal(how)
        self.process.wait(30)
        self.log.close()

    def give_up(self):
        """Stops the lab, however far it has come."""
        try:
            self.stop()
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def close(self):
        """Stops the lab and removes its data."""
        if self.process.poll() is None:
            self.stop()
        self.folder.cleanup()

    def run(self, *words, check=True):
        """Runs a `causeway` command on this lab."""
        command = [CAUSEWAY, *words, "--data", str(self.data)]
        return subprocess.run(command, check=check, capture_output=True, text=True, timeout=60)

    def json(self, *words):
        """Runs a `causeway` command and reads the JSON that it prints."""
        return json.loads(self.run(*words, "--json").stdout)

    def address(self, region):
        """The host and port of a Region's own address."""
        sites = self.json("status")["sites"]
        api = next(site["api"] for site in sites if site["site"] == region)
        host, port = api.rsplit(":", 1)
        return host, int(port)

    def processes(self):
        """The process of each site, by the site's name."""
        return {site["site"]: site["process"] for site in self.json("status")["sites"]}

    def client(self, region, service="dynamodb", **changes):
        """A boto3 client of a service that tries once and doesn't wait long."""
        settings = {
            "region_name": region,
            "endpoint_url": self.environment["AWS_ENDPOINT_URL"],
            "aws_access_key_id": self.environment["AWS_ACCESS_KEY_ID"],
            "aws_secret_access_key": self.environment["AWS_SECRET_ACCESS_KEY"],
            "config": Config(retries={"total_max_attempts": 1}, read_timeout=20),
        }
        return boto3.client(service, **{**settings, **changes})

    def route53(self, region="us-east-1"):
        """A boto3 client of Route 53, once the council can decide: it elects its leader just after
        a start."""
        client = self.client(region, "route53")

        def decided():
            try:
                client.create_hosted_zone(Name="first.test", CallerReference="first")
            except client.exceptions.HostedZoneAlreadyExists:
                return True
            except ClientError as error:
                if error.response["Error"]["Code"] != "Throttling":
                    raise
            return False

        eventually(decided)
        zone = client.list_hosted_zones_by_name(DNSName="first.test")["HostedZones"][0]["Id"]
        client.delete_hosted_zone(Id=zone)
        return client

    def credentials(self):
        """What `eval "$(causeway env)"` sets, as a shell would."""
        script = f'eval "$("{CAUSEWAY}" env --data "{self.data}")" && env -0'
        printed = subprocess.run(
            ["sh", "-c", script], check=True, capture_output=True, text=True
        ).stdout
        pairs = (line.split("=", 1) for line in printed.split("\0") if "=" in line)
        return {name: value for name, value in pairs if name.startswith("AWS_")}

    def aws(self, region, *words, check=True):
        """Runs the `aws` command line against a Region and returns what it answers."""
        aws = pathlib.Path(sys.executable).with_name("aws")
        result = subprocess.run(
            [str(aws), "--region", region, "--output", "json", *words],
            capture_output=True,
            text=True,
            env=self.environment,
            timeout=60,
        )
        if check and result.returncode != 0:
            raise AssertionError(f"aws {' '.join(words)}: {result.stderr}")
        if not check:
            return result
        return json.loads(result.stdout) if result.stdout.strip() else {}
