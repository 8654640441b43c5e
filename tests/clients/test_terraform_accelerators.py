"""Terraform makes an accelerator with a listener and endpoint groups in two Regions, finds nothing to
change, moves traffic by a dial, and removes it all."""

import json
import unittest

from accelerators import Endpoint, common_port, who
from lab import eventually
from names import place
from terraform import IRELAND, VIRGINIA, Terraform

ACCELERATOR = """
resource "aws_globalaccelerator_accelerator" "orders" {
  name            = "orders"
  ip_address_type = "IPV4"
  enabled         = true
  tags            = { owner = "tests" }
}

resource "aws_globalaccelerator_listener" "orders" {
  accelerator_arn = aws_globalaccelerator_accelerator.orders.arn
  client_affinity = "SOURCE_IP"
  protocol        = "TCP"
  port_range {
    from_port = %(port)d
    to_port   = %(port)d
  }
}

resource "aws_globalaccelerator_endpoint_group" "virginia" {
  listener_arn                  = aws_globalaccelerator_listener.orders.arn
  endpoint_group_region         = "us-east-1"
  traffic_dial_percentage       = %(dial)d
  health_check_interval_seconds = 10
  threshold_count               = 1
  endpoint_configuration {
    endpoint_id                    = "127.5.6.1"
    weight                         = 100
    client_ip_preservation_enabled = false
  }
}

resource "aws_globalaccelerator_endpoint_group" "ireland" {
  listener_arn                  = aws_globalaccelerator_listener.orders.arn
  endpoint_group_region         = "eu-west-1"
  health_check_interval_seconds = 10
  threshold_count               = 1
  endpoint_configuration {
    endpoint_id                    = "127.5.6.2"
    weight                         = 100
    client_ip_preservation_enabled = false
  }
}

output "address" {
  value = tolist(aws_globalaccelerator_accelerator.orders.ip_sets[0].ip_addresses)[0]
}

output "zone" {
  value = aws_globalaccelerator_accelerator.orders.hosted_zone_id
}
"""


class Accelerator(Terraform, unittest.TestCase):
    """`aws_globalaccelerator_accelerator`, `_listener` and `_endpoint_group`."""

    lab_arguments = ("--health-interval", "200ms")

    def test_an_accelerator_is_made_changed_and_destroyed(self):
        hosts = ["127.5.6.1", "127.5.6.2"]
        port = common_port(hosts)
        for host in hosts:
            endpoint = Endpoint(host, port, host)
            self.addCleanup(endpoint.stop)
        self.configure(ACCELERATOR % {"port": port, "dial": 100})
        self.terraform("init", "-input=false")
        self.terraform("apply", "-input=false", "-auto-approve")
        self.assert_settled()
        outputs = json.loads(self.terraform("output", "-json"))
        address = outputs["address"]["value"]
        self.assertEqual(outputs["zone"]["value"], "Z2BJ6XQ5FK7U4H")
        near = {VIRGINIA: hosts[0], IRELAND: hosts[1]}
        for region, host in near.items():
            eventually(lambda: self.taken(address, port, place(region)) == host)

        self.configure(ACCELERATOR % {"port": port, "dial": 0})
        self.terraform("apply", "-input=false", "-auto-approve")
        self.assert_settled()
        eventually(lambda: self.taken(address, port, place(VIRGINIA)) == hosts[1])

        self.terraform("destroy", "-input=false", "-auto-approve")
        self.assertIsNone(self.taken(address, port, place(VIRGINIA)))

    def taken(self, address, port, source):
        """Who takes a connection; none if nobody does."""
        try:
            return who(address, port, source)
        except OSError:
            return None


if __name__ == "__main__":
    unittest.main()
