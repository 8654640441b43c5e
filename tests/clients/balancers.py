"""What the tests of load balancers share: targets that say who they are and what they were asked,
load balancers made by boto3, and requests to their nodes by `curl`."""

import http.server
import json
import pathlib
import socket
import subprocess
import threading

from accelerators import common_port
from lab import eventually

REGION = "us-east-1"


class Target:
    """Answers every request with JSON of its name and of what it was asked. It stands at an address
    of its own, so that several share a port."""

    def __init__(self, address, port, name=None):
        self.address, self.port, self.name = address, port, name or address
        self.healthy, self.status, self.probes, self.answered = True, 200, 0, 0
        self.start()

    def start(self):
        """Begins to answer."""
        target = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 60

            def answer(self):
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length)
                if self.headers.get("User-Agent", "").startswith("ELB-HealthChecker"):
                    target.probes += 1
                    status = 200 if target.healthy else 503
                else:
                    target.answered += 1
                    status = target.status
                said = json.dumps({
                    "name": target.name, "method": self.command, "path": self.path,
                    "headers": {key.lower(): value for key, value in self.headers.items()},
                    "body": body.decode("latin-1"),
                }).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(said)))
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(b"" if self.command == "HEAD" else said)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = answer

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            request_queue_size = 128
            daemon_threads = True
            open = []

            def get_request(self):
                link, client = super().get_request()
                self.open.append(link)
                return link, client

            def handle_error(self, *_):
                pass

        self.server = Server((self.address, self.port), Handler)
        self.server.open = []
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05},
                         daemon=True).start()

    def stop(self):
        """Refuses from now on, and breaks off what is open."""
        if self.server is None:
            return
        self.server.shutdown()
        self.server.server_close()
        for link in self.server.open:
            try:
                link.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.server = None


class Balancers:
    """Load balancers of a lab, by boto3: for a case with `lab`. Everything made is removed again."""

    region = REGION

    def setUp(self):
        self.made_groups = []
        # What is used by a listener or a rule can't be removed: cleaned up last.
        self.addCleanup(self.remove_groups)

    def remove_groups(self):
        for arn in self.made_groups:
            self.elb().delete_target_group(TargetGroupArn=arn)

    @classmethod
    def elb(cls):
        return cls.lab.client(cls.region, "elbv2")

    @classmethod
    def subnets(cls):
        """The default subnets, by their zones' letters."""
        found = cls.lab.client(cls.region, "ec2").describe_subnets()["Subnets"]
        return {subnet["AvailabilityZone"][-1]: subnet["SubnetId"] for subnet in found}

    @classmethod
    def vpc(cls):
        found = cls.lab.client(cls.region, "ec2").describe_vpcs()["Vpcs"]
        return found[0]["VpcId"]

    def targets(self, *hosts, **changes):
        """Targets that share a port, by their addresses; the port."""
        port = common_port(hosts)
        made = {host: Target(host, port, **changes) for host in hosts}
        for target in made.values():
            self.addCleanup(target.stop)
        return made, port

    def balancer(self, name, zones="ab", **changes):
        """A new load balancer in those zones, once it is active."""
        subnets = self.subnets()
        arguments = {"Name": name, "Subnets": [subnets[zone] for zone in zones], **changes}
        made = self.elb().create_load_balancer(**arguments)["LoadBalancers"][0]
        arn = made["LoadBalancerArn"]
        self.addCleanup(lambda: self.elb().delete_load_balancer(LoadBalancerArn=arn))
        eventually(lambda: self.described(arn)["State"]["Code"] == "active")
        return made

    def described(self, arn):
        found = self.elb().describe_load_balancers(LoadBalancerArns=[arn])
        return found["LoadBalancers"][0]

    def group(self, name, port, hosts=(), **changes):
        """A new target group of addresses, with checks as quick as they may be."""
        arguments = {
            "Name": name, "Protocol": "HTTP", "Port": port, "VpcId": self.vpc(),
            "TargetType": "ip", "HealthCheckIntervalSeconds": 5,
            "HealthCheckTimeoutSeconds": 2, "HealthyThresholdCount": 2,
            "UnhealthyThresholdCount": 2, **changes,
        }
        made = self.elb().create_target_group(**arguments)["TargetGroups"][0]
        arn = made["TargetGroupArn"]
        self.made_groups.append(arn)
        if hosts:
            self.register(arn, hosts)
        return arn

    def register(self, group, hosts):
        targets = [{"Id": host, "AvailabilityZone": "all"} for host in hosts]
        self.elb().register_targets(TargetGroupArn=group, Targets=targets)

    def listener(self, balancer, port, actions, **changes):
        """A new listener with those default actions, or that forwards to that group."""
        if isinstance(actions, str):
            actions = [{"Type": "forward", "TargetGroupArn": actions}]
        arguments = {
            "LoadBalancerArn": balancer["LoadBalancerArn"], "Protocol": "HTTP", "Port": port,
            "DefaultActions": actions, **changes,
        }
        made = self.elb().create_listener(**arguments)["Listeners"][0]
        arn = made["ListenerArn"]
        self.addCleanup(lambda: self.elb().delete_listener(ListenerArn=arn))
        return arn

    def rule(self, listener, priority, conditions, actions):
        """A new rule with those actions, or that forwards to that group."""
        if isinstance(actions, str):
            actions = [{"Type": "forward", "TargetGroupArn": actions}]
        made = self.elb().create_rule(ListenerArn=listener, Priority=priority,
                                      Conditions=conditions, Actions=actions)
        return made["Rules"][0]["RuleArn"]

    def health(self, group):
        """How each target is: its state and reason, by its address."""
        found = self.elb().describe_target_health(TargetGroupArn=group)
        rows = found["TargetHealthDescriptions"]
        return {row["Target"]["Id"]: (row["TargetHealth"]["State"],
                                      row["TargetHealth"].get("Reason")) for row in rows}

    def await_health(self, group, state="healthy"):
        """Waits until all targets of a group are so."""
        eventually(lambda: {one for one, _ in self.health(group).values()} == {state})

    def nodes(self, balancer):
        """The addresses of a load balancer's nodes, as its Region describes them."""
        found = self.lab.client(self.region, "ec2").describe_network_interfaces(Filters=[
            {"Name": "description", "Values": ["ELB " + balancer["LoadBalancerArn"].split(
                "loadbalancer/")[1]]},
        ])["NetworkInterfaces"]
        return sorted(one["PrivateIpAddress"] for one in found)


def curl(url, *words, wait=10):
    """What `curl` prints of a request, and its exit code."""
    command = ["curl", "-sS", "--max-time", str(wait), *words, url]
    result = subprocess.run(command, capture_output=True, text=True, timeout=wait + 10)
    return result.returncode, result.stdout, result.stderr


def ask(address, port, path="/", *words):
    """What the target says of a request by `curl`, as an object."""
    code, said, error = curl(f"http://{address}:{port}{path}", *words)
    if code != 0:
        raise AssertionError(f"curl ended with {code}: {error}")
    return json.loads(said)


def status(address, port, path="/", *words):
    """The status of a response, its headers in small letters (of one name the first), its body."""
    code, said, error = curl(f"http://{address}:{port}{path}", "-i", *words)
    if code != 0:
        raise AssertionError(f"curl ended with {code}: {error}")
    head, _, body = said.partition("\n\n") if "\r\n\r\n" not in said else said.partition("\r\n\r\n")
    lines = head.splitlines()
    headers = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers.setdefault(name.lower(), value.strip())
    return int(lines[0].split()[1]), headers, body


def certificate(folder, name, *hosts):
    """A certificate of its own for those hosts, in NAME.pem and NAME.key of that folder."""
    pem, key = (pathlib.Path(folder, f"{name}.{end}") for end in ("pem", "key"))
    names = ",".join(f"DNS:{host}" for host in hosts)
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "30", "-subj", f"/CN={hosts[0]}", "-addext", f"subjectAltName={names}",
         "-keyout", str(key), "-out", str(pem)],
        check=True, capture_output=True,
    )
    return pem, key
