"""What the tests of accelerators share: endpoints that say who they are, flows to static addresses,
and accelerators made by boto3."""

import socket
import threading
import uuid

from botocore.exceptions import ClientError
from lab import eventually, free_port


class Endpoint:
    """Says its name to whoever connects, then sends back what it is sent; by UDP it answers each
    datagram with its name. It stands at an address of its own, so that several share a port."""

    def __init__(self, address, port, name, datagrams=False):
        self.address, self.port, self.name = address, port, name
        self.datagrams = datagrams
        self.heads = []
        self.open = []
        self.start()

    def start(self):
        """Begins to answer."""
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        where = (self.address, self.port)
        self.listener = socket.create_server(where, family=family, backlog=128)
        self.sockets = [self.listener]
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()
        if self.datagrams:
            link = socket.socket(family, socket.SOCK_DGRAM)
            link.bind(where)
            self.sockets.append(link)
            threading.Thread(target=self.answer, args=(link,), daemon=True).start()

    def stop(self):
        """Refuses from now on, and breaks off what is open."""
        for link in self.sockets + self.open:
            try:
                link.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            link.close()
        self.sockets, self.open = [], []

    def accept(self, listener):
        while True:
            try:
                link, _ = listener.accept()
            except OSError:
                return
            self.open.append(link)
            threading.Thread(target=self.serve, args=(link,), daemon=True).start()

    def serve(self, link):
        try:
            link.sendall(self.name.encode() + b"\n")
            while data := link.recv(65536):
                if len(self.heads) < 1000:
                    self.heads.append(data[:64])
                link.sendall(data)
        except OSError:
            pass
        link.close()

    def answer(self, link):
        while True:
            try:
                data, client = link.recvfrom(65536)
                if client is None:
                    return
                link.sendto(self.name.encode() + b" " + data, client)
            except OSError:
                return


def who(address, port, source=None, wait=5.0):
    """The name of whoever takes a new connection."""
    origin = (source, 0) if source else None
    with socket.create_connection((address, port), timeout=wait, source_address=origin) as link:
        line = b""
        while b"\n" not in line:
            data = link.recv(64)
            if not data:
                raise ConnectionError(f"closed after {line!r}")
            line += data
    return line.split(b"\n")[0].decode()


def decided(call, **arguments):
    """The answer of a change, again while the council elects its leader just after a start."""
    def attempt():
        try:
            return call(**arguments)
        except ClientError as error:
            if "Throttling" not in error.response["Error"]["Code"]:
                raise
            return None

    return eventually(attempt)


class Accelerators:
    """Accelerators of a lab, by boto3: for a case with `lab`."""

    @classmethod
    def client(cls):
        return cls.lab.client("us-west-2", "globalaccelerator")

    @classmethod
    def serve_both_protocols(cls, host):
        """An accelerator of connections and datagrams to one endpoint in us-east-1, for the class."""
        cls.host = host
        cls.port = common_port([cls.host])
        cls.endpoint = Endpoint(cls.host, cls.port, "there", datagrams=True)
        cls.addClassCleanup(cls.endpoint.stop)
        one = cls()
        accelerator = one.accelerator()
        for protocol in ("TCP", "UDP"):
            listener = one.listener(accelerator, cls.port, Protocol=protocol)
            group = one.group(listener, "us-east-1", {cls.host: 128})
            one.await_health(group, state="HEALTHY")
        one.await_deployed(accelerator)
        cls.address = addresses(accelerator)[0]

    def accelerator(self, **changes):
        """A new accelerator."""
        arguments = {"Name": "tests", "IdempotencyToken": str(uuid.uuid4()), **changes}
        made = decided(self.client().create_accelerator, **arguments)
        return made["Accelerator"]

    def listener(self, accelerator, port, **changes):
        """A new listener on one port."""
        arguments = {
            "AcceleratorArn": accelerator["AcceleratorArn"], "Protocol": "TCP",
            "PortRanges": [{"FromPort": port, "ToPort": port}],
            "IdempotencyToken": str(uuid.uuid4()), **changes,
        }
        return decided(self.client().create_listener, **arguments)["Listener"]

    def group(self, listener, region, endpoints, **changes):
        """A new group of endpoints, by their addresses with their weights."""
        endpoints = [{"EndpointId": address, "Weight": weight, "ClientIPPreservationEnabled": False}
                     for address, weight in endpoints.items()]
        arguments = {
            "ListenerArn": listener["ListenerArn"], "EndpointGroupRegion": region,
            "EndpointConfigurations": endpoints, "HealthCheckIntervalSeconds": 10,
            "IdempotencyToken": str(uuid.uuid4()), **changes,
        }
        return decided(self.client().create_endpoint_group, **arguments)["EndpointGroup"]

    def health(self, group):
        """How each endpoint of a group is."""
        found = self.client().describe_endpoint_group(EndpointGroupArn=group["EndpointGroupArn"])
        endpoints = found["EndpointGroup"]["EndpointDescriptions"]
        return {endpoint["EndpointId"]: endpoint["HealthState"] for endpoint in endpoints}

    def await_health(self, group, **expected):
        """Waits until all endpoints of a group are so."""
        eventually(lambda: set(self.health(group).values()) == {expected["state"]})

    def await_deployed(self, accelerator):
        """Waits until every edge has it."""
        arn = accelerator["AcceleratorArn"]
        status = lambda: self.client().describe_accelerator(AcceleratorArn=arn)["Accelerator"]
        eventually(lambda: status()["Status"] == "DEPLOYED")


def addresses(accelerator, family="IPv4"):
    """An accelerator's static addresses of a family."""
    sets = [found["IpAddresses"] for found in accelerator["IpSets"]
            if found["IpAddressFamily"] == family]
    return sets[0] if sets else []


def common_port(hosts):
    """A port that is free at each of those addresses."""
    while True:
        port = free_port()
        try:
            for host in hosts:
                family = socket.AF_INET6 if ":" in host else socket.AF_INET
                socket.create_server((host, port), family=family).close()
        except OSError:
            continue
        return port
