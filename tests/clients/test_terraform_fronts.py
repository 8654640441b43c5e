"""Terraform puts a load balancer behind an accelerator and behind an alias, finds nothing to change,
and removes it all."""

import json
import unittest

from accelerators import common_port
from balancers import Target, ask, curl
from lab import eventually
from names import place, resolve
from terraform import VIRGINIA, Terraform

FRONT = """
data "aws_vpc" "default" { default = true }

data "aws_subnets" "all" {
  filter {
    name   = "vpc-id"
    values = [data.aws_vpc.default.id]
  }
}

resource "aws_lb" "shop" {
  name               = "shop"
  load_balancer_type = "network"
  subnets            = data.aws_subnets.all.ids
}

resource "aws_lb_target_group" "shop" {
  name                 = "shop"
  port                 = %(port)d
  protocol             = "TCP"
  target_type          = "ip"
  vpc_id               = data.aws_vpc.default.id
  deregistration_delay = 5
  health_check {
    interval            = 5
    timeout             = 2
    healthy_threshold   = 2
    unhealthy_threshold = 2
  }
}

resource "aws_lb_target_group_attachment" "shop" {
  target_group_arn = aws_lb_target_group.shop.arn
  target_id        = "%(host)s"
  port             = %(port)d
}

resource "aws_lb_listener" "shop" {
  load_balancer_arn = aws_lb.shop.arn
  port              = %(front)d
  protocol          = "TCP"
  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.shop.arn
  }
}

resource "aws_globalaccelerator_accelerator" "shop" {
  name    = "shop"
  enabled = true
}

resource "aws_globalaccelerator_listener" "shop" {
  accelerator_arn = aws_globalaccelerator_accelerator.shop.arn
  protocol        = "TCP"
  port_range {
    from_port = %(front)d
    to_port   = %(front)d
  }
}

resource "aws_globalaccelerator_endpoint_group" "shop" {
  listener_arn                  = aws_globalaccelerator_listener.shop.arn
  health_check_interval_seconds = 10
  endpoint_configuration {
    endpoint_id = aws_lb.shop.arn
    weight      = 128
  }
}

resource "aws_route53_zone" "shop" { name = "shop.test" }

resource "aws_route53_record" "shop" {
  zone_id = aws_route53_zone.shop.zone_id
  name    = "www.shop.test"
  type    = "A"
  alias {
    name                   = aws_lb.shop.dns_name
    zone_id                = aws_lb.shop.zone_id
    evaluate_target_health = true
  }
}

output "address" {
  value = tolist(aws_globalaccelerator_accelerator.shop.ip_sets[0].ip_addresses)[0]
}
"""


class Fronts(Terraform, unittest.TestCase):
    """`aws_lb` as the endpoint of an accelerator, and as the target of `aws_route53_record`."""

    lab_arguments = ("--health-interval", "500ms")

    def test_a_load_balancer_behind_an_accelerator_and_an_alias(self):
        host = "127.5.21.1"
        port = common_port([host])
        front = common_port(["127.32.1.1", "127.33.1.1", "127.34.1.1", "127.80.0.1"])
        target = Target(host, port)
        self.addCleanup(target.stop)
        self.configure(FRONT % {"port": port, "front": front, "host": host})
        self.terraform("init", "-input=false")
        self.terraform("apply", "-input=false", "-auto-approve")
        self.assert_settled()
        address = json.loads(self.terraform("output", "-json"))["address"]["value"]

        def served(at):
            code, said, _ = curl(f"http://{at}:{front}/", "--interface", place(VIRGINIA))
            return code == 0 and json.loads(said)["name"]

        eventually(lambda: served(address) == host, 60)
        dns = ("127.0.0.1", self.lab.dns_port)
        nodes = eventually(lambda: resolve(dns, "www.shop.test"))
        self.assertEqual(len(nodes), 3)
        for node in nodes:
            self.assertEqual(ask(node, front)["name"], host)

        self.terraform("destroy", "-input=false", "-auto-approve")
        self.assertFalse(served(address))


if __name__ == "__main__":
    unittest.main()
