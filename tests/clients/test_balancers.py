"""Load balancers by real clients: the stock command of the `aws` command line, boto3, `curl` through
nodes of application and network load balancers, and what dead targets and zones cost."""

import collections
import concurrent.futures
import gzip
import json
import pathlib
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import unittest

from accelerators import Endpoint, common_port, decided, who
from balancers import Balancers, Target, ask, certificate, curl, status
from botocore.exceptions import ClientError
from lab import Lab, eventually, free_port
from names import resolve

REGION = "us-east-1"


class CommandLine(unittest.TestCase):
    """The stock command, from `create-load-balancer` to `curl`."""

    @classmethod
    def setUpClass(cls):
        cls.lab = Lab("--regions", REGION, "--delay-scale", "0")
        cls.addClassCleanup(cls.lab.close)

    def aws(self, *words):
        return self.lab.aws(REGION, "elbv2", *words)

    @unittest.skipUnless(shutil.which("curl"), "NOT TESTED: curl is not installed")
    def test_from_the_command_to_the_application_and_a_target_dies(self):
        hosts = ["127.5.10.1", "127.5.10.2"]
        port = common_port(hosts)
        targets = [Target(host, port) for host in hosts]
        for target in targets:
            self.addCleanup(target.stop)
        found = self.lab.aws(REGION, "ec2", "describe-subnets")["Subnets"]
        subnets = [subnet["SubnetId"] for subnet in found][:2]
        vpc = found[0]["VpcId"]
        made = self.aws("create-load-balancer", "--name", "orders", "--subnets", *subnets)
        balancer = made["LoadBalancers"][0]
        arn = balancer["LoadBalancerArn"]
        self.assertRegex(balancer["DNSName"], r"^orders-[0-9]+\.us-east-1\.elb\.amazonaws\.com$")
        self.assertEqual(balancer["CanonicalHostedZoneId"], "Z35SXDOTRQ7X7K")
        group = self.aws(
            "create-target-group", "--name", "orders", "--protocol", "HTTP", "--port", str(port),
            "--vpc-id", vpc, "--target-type", "ip", "--health-check-interval-seconds", "5",
            "--healthy-threshold-count", "2", "--unhealthy-threshold-count", "2",
            "--health-check-timeout-seconds", "2",
        )["TargetGroups"][0]["TargetGroupArn"]
        self.aws("register-targets", "--target-group-arn", group,
                 "--targets", *(f"Id={host},AvailabilityZone=all" for host in hosts))
        front = free_port()
        self.aws("create-listener", "--load-balancer-arn", arn, "--protocol", "HTTP",
                 "--port", str(front), "--default-actions",
                 f"Type=forward,TargetGroupArn={group}")

        def states():
            rows = self.aws("describe-target-health", "--target-group-arn", group)
            return [row["TargetHealth"]["State"] for row in rows["TargetHealthDescriptions"]]

        eventually(lambda: states() == ["healthy", "healthy"], 60)
        eventually(lambda: self.aws("describe-load-balancers", "--load-balancer-arns", arn)[
            "LoadBalancers"][0]["State"]["Code"] == "active")
        dns = ("127.0.0.1", self.lab.dns_port)
        nodes = eventually(lambda: resolve(dns, balancer["DNSName"]))
        self.assertEqual(len(nodes), 2)
        self.assertTrue(nodes[0].startswith("127.32.1.") and nodes[1].startswith("127.33.1."))
        for node in nodes:
            names = collections.Counter(ask(node, front)["name"] for _ in range(10))
            self.assertEqual(names, dict.fromkeys(hosts, 5))

        # A target dies: nobody's request fails, long before a check says so.
        targets[0].stop()
        names = collections.Counter(ask(nodes[0], front)["name"] for _ in range(40))
        self.assertEqual(names, {hosts[1]: 40})
        eventually(lambda: sorted(states()) == ["healthy", "unhealthy"], 60)
        # It takes part again once it has passed its checks.
        targets[0].start()
        eventually(lambda: states() == ["healthy", "healthy"], 60)
        eventually(lambda: ask(nodes[0], front)["name"] == hosts[0])
        # What is deleted is gone.
        self.aws("delete-load-balancer", "--load-balancer-arn", arn)
        eventually(lambda: curl(f"http://{nodes[0]}:{front}/")[0] == 7)
        eventually(lambda: resolve(dns, balancer["DNSName"]) == [])
        self.aws("delete-target-group", "--target-group-arn", group)


class Application(Balancers, unittest.TestCase):
    """Application load balancers by boto3 and `curl`."""

    @classmethod
    def setUpClass(cls):
        if not shutil.which("curl"):
            raise unittest.SkipTest("NOT TESTED: curl is not installed")
        cls.folder = tempfile.TemporaryDirectory(prefix="causeway-certificates-")
        cls.addClassCleanup(cls.folder.cleanup)
        certificate(cls.folder.name, "shop", "shop.test")
        certificate(cls.folder.name, "blog", "blog.test", "*.blog.test")
        cls.lab = Lab("--regions", REGION, "--delay-scale", "0",
                      "--certificates", cls.folder.name)
        cls.addClassCleanup(cls.lab.close)

    def served(self, name, hosts, **changes):
        """A load balancer with a listener and healthy targets: a node's address, the listener's
        port and ARN, the group, the targets."""
        targets, port = self.targets(*hosts)
        balancer = self.balancer(name, **changes)
        group = self.group(name, port, hosts)
        front = free_port()
        listener = self.listener(balancer, front, group)
        self.await_health(group)
        return self.nodes(balancer)[0], front, listener, group, targets

    def test_targets_learn_who_asks_and_how(self):
        node, port, _, _, _ = self.served("headers", ["127.5.11.1"])
        said = ask(node, port, "/a/b?c=d", "-H", "Host: shop.test", "-d", "body")
        self.assertEqual((said["method"], said["path"], said["body"]), ("POST", "/a/b?c=d", "body"))
        headers = said["headers"]
        self.assertEqual(headers["host"], f"shop.test:{port}")
        self.assertEqual(headers["x-forwarded-for"], "127.0.0.1")
        self.assertEqual(headers["x-forwarded-proto"], "http")
        self.assertEqual(headers["x-forwarded-port"], str(port))
        self.assertRegex(headers["x-amzn-trace-id"], r"^Root=1-[0-9a-f]{8}-[0-9a-f]{24}$")
        said = ask(node, port, "/", "-H", "X-Forwarded-For: 192.0.2.1")
        self.assertEqual(said["headers"]["x-forwarded-for"], "192.0.2.1, 127.0.0.1")

    def test_rules_send_requests_where_they_say(self):
        node, port, listener, _, _ = self.served("rules", ["127.5.11.2"])
        others, other_port = self.targets("127.5.11.3")
        other = self.group("rules-other", other_port, list(others))
        path = {"Field": "path-pattern", "PathPatternConfig": {"Values": ["/api/*"]}}
        host = {"Field": "host-header", "HostHeaderConfig": {"Values": ["*.shop.test"]}}
        agent = {"Field": "http-header", "HttpHeaderConfig": {
            "HttpHeaderName": "User-Agent", "Values": ["*robot*"]}}
        method = {"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": ["PUT"]}}
        query = {"Field": "query-string", "QueryStringConfig": {
            "Values": [{"Key": "version", "Value": "2"}]}}
        source = {"Field": "source-ip", "SourceIpConfig": {"Values": ["127.0.0.2/32"]}}
        fixed = lambda text: [{"Type": "fixed-response", "FixedResponseConfig": {
            "StatusCode": "418", "ContentType": "text/plain", "MessageBody": text}}]
        moved = [{"Type": "redirect", "RedirectConfig": {
            "Protocol": "HTTPS", "Port": "443", "Host": "www.#{host}", "Path": "/new/#{path}",
            "Query": "#{query}&from=old", "StatusCode": "HTTP_301"}}]
        self.rule(listener, 10, [path, host], other)
        self.rule(listener, 20, [path], fixed("path"))
        self.rule(listener, 30, [agent], fixed("agent"))
        self.rule(listener, 40, [method], fixed("method"))
        self.rule(listener, 50, [query], fixed("query"))
        self.rule(listener, 60, [source], fixed("source"))
        old = {"Field": "path-pattern", "PathPatternConfig": {"Values": ["/old"]}}
        self.rule(listener, 70, [old], moved)
        eventually(lambda: status(node, port, "/old")[0] == 301)
        self.await_health(other)
        self.assertEqual(ask(node, port, "/other")["name"], "127.5.11.2")
        told = ask(node, port, "/api/1", "-H", "Host: a.shop.test")
        self.assertEqual(told["name"], "127.5.11.3")
        for path, words, text in (
            ("/api/1", (), "path"),
            ("/", ("-A", "A Robot/1"), "agent"),
            ("/", ("-X", "PUT"), "method"),
            ("/?version=2", (), "query"),
            ("/", ("--interface", "127.0.0.2"), "source"),
        ):
            answered, headers, body = status(node, port, path, *words)
            self.assertEqual((answered, body), (418, text))
            self.assertEqual(headers["content-type"], "text/plain")
            self.assertEqual(headers["server"], "awselb/2.0")
        answered, headers, _ = status(node, port, "/old?a=b", "-H", "Host: shop.test")
        self.assertEqual(headers["location"], "https://www.shop.test:443/new/old?a=b&from=old")

    def test_weights_share_and_cookies_keep_clients(self):
        node, port, listener, group, _ = self.served("weights", ["127.5.11.4", "127.5.11.5"])
        others, other_port = self.targets("127.5.11.6")
        other = self.group("weights-other", other_port, list(others))
        forward = lambda one, two, **more: [{"Type": "forward", "ForwardConfig": {
            "TargetGroups": [{"TargetGroupArn": group, "Weight": one},
                             {"TargetGroupArn": other, "Weight": two}], **more}}]
        self.elb().modify_listener(ListenerArn=listener, DefaultActions=forward(0, 1))
        self.await_health(other)
        eventually(lambda: ask(node, port)["name"] == "127.5.11.6")
        self.assertEqual({ask(node, port)["name"] for _ in range(10)}, {"127.5.11.6"})
        self.elb().modify_listener(ListenerArn=listener, DefaultActions=forward(1, 0))
        eventually(lambda: ask(node, port)["name"] != "127.5.11.6")
        self.elb().modify_target_group_attributes(TargetGroupArn=group, Attributes=[
            {"Key": "stickiness.enabled", "Value": "true"},
            {"Key": "stickiness.type", "Value": "lb_cookie"},
            {"Key": "stickiness.lb_cookie.duration_seconds", "Value": "60"},
        ])
        cookie = lambda: status(node, port)[1].get("set-cookie", "")
        eventually(lambda: cookie().startswith("AWSALB="))
        kept = cookie().split(";")[0]
        names = {ask(node, port, "/", "-H", f"Cookie: {kept}")["name"] for _ in range(10)}
        self.assertEqual(len(names), 1)

    def test_a_target_that_fails_its_checks_gets_nothing_and_says_why(self):
        hosts = ["127.5.11.7", "127.5.11.8"]
        node, port, _, group, targets = self.served("checks", hosts)
        targets[hosts[0]].healthy = False
        failed = ("unhealthy", "Target.ResponseCodeMismatch")
        eventually(lambda: self.health(group)[hosts[0]] == failed, 40)
        self.assertEqual({ask(node, port)["name"] for _ in range(20)}, {hosts[1]})
        # With none healthy it fails open: all get requests.
        targets[hosts[1]].healthy = False
        eventually(lambda: self.health(group)[hosts[1]] == failed, 40)
        self.assertEqual({ask(node, port)["name"] for _ in range(20)}, set(hosts))
        targets[hosts[0]].stop()
        timed = lambda: self.health(group)[hosts[0]][1]
        eventually(lambda: timed() in ("Target.FailedHealthChecks", "Target.Timeout"), 40)

    def test_a_target_that_is_deregistered_drains(self):
        hosts = ["127.5.11.9", "127.5.11.10"]
        node, port, _, group, _ = self.served("draining", hosts)
        self.elb().modify_target_group_attributes(TargetGroupArn=group, Attributes=[
            {"Key": "deregistration_delay.timeout_seconds", "Value": "3"}])
        self.elb().deregister_targets(TargetGroupArn=group, Targets=[{"Id": hosts[0]}])
        self.assertEqual(self.health(group)[hosts[0]],
                         ("draining", "Target.DeregistrationInProgress"))
        eventually(lambda: ask(node, port)["name"] == hosts[1])
        self.assertEqual({ask(node, port)["name"] for _ in range(10)}, {hosts[1]})
        eventually(lambda: hosts[0] not in self.health(group), 20)

    def test_nobody_is_there_and_nobody_answers(self):
        balancer = self.balancer("nobody")
        empty = self.group("nobody", 80)
        port = free_port()
        self.listener(balancer, port, empty)
        node = self.nodes(balancer)[0]
        eventually(lambda: curl(f"http://{node}:{port}/")[0] == 0)
        answered, headers, body = status(node, port)
        self.assertEqual(answered, 503)
        self.assertIn("<h1>503 Service Temporarily Unavailable</h1>", body)
        self.assertEqual(headers["server"], "awselb/2.0")
        gone = common_port(["127.5.11.11"])
        self.register(empty, ["127.5.11.11"])
        self.elb().modify_target_group_attributes(TargetGroupArn=empty, Attributes=[
            {"Key": "deregistration_delay.timeout_seconds", "Value": "0"}])
        del gone
        eventually(lambda: status(node, port)[0] == 502)

    def test_https_with_certificates_by_name_and_http_2(self):
        hosts = ["127.5.11.12"]
        _, port = self.targets(*hosts)
        balancer = self.balancer("secure")
        group = self.group("secure", port, hosts)
        front = free_port()
        arn = f"arn:aws:acm:{REGION}:111122223333:certificate/"
        listener = self.listener(balancer, front, group, Protocol="HTTPS",
                                 Certificates=[{"CertificateArn": arn + "shop"}])
        self.elb().add_listener_certificates(
            ListenerArn=listener, Certificates=[{"CertificateArn": arn + "blog"}])
        self.await_health(group)
        node = self.nodes(balancer)[0]

        def asked(name, host, *words):
            pem = pathlib.Path(self.folder.name, f"{name}.pem")
            return curl(f"https://{host}:{front}/", "--resolve", f"{host}:{front}:{node}",
                        "--cacert", str(pem), *words)

        eventually(lambda: asked("shop", "shop.test")[0] == 0)
        for name, host in (("shop", "shop.test"), ("blog", "blog.test"), ("blog", "a.blog.test")):
            code, said, error = asked(name, host)
            self.assertEqual(code, 0, error)
            self.assertEqual(json.loads(said)["headers"]["x-forwarded-proto"], "https")
        code, said, _ = asked("shop", "shop.test", "--http2", "-o", "/dev/null",
                              "-w", "%{http_version}")
        self.assertEqual((code, said), (0, "2"))
        # A certificate that isn't there can't be named.
        with self.assertRaises(ClientError) as raised:
            self.listener(balancer, free_port(), group, Protocol="HTTPS",
                          Certificates=[{"CertificateArn": arn + "nobody"}])
        self.assertEqual(raised.exception.response["Error"]["Code"], "CertificateNotFound")

    @unittest.skipUnless(shutil.which("chromium"), "NOT TESTED: chromium is not installed")
    def test_a_browser_is_served(self):
        _, port = self.targets("127.5.11.19")
        balancer = self.balancer("browser")
        group = self.group("browser", port, ["127.5.11.19"])
        front = free_port()
        arn = f"arn:aws:acm:{REGION}:111122223333:certificate/shop"
        self.listener(balancer, front, group, Protocol="HTTPS",
                      Certificates=[{"CertificateArn": arn}])
        self.await_health(group)
        node = self.nodes(balancer)[0]
        with tempfile.TemporaryDirectory(prefix="causeway-browser-") as profile:
            page = subprocess.run(
                ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom",
                 "--ignore-certificate-errors", f"--user-data-dir={profile}",
                 f"--host-resolver-rules=MAP shop.test {node}", f"https://shop.test:{front}/page"],
                capture_output=True, text=True, timeout=60,
            ).stdout
        self.assertIn('"name": "127.5.11.19"', page)
        self.assertIn('"path": "/page"', page)

    def test_requests_that_lie_about_their_length_reach_nobody(self):
        node, port, _, _, targets = self.served("smuggling", ["127.5.11.13"])
        before = targets["127.5.11.13"].answered
        for head in (
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc",
            b"POST / HTTP/1.1\r\nHost : a\r\nContent-Length: 3\r\n\r\nabc",
            b"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
            b"GET / HTTP/1.1\r\nNo-Host: a\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        ):
            with socket.create_connection((node, port), 10) as link:
                link.sendall(head)
                said = b""
                while data := link.recv(4096):
                    said += data
            self.assertRegex(said[:13], rb"^HTTP/1\.1 400|^$", head)
        self.assertEqual(targets["127.5.11.13"].answered, before)
        self.assertEqual(ask(node, port)["name"], "127.5.11.13")

    def test_no_request_fails_while_a_target_dies_under_load(self):
        hosts = ["127.5.11.14", "127.5.11.15"]
        node, port, _, _, targets = self.served("load", hosts)
        stop, outcomes = threading.Event(), collections.Counter()

        def client():
            while not stop.is_set():
                code, said, _ = curl(f"http://{node}:{port}/", "-o", "/dev/null",
                                     "-w", "%{http_code}")
                outcomes[said if code == 0 else f"curl {code}"] += 1

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            running = [pool.submit(client) for _ in range(4)]
            eventually(lambda: outcomes["200"] > 20)
            # Refuses from now on: what is under way there ends as it does.
            targets[hosts[0]].server.socket.close()
            before = outcomes["200"]
            eventually(lambda: outcomes["200"] > before + 40)
            stop.set()
            for one in running:
                one.result()
        self.assertEqual(set(outcomes), {"200"}, outcomes)

    def test_uploaded_certificates_serve_too(self):
        _, port = self.targets("127.5.11.17")
        balancer = self.balancer("uploaded")
        group = self.group("uploaded", port, ["127.5.11.17"])
        pem, key = certificate(self.folder.name, "uploaded", "up.test")
        iam = self.lab.client(REGION, "iam")
        made = decided(iam.upload_server_certificate, ServerCertificateName="up",
                       CertificateBody=pem.read_text(), PrivateKey=key.read_text())
        front = free_port()
        arn = made["ServerCertificateMetadata"]["Arn"]
        self.listener(balancer, front, group, Protocol="HTTPS",
                      Certificates=[{"CertificateArn": arn}])
        self.await_health(group)
        node = self.nodes(balancer)[0]
        code, said, error = curl(f"https://up.test:{front}/", "--cacert", str(pem),
                                 "--resolve", f"up.test:{front}:{node}")
        self.assertEqual(code, 0, error)
        self.assertEqual(json.loads(said)["name"], "127.5.11.17")

    def test_a_certificate_in_use_is_not_deleted(self):
        balancer = self.balancer("keeps")
        pem, key = certificate(self.folder.name, "kept", "kept.test")
        iam = self.lab.client(REGION, "iam")
        made = decided(iam.upload_server_certificate, ServerCertificateName="kept",
                       CertificateBody=pem.read_text(), PrivateKey=key.read_text())
        made = made["ServerCertificateMetadata"]
        group = self.group("keeps", free_port(), ["127.5.11.19"])
        shop = f"arn:aws:acm:{REGION}:111122223333:certificate/shop"
        # One beside the default one is used, too.
        listener = self.listener(balancer, free_port(), group, Protocol="HTTPS",
                                 Certificates=[{"CertificateArn": shop}])
        extra = [{"CertificateArn": made["Arn"]}]
        self.elb().add_listener_certificates(ListenerArn=listener, Certificates=extra)
        with self.assertRaises(ClientError) as refused:
            iam.delete_server_certificate(ServerCertificateName="kept")
        error = refused.exception.response["Error"]
        self.assertEqual(error["Code"], "DeleteConflict")
        arn = listener.replace(":listener/", ":loadbalancer/").rsplit("/", 1)[0]
        self.assertEqual(error["Message"], f"Certificate: {made['ServerCertificateId']} is "
                         f"currently in use by {arn}. Please remove it first before deleting it "
                         "from IAM.")
        # Free at once in the listener's own Region.
        self.elb().remove_listener_certificates(ListenerArn=listener, Certificates=extra)
        iam.delete_server_certificate(ServerCertificateName="kept")

    def test_access_logs_arrive_in_a_bucket(self):
        node, port, listener, group, _ = self.served("logged", ["127.5.11.18"])
        s3 = self.lab.client(REGION, "s3")

        def made():
            # Just after a start the council has no leader yet.
            try:
                return s3.create_bucket(Bucket="balancer-logs")
            except ClientError as error:
                self.assertEqual(error.response["Error"]["Code"], "ServiceUnavailable")
                return None

        eventually(made)
        arn = listener.replace(":listener/", ":loadbalancer/").rsplit("/", 1)[0]
        self.elb().modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=[
            {"Key": "access_logs.s3.enabled", "Value": "true"},
            {"Key": "access_logs.s3.bucket", "Value": "balancer-logs"},
            {"Key": "access_logs.s3.prefix", "Value": "shop"},
        ])
        ask(node, port, "/logged?a=b", "-A", "tests")
        listed = lambda: s3.list_objects_v2(Bucket="balancer-logs").get("Contents")
        keys = [found["Key"] for found in eventually(listed, 60)]
        self.assertRegex(keys[0], r"^shop/AWSLogs/111122223333/elasticloadbalancing/us-east-1/"
                                  r"[0-9]{4}/[0-9]{2}/[0-9]{2}/111122223333_elasticloadbalancing_"
                                  r"us-east-1_app\.logged\.[0-9a-f]{16}_[0-9T]+Z_")
        written = s3.get_object(Bucket="balancer-logs", Key=keys[0])["Body"].read()
        line = gzip.decompress(written).decode().splitlines()[0]
        self.assertTrue(line.startswith("http "), line)
        self.assertIn(f'"GET http://{node}:{port}/logged?a=b HTTP/1.1" "tests" - - {group} ', line)

    def test_commands_show_what_load_balancers_carry(self):
        node, port, _, _, _ = self.served("shown", ["127.5.11.16"])
        for _ in range(3):
            ask(node, port)
        operations = self.lab.json("status", "--operations")
        rows = {row["service"]: row for row in operations}
        self.assertEqual(rows["elasticloadbalancing"]["built"]
                         + rows["elasticloadbalancing"]["not_built"], 51)
        def counted():
            region = self.lab.json("balancers")["regions"][0]
            found = [row for row in region["listeners"] if row["address"] == f"{node}:{port}"]
            return found and found[0]["requests"] == 3
        eventually(counted)
        self.assertIn(f"{node}:{port}", self.lab.run("balancers").stdout)
        self.assertIn("causeway_balancer_requests_total", self.lab.run("metrics").stdout)

    def test_what_would_become_of_a_request_is_explained(self):
        node, front, listener, group, _ = self.served("why", ["127.5.33.1", "127.5.33.2"])
        self.rule(listener, 7, [{"Field": "path-pattern", "Values": ["/gone/*"]}], [
            {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "410"}},
        ])
        explained = self.lab.json("balancer", "explain", f"{node}:{front}")
        self.assertRegex(explained["decision"], r"^forwards to 127\.5\.33\.[12]:[0-9]+ of why: ")
        self.assertEqual([rule["decides"] for rule in explained["rules"]], [False, True])
        targets = explained["targets"]
        self.assertEqual([target["state"] for target in targets], ["healthy", "healthy"])
        self.assertEqual(sum(target["is_chosen"] for target in targets), 1)
        said = self.lab.run("balancer", "explain", f"{node}:{front}", "--path", "/gone/x?y").stdout
        self.assertIn("rule 7; path is /gone/*: yes (decides)\nanswers 410\n", said)
        wrong = self.lab.run("balancer", "explain", f"{node}:{free_port()}", check=False)
        self.assertEqual(wrong.returncode, 1, wrong.stderr)
        self.assertIn("causeway balancers", wrong.stderr)


class Network(Balancers, unittest.TestCase):
    """Network load balancers: TCP, UDP and TLS."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="causeway-certificates-")
        cls.addClassCleanup(cls.folder.cleanup)
        certificate(cls.folder.name, "shop", "shop.test")
        cls.lab = Lab("--regions", REGION, "--delay-scale", "0",
                      "--certificates", cls.folder.name)
        cls.addClassCleanup(cls.lab.close)

    def network(self, name, hosts, protocol, **changes):
        """A network load balancer, its group and its listener: a node's address and the port."""
        port = common_port(hosts)
        ends = {host: Endpoint(host, port, host, datagrams=protocol == "UDP") for host in hosts}
        for end in ends.values():
            self.addCleanup(end.stop)
        balancer = self.balancer(name, Type="network")
        self.assertRegex(balancer["DNSName"], rf"^{name}-[0-9a-f]{{16}}\.elb\.us-east-1\.amazonaws")
        inner = "TCP" if protocol == "TLS" else protocol
        group = self.group(name, port, hosts, Protocol=inner, HealthCheckProtocol="TCP")
        front = free_port()
        self.listener(balancer, front, group, Protocol=protocol, **changes)
        self.await_health(group)
        return self.nodes(balancer)[0], front, ends

    def test_connections_go_to_targets_and_a_dead_one_costs_nobody_any(self):
        hosts = ["127.5.12.1", "127.5.12.2"]
        node, port, ends = self.network("tcp", hosts, "TCP")
        seen = collections.Counter(who(node, port) for _ in range(60))
        self.assertEqual(set(seen), set(hosts))
        ends[hosts[0]].stop()
        seen = collections.Counter(who(node, port) for _ in range(60))
        self.assertEqual(seen, {hosts[1]: 60})

    def test_datagrams_go_to_targets(self):
        hosts = ["127.5.12.3"]
        node, port, _ = self.network("udp", hosts, "UDP")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
            link.settimeout(5)
            link.sendto(b"hello", (node, port))
            self.assertEqual(link.recv(100), b"127.5.12.3 hello")

    @unittest.skipUnless(shutil.which("openssl"), "NOT TESTED: openssl is not installed")
    def test_tls_ends_at_the_load_balancer(self):
        arn = f"arn:aws:acm:{REGION}:111122223333:certificate/shop"
        node, port, _ = self.network("tls", ["127.5.12.4"], "TLS",
                                     Certificates=[{"CertificateArn": arn}])
        context = ssl.create_default_context(
            cafile=str(pathlib.Path(self.folder.name, "shop.pem")))

        def said():
            try:
                with socket.create_connection((node, port), 5) as plain, \
                        context.wrap_socket(plain, server_hostname="shop.test") as link:
                    return link.recv(100) == b"127.5.12.4\n"
            except ConnectionRefusedError:
                return False

        eventually(said)


class Zones(Balancers, unittest.TestCase):
    """A zone dies with its nodes, and comes back with them."""

    @classmethod
    def setUpClass(cls):
        cls.lab = Lab("--regions", REGION, "--delay-scale", "0")
        cls.addClassCleanup(cls.lab.close)

    def test_a_zone_takes_its_nodes_and_no_others(self):
        hosts = ["127.5.15.1"]
        targets, port = self.targets(*hosts)
        balancer = self.balancer("zones")
        group = self.group("zones", port, hosts)
        front = free_port()
        self.listener(balancer, front, group)
        self.await_health(group)
        one, other = self.nodes(balancer)
        dns = ("127.0.0.1", self.lab.dns_port)
        eventually(lambda: resolve(dns, balancer["DNSName"]) == [one, other])
        held = socket.create_connection((one, front), 5)
        self.addCleanup(held.close)
        held.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertTrue(held.recv(4096).startswith(b"HTTP/1.1 200"))
        self.lab.run("fault", "kill", f"{REGION}/{REGION}a")
        with self.assertRaises(ConnectionResetError):
            while held.recv(4096):
                pass
            raise ConnectionAbortedError("it ended in order")
        self.assertEqual(curl(f"http://{one}:{front}/")[0], 7)
        self.assertEqual(ask(other, front)["name"], hosts[0])
        eventually(lambda: resolve(dns, balancer["DNSName"]) == [other])
        self.lab.run("fault", "heal")
        eventually(lambda: resolve(dns, balancer["DNSName"]) == [one, other])
        self.assertEqual(ask(one, front)["name"], hosts[0])


class LastKnown(Balancers, unittest.TestCase):
    """A Region that restarts with nobody else there serves its load balancers at once."""

    def test_a_region_that_restarts_alone_serves_from_the_first_request(self):
        self.__class__.lab = Lab("--regions", f"{REGION},eu-west-1", "--delay-scale", "0")
        self.addCleanup(self.lab.close)
        hosts = ["127.5.13.1"]
        _, port = self.targets(*hosts)
        subnets = self.subnets()
        balancer = self.elb().create_load_balancer(
            Name="kept", Subnets=[subnets["a"], subnets["b"]])["LoadBalancers"][0]
        group = self.elb().create_target_group(
            Name="kept", Protocol="HTTP", Port=port, VpcId=self.vpc(), TargetType="ip",
        )["TargetGroups"][0]["TargetGroupArn"]
        self.register(group, hosts)
        front = free_port()
        self.elb().create_listener(
            LoadBalancerArn=balancer["LoadBalancerArn"], Protocol="HTTP", Port=front,
            DefaultActions=[{"Type": "forward", "TargetGroupArn": group}])
        node = self.nodes(balancer)[0]
        eventually(lambda: curl(f"http://{node}:{front}/")[0] == 0)
        for site in (REGION, "eu-west-1", "edge-1"):
            self.lab.run("fault", "kill", site)
        self.assertEqual(curl(f"http://{node}:{front}/")[0], 7)
        self.lab.run("fault", "start", REGION)
        self.assertEqual(ask(node, front)["name"], hosts[0])


class CertificatesElsewhere(Balancers, unittest.TestCase):
    """A listener of one Region, and whoever deletes its certificate in another."""

    region = "eu-west-1"

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="causeway-certificates-")
        cls.addClassCleanup(cls.folder.cleanup)
        cls.lab = Lab("--regions", f"{REGION},eu-west-1,ap-southeast-1", "--delay-scale", "0")
        cls.addClassCleanup(cls.lab.close)

    def test_a_certificate_that_another_region_uses_is_not_deleted_though_that_is_away(self):
        pem, key = certificate(self.folder.name, "there", "there.test")
        iam = self.lab.client(REGION, "iam")
        made = decided(iam.upload_server_certificate, ServerCertificateName="there",
                       CertificateBody=pem.read_text(), PrivateKey=key.read_text())
        arn = made["ServerCertificateMetadata"]["Arn"]
        name = {"ServerCertificateName": "there"}

        def known():
            found = self.lab.client(self.region, "iam").list_server_certificates()
            return [one for one in found["ServerCertificateMetadataList"] if one["Arn"] == arn]

        eventually(known)
        balancer = self.balancer("there")
        group = self.group("there", free_port(), ["127.5.11.20"])
        listener = self.elb().create_listener(
            LoadBalancerArn=balancer["LoadBalancerArn"], Protocol="HTTPS", Port=free_port(),
            Certificates=[{"CertificateArn": arn}],
            DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
        )["Listeners"][0]["ListenerArn"]
        # Every Region says each second what it has; busy machines are slow.
        time.sleep(6)
        address = "http://{}:{}".format(*self.lab.address(REGION))
        iam = self.lab.client(REGION, "iam", endpoint_url=address)

        def refused():
            with self.assertRaises(ClientError) as raised:
                iam.delete_server_certificate(**name)
            error = raised.exception.response["Error"]
            self.assertEqual(error["Code"], "DeleteConflict", error)
            self.assertIn(f"in use by {balancer['LoadBalancerArn']}.", error["Message"])

        refused()
        # By another name it is the same, and nothing else gets the one that the listener has.
        decided(iam.update_server_certificate, ServerCertificateName="there",
                NewServerCertificateName="renamed")
        name["ServerCertificateName"] = "renamed"
        refused()
        with self.assertRaises(ClientError) as raised:
            iam.upload_server_certificate(ServerCertificateName="there",
                                          CertificateBody=pem.read_text(),
                                          PrivateKey=key.read_text())
        self.assertEqual(raised.exception.response["Error"]["Code"], "EntityAlreadyExists")
        # What it last said counts while it is away.
        self.lab.run("fault", "kill", self.region)
        refused()
        self.lab.run("fault", "heal")
        self.elb().delete_listener(ListenerArn=listener)

        def deleted():
            try:
                return iam.delete_server_certificate(**name)
            except ClientError as error:
                code = error.response["Error"]["Code"]
                if code != "DeleteConflict" and "Throttling" not in code:
                    raise
                return None

        eventually(deleted)

if __name__ == "__main__":
    unittest.main()
