"""Terraform makes a zone with records of every policy and health checks, finds nothing to change,
changes them, and takes them away. Most of the time is the provider's own: it waits half a minute
before it first asks whether a change of records is in sync."""

import unittest

from lab import eventually
from names import place, resolve
from terraform import VIRGINIA, Terraform

ZONE = """
resource "aws_route53_zone" "main" {
  name    = "tf.example"
  comment = "%s"
  tags    = { owner = "%s" }
}

resource "aws_route53_health_check" "app" {
  ip_address        = "127.0.0.1"
  port              = %s
  type              = "HTTP"
  resource_path     = "/health"
  request_interval  = 10
  failure_threshold = "3"
  tags              = { Name = "app" }
}

resource "aws_route53_health_check" "port" {
  ip_address         = "127.0.0.1"
  port               = 9
  type               = "TCP"
  request_interval   = 30
  failure_threshold  = 2
  invert_healthcheck = true
}

resource "aws_route53_record" "simple" {
  for_each = {
    A = ["192.0.2.1", "192.0.2.2"], AAAA = ["2001:db8::1"], MX = ["10 mail.tf.example."]
    TXT = ["v=spf1 -all", "two words"], CAA = ["0 issue \\"ca.example\\""]
    SRV = ["1 2 443 www.tf.example."]
  }
  zone_id = aws_route53_zone.main.zone_id
  name    = "simple"
  type    = each.key
  ttl     = %s
  records = each.value
}

resource "aws_route53_record" "wildcard" {
  zone_id = aws_route53_zone.main.zone_id
  name    = "*.any.tf.example"
  type    = "CNAME"
  ttl     = 60
  records = ["simple.tf.example"]
}

resource "aws_route53_record" "failover" {
  for_each        = { PRIMARY = "192.0.2.11", SECONDARY = "192.0.2.12" }
  zone_id         = aws_route53_zone.main.zone_id
  name            = "app"
  type            = "A"
  ttl             = 60
  records         = [each.value]
  set_identifier  = lower(each.key)
  health_check_id = each.key == "PRIMARY" ? aws_route53_health_check.app.id : null
  failover_routing_policy { type = each.key }
}

resource "aws_route53_record" "latency" {
  for_each       = { us-east-1 = "192.0.2.21", eu-west-1 = "192.0.2.22" }
  zone_id        = aws_route53_zone.main.zone_id
  name           = "near"
  type           = "A"
  ttl            = 60
  records        = [each.value]
  set_identifier = each.key
  latency_routing_policy { region = each.key }
}

resource "aws_route53_record" "weighted" {
  for_each       = { blue = 90, green = 0 }
  zone_id        = aws_route53_zone.main.zone_id
  name           = "shares"
  type           = "TXT"
  ttl            = 60
  records        = [each.key]
  set_identifier = each.key
  weighted_routing_policy { weight = each.value }
}

resource "aws_route53_record" "geolocation" {
  for_each       = { eu = ["EU", null, null], de = [null, "DE", null], or = [null, "US", "OR"]
                     all = [null, "*", null] }
  zone_id        = aws_route53_zone.main.zone_id
  name           = "geo"
  type           = "TXT"
  ttl            = 60
  records        = [each.key]
  set_identifier = each.key
  geolocation_routing_policy {
    continent   = each.value[0]
    country     = each.value[1]
    subdivision = each.value[2]
  }
}

resource "aws_route53_record" "multivalue" {
  for_each                         = toset(["192.0.2.31", "192.0.2.32"])
  zone_id                          = aws_route53_zone.main.zone_id
  name                             = "many"
  type                             = "A"
  ttl                              = 60
  records                          = [each.key]
  set_identifier                   = each.key
  multivalue_answer_routing_policy = true
}

resource "aws_route53_record" "alias" {
  zone_id = aws_route53_zone.main.zone_id
  name    = "tf.example"
  type    = "A"
  alias {
    zone_id                = aws_route53_zone.main.zone_id
    name                   = aws_route53_record.failover["PRIMARY"].fqdn
    evaluate_target_health = true
  }
}
"""


class Zones(Terraform, unittest.TestCase):
    """`aws_route53_zone`, `aws_route53_record` and `aws_route53_health_check`."""

    lab_arguments = ("--health-interval", "200ms")

    def test_zones_records_and_health_checks_are_made_changed_and_destroyed(self):
        self.configure(ZONE % ("made by tests", "tests", 9, 60))
        self.terraform("init", "-input=false")
        self.terraform("apply", "-input=false", "-auto-approve", "-parallelism=40")
        self.assert_settled()

        server = ("127.0.0.1", self.lab.dns_port)
        ask = lambda name, kind="A", where=None: resolve(
            server, f"{name}.tf.example".lstrip("."), kind, source=where and place(where)
        )
        self.assertEqual(ask("simple"), ["192.0.2.1", "192.0.2.2"])
        self.assertEqual(ask("simple", "TXT"), ['"two words"', '"v=spf1 -all"'])
        self.assertEqual(ask("x.any", "CNAME"), ["simple.tf.example."])
        # Nobody listens on port 9.
        eventually(lambda: ask("app") == ["192.0.2.12"], 10)
        self.assertEqual(ask(""), ["192.0.2.12"])
        self.assertEqual(ask("near", where="eu-central-1"), ["192.0.2.22"])
        self.assertEqual(ask("near", where="us-east-1"), ["192.0.2.21"])
        self.assertEqual(ask("shares", "TXT"), ['"blue"'])
        for where, found in (
            ("eu-west-1", "eu"), ("eu-central-1", "de"), ("us-west-2", "or"), ("us-east-1", "all"),
        ):
            self.assertEqual(ask("geo", "TXT", where), [f'"{found}"'])
        self.assertEqual(ask("many"), ["192.0.2.31", "192.0.2.32"])

        self.configure(ZONE % ("changed", "operators", 10, 61))
        self.terraform("apply", "-input=false", "-auto-approve", "-parallelism=40")
        self.assert_settled()
        self.terraform("destroy", "-input=false", "-auto-approve", "-parallelism=40")
        route53 = self.lab.client(VIRGINIA, "route53")
        self.assertEqual(route53.list_hosted_zones()["HostedZones"], [])
        self.assertEqual(route53.list_health_checks()["HealthChecks"], [])


if __name__ == "__main__":
    unittest.main()
