"""Terraform's resources of load balancers with every kind of setting that they have: what is applied is
found as it was written, and is removed again."""

import unittest

from balancers import certificate
from lab import free_port
from terraform import Terraform

SETTINGS = r"""
data "aws_vpc" "default" { default = true }

data "aws_subnets" "all" {
  filter {
    name   = "vpc-id"
    values = [data.aws_vpc.default.id]
  }
}

resource "aws_iam_server_certificate" "shop" {
  name             = "shop"
  certificate_body = file("%(dir)s/shop.pem")
  private_key      = file("%(dir)s/shop.key")
}

resource "aws_iam_server_certificate" "other" {
  name             = "other"
  certificate_body = file("%(dir)s/shop.pem")
  private_key      = file("%(dir)s/shop.key")
}

resource "aws_lb" "app" {
  name                                        = "app"
  internal                                    = true
  subnets                                     = data.aws_subnets.all.ids
  drop_invalid_header_fields                  = true
  preserve_host_header                        = true
  enable_xff_client_port                      = true
  xff_header_processing_mode                  = "preserve"
  desync_mitigation_mode                      = "strictest"
  client_keep_alive                           = 120
  enable_http2                                = false
  enable_tls_version_and_cipher_suite_headers = true
}

resource "aws_lb_target_group" "one" {
  name                          = "one"
  port                          = 8080
  protocol                      = "HTTP"
  protocol_version              = "GRPC"
  vpc_id                        = data.aws_vpc.default.id
  target_type                   = "ip"
  load_balancing_algorithm_type = "least_outstanding_requests"
  health_check {
    path    = "/a.B/c"
    matcher = "0-5"
  }
}

resource "aws_lb_target_group" "two" {
  name_prefix = "two-"
  port        = 8080
  protocol    = "HTTPS"
  vpc_id      = data.aws_vpc.default.id
  slow_start  = 30
  stickiness {
    type            = "app_cookie"
    cookie_name     = "session"
    cookie_duration = 60
  }
  target_group_health {
    dns_failover {
      minimum_healthy_targets_count      = "2"
      minimum_healthy_targets_percentage = "50"
    }
    unhealthy_state_routing {
      minimum_healthy_targets_count      = 2
      minimum_healthy_targets_percentage = "off"
    }
  }
  lifecycle { create_before_destroy = true }
}

resource "aws_lb_target_group" "three" {
  name     = "three"
  port     = 8080
  protocol = "HTTP"
  vpc_id   = data.aws_vpc.default.id
  stickiness {
    type            = "lb_cookie"
    cookie_duration = 600
  }
}

resource "aws_lb_listener" "secure" {
  load_balancer_arn                                  = aws_lb.app.arn
  port                                               = %(first)d
  protocol                                           = "HTTPS"
  ssl_policy                                         = "ELBSecurityPolicy-TLS13-1-2-2021-06"
  certificate_arn                                    = aws_iam_server_certificate.shop.arn
  routing_http_response_server_enabled               = true
  routing_http_response_x_frame_options_header_value = "DENY"
  default_action {
    type = "forward"
    forward {
      target_group {
        arn    = aws_lb_target_group.one.arn
        weight = 1
      }
      target_group {
        arn    = aws_lb_target_group.two.arn
        weight = 9
      }
      stickiness {
        enabled  = true
        duration = 300
      }
    }
  }
  tags = { a = "b" }
}

resource "aws_lb_listener_certificate" "other" {
  listener_arn    = aws_lb_listener.secure.arn
  certificate_arn = aws_iam_server_certificate.other.arn
}

resource "aws_lb_listener" "plain" {
  load_balancer_arn = aws_lb.app.arn
  port              = %(second)d
  protocol          = "HTTP"
  default_action {
    type = "redirect"
    redirect {
      port        = "443"
      protocol    = "HTTPS"
      status_code = "HTTP_301"
    }
  }
}

resource "aws_lb_listener_rule" "all" {
  listener_arn = aws_lb_listener.plain.arn
  action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.three.arn
  }
  condition {
    host_header { values = ["*.example.com"] }
  }
  condition {
    http_header {
      http_header_name = "X-A"
      values           = ["b"]
    }
  }
  condition {
    query_string {
      key   = "k"
      value = "v"
    }
  }
  condition {
    source_ip { values = ["127.0.0.0/8"] }
  }
  condition {
    http_request_method { values = ["GET"] }
  }
  tags = { c = "d" }
}

resource "aws_lb_listener_rule" "redirect" {
  listener_arn = aws_lb_listener.plain.arn
  priority     = 99
  action {
    type = "redirect"
    redirect {
      path        = "/new/#{path}"
      status_code = "HTTP_302"
    }
  }
  condition {
    path_pattern { values = ["/old/*", "/older/*"] }
  }
}

resource "aws_lb" "net" {
  name                             = "net"
  load_balancer_type               = "network"
  enable_cross_zone_load_balancing = true
  dynamic "subnet_mapping" {
    for_each = data.aws_subnets.all.ids
    content { subnet_id = subnet_mapping.value }
  }
}

resource "aws_lb_target_group" "udp" {
  name              = "udp"
  port              = 53
  protocol          = "TCP_UDP"
  vpc_id            = data.aws_vpc.default.id
  target_type       = "ip"
  proxy_protocol_v2 = false
  stickiness {
    type = "source_ip"
  }
  health_check {
    protocol = "HTTP"
    port     = 8080
    path     = "/up"
    matcher  = "200-399"
  }
}

resource "aws_lb_target_group" "tls" {
  name              = "tls"
  port              = 443
  protocol          = "TLS"
  vpc_id            = data.aws_vpc.default.id
  target_type       = "ip"
  proxy_protocol_v2 = true
}

resource "aws_lb_listener" "udp" {
  load_balancer_arn = aws_lb.net.arn
  port              = %(first)d
  protocol          = "TCP_UDP"
  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.udp.arn
  }
}

resource "aws_lb_listener" "tls" {
  load_balancer_arn = aws_lb.net.arn
  port              = %(second)d
  protocol          = "TLS"
  alpn_policy       = "HTTP2Preferred"
  certificate_arn   = aws_iam_server_certificate.shop.arn
  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.tls.arn
  }
}

data "aws_lb" "app" { arn = aws_lb.app.arn }

data "aws_lb_target_group" "one" { arn = aws_lb_target_group.one.arn }

data "aws_lb_listener" "plain" { arn = aws_lb_listener.plain.arn }

data "aws_lb_hosted_zone_id" "here" {}

output "same" { value = data.aws_lb_hosted_zone_id.here.id == aws_lb.app.zone_id }
"""


class BalancerSettings(Terraform, unittest.TestCase):
    """`aws_lb`, `aws_lb_target_group`, `aws_lb_listener`, `aws_lb_listener_certificate` and
    `aws_lb_listener_rule`, in two kinds of load balancers."""

    def test_what_is_applied_is_found_as_it_was_written(self):
        certificate(self.folder, "shop", "shop.test")
        first, second = free_port(), free_port()
        values = {"dir": self.folder, "first": first, "second": second}
        self.configure(SETTINGS % values)
        self.terraform("init", "-input=false")
        self.terraform("apply", "-input=false", "-auto-approve")
        self.assert_settled()
        self.assertEqual(self.terraform("output", "same").strip(), "true")
        self.terraform("destroy", "-input=false", "-auto-approve")
        left = self.lab.client("us-east-1", "elbv2").describe_target_groups()
        self.assertEqual(left["TargetGroups"], [])


if __name__ == "__main__":
    unittest.main()
