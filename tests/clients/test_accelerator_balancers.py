"""Load balancers behind an accelerator and behind names, by real clients: boto3 and `curl`, through
targets that die and a Region that does."""

import unittest

from accelerators import Accelerators, addresses, common_port
from balancers import Balancers, Target, ask
from botocore.exceptions import ClientError
from lab import Lab, eventually
from names import place, resolve

EAST, WEST = "us-east-1", "eu-west-1"
HOSTS = {EAST: "127.5.20.1", WEST: "127.5.20.2"}


def balancers_of(case, region):
    """Load balancers of that Region, made for a case."""
    of_region = type("Of", (Balancers,), {"lab": case.lab, "region": region})()
    of_region.addCleanup = case.addCleanup
    of_region.setUp()
    return of_region


class BehindAnAccelerator(Accelerators, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = Lab("--regions", f"{EAST},{WEST}", "--edges", "1", "--delay-scale", "0",
                      "--health-interval", "500ms")
        cls.addClassCleanup(cls.lab.close)

    def fronts(self, name):
        """A load balancer in each Region before one target, all at one port; the port."""
        port = common_port(HOSTS.values())
        front = common_port(["127.32.1.1", "127.32.2.1", "127.80.0.1"])
        targets, made = {}, {}
        for region, host in HOSTS.items():
            targets[region] = Target(host, port)
            self.addCleanup(targets[region].stop)
            of_region = balancers_of(self, region)
            balancer = of_region.balancer(name)
            group = of_region.group(name, port, [host])
            of_region.listener(balancer, front, group)
            of_region.await_health(group)
            made[region] = balancer
        return targets, made, front

    def test_flows_go_to_load_balancers_and_on_when_targets_and_a_region_die(self):
        targets, made, port = self.fronts("flows")
        accelerator = self.accelerator()
        listener = self.listener(accelerator, port)
        groups = {region: self.group(listener, region, {one["LoadBalancerArn"]: 128})
                  for region, one in made.items()}
        self.await_deployed(accelerator)
        for region, group in groups.items():
            self.await_health(group, state="HEALTHY")
            arn = made[region]["LoadBalancerArn"]
            self.assertEqual(self.health(group), {arn: "HEALTHY"})
        static = addresses(accelerator)[0]

        def served(region):
            return ask(static, port, "/", "--interface", place(region))["name"]

        for region, host in HOSTS.items():
            self.assertEqual({served(region) for _ in range(5)}, {host})
        # No target is healthy there any more: the Region says so, and flows go to the other's.
        targets[EAST].healthy = False
        eventually(lambda: served(EAST) == HOSTS[WEST], 60)
        self.await_health(groups[EAST], state="UNHEALTHY")
        targets[EAST].healthy = True
        eventually(lambda: served(EAST) == HOSTS[EAST], 60)
        # Its Region dies: not one request fails, since nodes that refuse are followed by others.
        self.lab.run("fault", "kill", EAST)
        try:
            self.assertEqual({served(EAST) for _ in range(20)}, {HOSTS[WEST]})
        finally:
            self.lab.run("fault", "heal")
        eventually(lambda: served(EAST) == HOSTS[EAST], 60)

    def test_aliases_answer_with_nodes_and_heed_health(self):
        targets, made, _ = self.fronts("names")
        route53 = self.lab.route53()
        zone = route53.create_hosted_zone(Name="front.test", CallerReference="front")
        zone = zone["HostedZone"]["Id"]

        def alias(region, role, prefix=""):
            one = made[region]
            return {"Action": "UPSERT", "ResourceRecordSet": {
                "Name": "app.front.test", "Type": "A", "SetIdentifier": role, "Failover": role,
                "AliasTarget": {
                    "HostedZoneId": one["CanonicalHostedZoneId"],
                    "DNSName": prefix + one["DNSName"], "EvaluateTargetHealth": True,
                },
            }}

        changes = [alias(EAST, "PRIMARY", "dualstack."), alias(WEST, "SECONDARY")]
        changed = route53.change_resource_record_sets(
            HostedZoneId=zone, ChangeBatch={"Changes": changes})["ChangeInfo"]
        eventually(lambda: route53.get_change(Id=changed["Id"])["ChangeInfo"]["Status"] == "INSYNC")
        dns = ("127.0.0.1", self.lab.dns_port)
        nodes = {region: resolve(dns, one["DNSName"]) for region, one in made.items()}
        self.assertEqual([len(of) for of in nodes.values()], [2, 2])
        answer = lambda: sorted(resolve(dns, "app.front.test"))
        eventually(lambda: answer() == sorted(nodes[EAST]))
        targets[EAST].healthy = False
        eventually(lambda: answer() == sorted(nodes[WEST]), 60)
        targets[EAST].healthy = True
        eventually(lambda: answer() == sorted(nodes[EAST]), 60)

    def test_what_is_no_load_balancer_of_the_group_s_region_is_refused(self):
        balancer = balancers_of(self, EAST).balancer("refused")
        arn = balancer["LoadBalancerArn"]
        accelerator = self.accelerator()
        listener = self.listener(accelerator, 18_443)
        for region, endpoint, said in [
            (WEST, arn, "not in the endpoint group's Region"),
            (EAST, arn.replace("/refused/", "/unheard/"), "does not exist"),
        ]:
            with self.assertRaises(ClientError) as refused:
                self.group(listener, region, {endpoint: 128})
            error = refused.exception.response["Error"]
            self.assertEqual(error["Code"], "InvalidArgumentException")
            self.assertIn(said, error["Message"])


if __name__ == "__main__":
    unittest.main()
