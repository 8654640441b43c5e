"""The example application in two Regions of a lab, spoken to as its users would."""

import http.client
import json
import os
import shlex
import signal
import subprocess
import unittest

from lab import CAUSEWAY, Lab, eventually, free_port

VIRGINIA, IRELAND = "us-east-1", "eu-west-1"
ORDERS = os.path.join(os.path.dirname(CAUSEWAY), "orders")


def call(address, method, path, body=None):
    """One request: its status, its `x-region`, and its JSON."""
    link = http.client.HTTPConnection(*address, timeout=5)
    try:
        link.request(method, path, body and json.dumps(body))
        answer = link.getresponse()
        return answer.status, answer.getheader("x-region"), json.loads(answer.read())
    finally:
        link.close()


class Orders(unittest.TestCase):
    """One lab with the application in both its Regions."""

    @classmethod
    def setUpClass(cls):
        port = free_port()
        cls.lab = Lab(
            "--delay-scale", "0", "--regions", f"{VIRGINIA},{IRELAND}",
            "--app", "exec " + shlex.quote(ORDERS), "--app-port", str(port),
        )
        cls.addClassCleanup(cls.lab.close)
        cls.virginia, cls.ireland = ("127.1.1.1", port), ("127.1.2.1", port)
        client = cls.lab.client(VIRGINIA)
        # Without its table the application is up and not healthy.
        eventually(lambda: cls.answers(cls.virginia, "/health")[0] == 503)
        client.create_table(
            TableName="Orders", BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        )
        client.get_waiter("table_exists").wait(TableName="Orders")
        replica = [{"Create": {"RegionName": IRELAND}}]
        client.update_table(TableName="Orders", ReplicaUpdates=replica)
        for address in (cls.virginia, cls.ireland):
            eventually(lambda: cls.answers(address, "/health")[0] == 200)

    @staticmethod
    def answers(address, path):
        """What a GET gives; a status of 0 where nobody answers."""
        try:
            return call(address, "GET", path)
        except OSError:
            return 0, None, None

    def test_an_order_is_taken_here_and_read_there(self):
        status, region, body = call(self.virginia, "POST", "/orders", {"id": "a-1", "version": 7})
        self.assertEqual((status, region), (201, VIRGINIA))
        self.assertEqual(body, {"id": "a-1", "region": VIRGINIA})
        eventually(lambda: self.answers(self.ireland, "/orders/a-1")[0] == 200)
        status, region, body = call(self.ireland, "GET", "/orders/a-1")
        self.assertEqual((status, region), (200, IRELAND))
        self.assertEqual(body, {"id": "a-1", "version": 7, "region": VIRGINIA})

    def test_the_list_goes_by_pages(self):
        wanted = {f"page-{number}" for number in range(1100)}
        table = self.lab.client(VIRGINIA)
        names = sorted(wanted)
        for start in range(0, len(names), 25):
            some = names[start : start + 25]
            puts = [{"PutRequest": {"Item": {"id": {"S": name}}}} for name in some]
            table.batch_write_item(RequestItems={"Orders": puts})
        found, after, pages = set(), "", 0
        while after is not None:
            path = f"/orders?after={after}" if after else "/orders"
            status, _, page = call(self.virginia, "GET", path)
            self.assertEqual(status, 200)
            self.assertLessEqual(len(page["orders"]), 1000)
            found |= {order["id"] for order in page["orders"]}
            after, pages = page["next"], pages + 1
        self.assertEqual(wanted - found, set())
        self.assertGreater(pages, 1)

    def test_what_it_refuses(self):
        for method, path, body, wanted in (
            ("POST", "/orders", {"version": 1}, 400),
            ("POST", "/orders", {"id": "a/b"}, 400),
            ("POST", "/orders", {"id": "a", "text": "x" * 70_000}, 413),
            ("GET", "/orders/none", None, 404),
            ("GET", "/elsewhere", None, 404),
            ("DELETE", "/orders/a", None, 405),
            ("GET", "/orders?limit=3", None, 400),
        ):
            status, region, answer = call(self.virginia, method, path, body)
            self.assertEqual((path, status, region), (path, wanted, VIRGINIA))
            self.assertIn("message", answer)

    def test_it_ends_when_told_and_says_what_it_lacks(self):
        environment = {
            **self.lab.environment, "AWS_REGION": VIRGINIA, "HOST": "127.0.0.1", "PORT": "0",
        }
        with subprocess.Popen([ORDERS], env=environment, stdout=subprocess.PIPE) as process:
            self.assertIn(b"us-east-1 on http://127.0.0.1:", process.stdout.readline())
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(10), 0)
        del environment["AWS_REGION"]
        lacking = subprocess.run([ORDERS], env=environment, capture_output=True, text=True)
        self.assertEqual(lacking.returncode, 2)
        self.assertIn("AWS_REGION is not set", lacking.stderr)


if __name__ == "__main__":
    unittest.main()
