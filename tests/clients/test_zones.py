"""The application in two zones of every Region, and the one address and one name in front of it:
what a dead zone and a dead Region cost whoever uses them."""

import collections
import shutil
import signal
import subprocess
import tempfile
import unittest

from lab import Lab, eventually, free_port
from names import dig, place

VIRGINIA, IRELAND = "us-east-1", "eu-west-1"

# An application that says its zone, from a folder of its own.
SAYS_ZONE = (
    'mkdir -p "{0}/$HOST" && printf %%s "$AWS_AVAILABILITY_ZONE" > "{0}/$HOST/zone" && '
    'exec python3 -m http.server --bind "$HOST" "$PORT" --directory "{0}/$HOST"'
).replace("%%", "%")


@unittest.skipUnless(shutil.which("curl"), "NOT TESTED: curl is not installed")
class Application(unittest.TestCase):
    """One lab with the application in both its Regions."""

    @classmethod
    def setUpClass(cls):
        cls.port = free_port()
        folder = tempfile.TemporaryDirectory(prefix="causeway-zones-")
        cls.addClassCleanup(folder.cleanup)
        cls.lab = Lab(
            "--regions", f"{VIRGINIA},{IRELAND}", "--delay-scale", "0",
            "--health-interval", "200ms",
            "--app", SAYS_ZONE.format(folder.name), "--app-port", str(cls.port),
        )
        cls.addClassCleanup(cls.lab.close)
        cls.entry = eventually(cls.made, 60)
        eventually(lambda: set(cls.zones(VIRGINIA)) == {VIRGINIA + "a", VIRGINIA + "b"}, 60)
        eventually(lambda: set(cls.zones(IRELAND)) == {IRELAND + "a", IRELAND + "b"}, 60)

    def tearDown(self):
        self.lab.run("fault", "heal")
        for region in (VIRGINIA, IRELAND):
            both = {region + "a", region + "b"}
            eventually(lambda: set(self.zones(region)) == both, 60)

    @classmethod
    def made(cls):
        """The entry, once it is whole."""
        entry = cls.lab.json("status")["entry"]
        return entry if not entry["missing"] else None

    @classmethod
    def curl(cls, address, source):
        result = subprocess.run(
            ["curl", "-sS", "--fail", "--max-time", "5", "--interface", source,
             f"http://{address}:{cls.port}/zone"],
            capture_output=True, text=True, timeout=20,
        )
        return result.stdout if result.returncode == 0 else f"failed: {result.stderr}"

    @classmethod
    def zones(cls, region, address=None, times=12):
        """Who answers a client in that Region, and how often."""
        address = address or cls.entry["addresses"][0]
        return collections.Counter(cls.curl(address, place(region)) for _ in range(times))

    def test_each_region_has_a_load_balancer_whose_nodes_die_with_their_zones(self):
        for region in (VIRGINIA, IRELAND):
            [balancer] = self.lab.aws(region, "elbv2", "describe-load-balancers")["LoadBalancers"]
            self.assertEqual((balancer["LoadBalancerName"], balancer["Type"]), ("app", "network"))
            [group] = self.lab.aws(region, "elbv2", "describe-target-groups")["TargetGroups"]
            states = lambda: {
                target["Target"]["AvailabilityZone"]: target["TargetHealth"]["State"]
                for target in self.lab.aws(
                    region, "elbv2", "describe-target-health",
                    "--target-group-arn", group["TargetGroupArn"],
                )["TargetHealthDescriptions"]
            }
            both = {region + "a": "healthy", region + "b": "healthy"}
            eventually(lambda: states() == both, 60)
        nodes = {
            row["zone"]: row["address"].rsplit(":", 1)[0]
            for region in self.lab.json("balancers")["regions"] for row in region["listeners"]
            if region["region"] == IRELAND
        }
        self.assertEqual(set(nodes), {IRELAND + "a", IRELAND + "b", IRELAND + "c"})
        both = {IRELAND + "a", IRELAND + "b"}
        self.assertLessEqual(set(self.zones(IRELAND, nodes[IRELAND + "c"])), both)
        self.lab.run("fault", "kill", f"{IRELAND}/b")
        self.assertEqual(
            self.zones(IRELAND, nodes[IRELAND + "a"], times=6), {IRELAND + "a": 6})
        self.assertIn("failed", self.curl(nodes[IRELAND + "b"], place(IRELAND)))

    def test_a_zone_dies_and_nobody_notices(self):
        self.lab.run("fault", "kill", f"{VIRGINIA}/a")
        for address in (*self.entry["addresses"], "127.1.1.1"):
            self.assertEqual(self.zones(VIRGINIA, address), {VIRGINIA + "b": 12})
        apps = {app["zone"]: app["state"] for site in self.lab.json("status")["sites"]
                for app in site["apps"]}
        self.assertEqual(apps, {
            VIRGINIA + "a": "killed", VIRGINIA + "b": "running",
            IRELAND + "a": "running", IRELAND + "b": "running",
        })

    def test_a_region_dies_and_one_address_and_one_name_go_on(self):
        self.assertEqual(self.entry["name"], "app.test")
        server = ("127.0.0.1", self.lab.dns_port)
        named = eventually(lambda: dig(server, "app.test", "A"))
        self.assertLessEqual(set(named), set(self.entry["addresses"]))
        self.lab.run("fault", "kill", VIRGINIA)
        for address in self.entry["addresses"]:
            answered = self.zones(VIRGINIA, address)
            self.assertLessEqual(set(answered), {IRELAND + "a", IRELAND + "b"})
        named = dig(server, "app.test", "A")
        self.assertTrue(named and set(named) <= set(self.entry["addresses"]), named)

    def test_an_application_dies_and_its_region_goes_on(self):
        self.lab.run("fault", "kill", f"{VIRGINIA}/app")
        states = {site["site"]: site["state"] for site in self.lab.json("status")["sites"]}
        self.assertEqual(states[VIRGINIA], "running")
        # The load balancer takes connections until its checks have found its targets dead.
        others = {IRELAND + "a", IRELAND + "b"}
        eventually(lambda: set(self.zones("us-west-2")) <= others, 60)

    def test_a_second_start_makes_nothing_anew_and_deletes_nothing(self):
        groups = self.groups()
        self.assertEqual(len(groups), 2)
        changed = next(group for group in groups if group["EndpointGroupRegion"] == VIRGINIA)
        self.lab.aws(
            "us-west-2", "globalaccelerator", "update-endpoint-group",
            "--endpoint-group-arn", changed["EndpointGroupArn"],
            "--traffic-dial-percentage", "40",
        )
        self.lab.stop(signal.SIGTERM)
        self.lab.start()
        self.assertEqual(eventually(self.made, 60), self.entry)
        arns = lambda groups: {group["EndpointGroupArn"] for group in groups}
        again = self.groups()
        self.assertEqual(arns(again), arns(groups))
        dials = {group["EndpointGroupRegion"]: group["TrafficDialPercentage"] for group in again}
        self.assertEqual(dials, {VIRGINIA: 40.0, IRELAND: 100.0})
        self.lab.aws(
            "us-west-2", "globalaccelerator", "update-endpoint-group",
            "--endpoint-group-arn", changed["EndpointGroupArn"],
            "--traffic-dial-percentage", "100",
        )

    def groups(self):
        words = ("us-west-2", "globalaccelerator")
        [accelerator] = self.lab.aws(*words, "list-accelerators")["Accelerators"]
        [listener] = self.lab.aws(
            *words, "list-listeners", "--accelerator-arn", accelerator["AcceleratorArn"]
        )["Listeners"]
        return self.lab.aws(
            *words, "list-endpoint-groups", "--listener-arn", listener["ListenerArn"]
        )["EndpointGroups"]


if __name__ == "__main__":
    unittest.main()
