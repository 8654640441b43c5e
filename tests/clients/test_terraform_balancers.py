"""Terraform makes load balancers, target groups, listeners and rules in the default network, finds
nothing to change, changes a rule, and removes it all."""

import json
import unittest

from accelerators import common_port
from balancers import Target, curl, status
from lab import eventually, free_port
from terraform import Terraform

BALANCER = """
data "aws_vpc" "default" { default = true }

data "aws_availability_zones" "all" { state = "available" }

data "aws_subnets" "two" {
  filter {
    name   = "vpc-id"
    values = [data.aws_vpc.default.id]
  }
  filter {
    name   = "availability-zone"
    values = slice(data.aws_availability_zones.all.names, 0, 2)
  }
}

resource "aws_security_group" "front" {
  name   = "front"
  vpc_id = data.aws_vpc.default.id
  ingress {
    from_port   = %(front)d
    to_port     = %(front)d
    protocol    = "tcp"
    cidr_blocks = ["0.0.0.0/0"]
  }
}

resource "aws_lb" "shop" {
  name               = "shop"
  load_balancer_type = "application"
  subnets            = data.aws_subnets.two.ids
  security_groups    = [aws_security_group.front.id]
  idle_timeout       = 30
  tags               = { owner = "tests" }
}

resource "aws_lb_target_group" "shop" {
  name                 = "shop"
  port                 = %(port)d
  protocol             = "HTTP"
  target_type          = "ip"
  vpc_id               = data.aws_vpc.default.id
  deregistration_delay = 5
  health_check {
    path                = "/"
    interval            = 5
    timeout             = 2
    healthy_threshold   = 2
    unhealthy_threshold = 2
    matcher             = "200-299"
  }
}

resource "aws_lb_target_group_attachment" "shop" {
  for_each         = toset(%(hosts)s)
  target_group_arn = aws_lb_target_group.shop.arn
  target_id        = each.value
  port             = %(port)d
}

resource "aws_lb_listener" "shop" {
  load_balancer_arn = aws_lb.shop.arn
  port              = %(front)d
  protocol          = "HTTP"
  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.shop.arn
  }
}

resource "aws_lb_listener_rule" "closed" {
  listener_arn = aws_lb_listener.shop.arn
  priority     = 10
  action {
    type = "fixed-response"
    fixed_response {
      content_type = "text/plain"
      message_body = "%(word)s"
      status_code  = "410"
    }
  }
  condition {
    path_pattern { values = ["/closed/*"] }
  }
}

resource "aws_lb" "flows" {
  name               = "flows"
  load_balancer_type = "network"
  subnets            = data.aws_subnets.two.ids
}

resource "aws_lb_target_group" "flows" {
  name        = "flows"
  port        = %(port)d
  protocol    = "TCP"
  target_type = "ip"
  vpc_id      = data.aws_vpc.default.id
}

resource "aws_lb_listener" "flows" {
  load_balancer_arn = aws_lb.flows.arn
  port              = %(front)d
  protocol          = "TCP"
  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.flows.arn
  }
}

data "aws_network_interfaces" "shop" {
  filter {
    name   = "description"
    values = ["ELB ${aws_lb.shop.arn_suffix}"]
  }
}

data "aws_network_interface" "shop" {
  id = sort(data.aws_network_interfaces.shop.ids)[0]
}

output "node" { value = data.aws_network_interface.shop.private_ip }

output "name" { value = aws_lb.shop.dns_name }

output "zone" { value = aws_lb.shop.zone_id }
"""


class Balancer(Terraform, unittest.TestCase):
    """`aws_lb` and what belongs to it."""

    lab_arguments = ("--health-interval", "200ms")

    def test_load_balancers_are_made_changed_and_destroyed(self):
        hosts = ["127.5.14.1", "127.5.14.2"]
        port = common_port(hosts)
        for host in hosts:
            target = Target(host, port)
            self.addCleanup(target.stop)
        values = {"port": port, "front": free_port(), "hosts": json.dumps(hosts), "word": "gone"}
        self.configure(BALANCER % values)
        self.terraform("init", "-input=false")
        self.terraform("apply", "-input=false", "-auto-approve")
        self.assert_settled()
        outputs = json.loads(self.terraform("output", "-json"))
        node, front = outputs["node"]["value"], values["front"]
        self.assertEqual(outputs["zone"]["value"], "Z35SXDOTRQ7X7K")
        eventually(lambda: status(node, front)[0] == 200)
        names = {json.loads(curl(f"http://{node}:{front}/")[1])["name"] for _ in range(10)}
        self.assertEqual(names, set(hosts))
        self.assertEqual(status(node, front, "/closed/1")[::2], (410, "gone"))

        self.configure(BALANCER % {**values, "word": "closed"})
        self.terraform("apply", "-input=false", "-auto-approve")
        self.assert_settled()
        self.assertEqual(status(node, front, "/closed/1")[::2], (410, "closed"))

        self.terraform("destroy", "-input=false", "-auto-approve")
        self.assertEqual(curl(f"http://{node}:{front}/")[0], 7)


if __name__ == "__main__":
    unittest.main()
