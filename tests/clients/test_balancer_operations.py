"""Every operation of Elastic Load Balancing v2's published model, called through botocore: it answers
as the service would or says by its name that it isn't built. Never a 500, never silence. And what its
waiters, paginators and exceptions make of the answers."""

import unittest

from botocore.exceptions import ClientError
from lab import Lab

REGION = "us-east-1"

# What succeeds with the least that its shape asks for: it describes, or what it deletes is gone.
ON_NOTHING = {
    "DeleteLoadBalancer", "DeleteTargetGroup", "DescribeAccountLimits", "DescribeLoadBalancers",
    "DescribeSSLPolicies", "DescribeTargetGroups",
}

ARN = f"arn:aws:elasticloadbalancing:{REGION}:111122223333:"
BALANCER = ARN + "loadbalancer/app/nowhere/0123456789abcdef"
LISTENER = ARN + "listener/app/nowhere/0123456789abcdef/0123456789abcdef"
KNOWN = {
    "LoadBalancerArn": BALANCER, "ResourceArns": BALANCER, "ListenerArn": LISTENER,
    "RuleArn": LISTENER.replace(":listener/", ":listener-rule/") + "/0123456789abcdef",
    "TargetGroupArn": ARN + "targetgroup/nowhere/0123456789abcdef",
    "IpAddressType": "ipv4", "Type": "forward", "Id": "127.0.0.1", "Name": "nowhere",
}


def parameters(shape, member):
    """The least that the shape's own constraints accept, about things that aren't there."""
    if shape.type_name == "structure":
        return {
            name: parameters(inner, name)
            for name, inner in shape.members.items()
            if name in shape.required_members or name in {"Key", "Value", "Field"}
        }
    if shape.type_name == "list":
        return [parameters(shape.member, member)]
    if shape.type_name == "string":
        if member in KNOWN:
            return KNOWN[member]
        return shape.enum[0] if shape.enum else "x" * max(1, shape.metadata.get("min", 1))
    return {"integer": 1, "long": 1, "boolean": False}[shape.type_name]


class EveryBalancerOperation(unittest.TestCase):
    """One lab of one Region."""

    @classmethod
    def setUpClass(cls):
        cls.lab = Lab("--delay-scale", "0", "--regions", REGION)
        cls.addClassCleanup(cls.lab.close)
        cls.client = cls.lab.client(REGION, "elbv2")
        cls.ec2 = cls.lab.client(REGION, "ec2")
        cls.model = cls.client.meta.service_model
        service = cls.lab.json("status", "--operations")
        rows = service["operations"] if isinstance(service, dict) else service
        row = next(row for row in rows if row["service"] == "elasticloadbalancing")
        cls.built, cls.not_built = set(row["built_names"]), set(row["not_built_names"])

    def call(self, operation, arguments):
        """The HTTP status, the error's code and its text; past botocore's own validation."""
        try:
            answer = self.client._make_api_call(operation, arguments)
            return answer["ResponseMetadata"]["HTTPStatusCode"], None, ""
        except ClientError as refused:
            answer = refused.response
            error = answer["Error"]
            status = answer["ResponseMetadata"]["HTTPStatusCode"]
            return status, error["Code"], error.get("Message", "")

    def test_the_operation_table_is_the_published_model(self):
        self.assertEqual(self.built & self.not_built, set())
        self.assertEqual(self.built | self.not_built, set(self.model.operation_names))

    def test_each_answers(self):
        for operation in self.model.operation_names:
            with self.subTest(operation=operation):
                model = self.model.operation_model(operation)
                arguments = parameters(model.input_shape, "") if model.input_shape else {}
                status, code, message = outcome = self.call(operation, arguments)
                self.assertLess(status, 500, outcome)
                if operation in self.not_built:
                    self.assertEqual(code, "NotImplemented", outcome)
                    self.assertTrue(message.startswith(f"{operation} is not built yet"), message)
                    continue
                self.assertNotEqual(code, "NotImplemented", outcome)
                if operation in ON_NOTHING:
                    self.assertEqual(status, 200, outcome)
                else:
                    codes = {shape.metadata["error"]["code"] for shape in model.error_shapes}
                    self.assertIn(code, codes | {"ValidationError"}, outcome)
                    self.assertTrue(message, outcome)

    def subnets(self):
        return [subnet["SubnetId"] for subnet in self.ec2.describe_subnets()["Subnets"]]

    def test_waiters_paginators_and_exceptions_understand_the_answers(self):
        client, vpc = self.client, self.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
        made = client.create_load_balancer(Name="walk", Subnets=self.subnets())
        arn = made["LoadBalancers"][0]["LoadBalancerArn"]
        self.addCleanup(client.delete_load_balancer, LoadBalancerArn=arn)
        soon = {"Delay": 1, "MaxAttempts": 30}
        client.get_waiter("load_balancer_exists").wait(Names=["walk"], WaiterConfig=soon)
        client.get_waiter("load_balancer_available").wait(Names=["walk"], WaiterConfig=soon)
        group = client.create_target_group(
            Name="walk", Protocol="HTTP", Port=80, VpcId=vpc, TargetType="ip")
        group = group["TargetGroups"][0]["TargetGroupArn"]
        self.addCleanup(client.delete_target_group, TargetGroupArn=group)
        listener = client.create_listener(
            LoadBalancerArn=arn, Protocol="HTTP", Port=18080,
            DefaultActions=[{"Type": "forward", "TargetGroupArn": group}])
        listener = listener["Listeners"][0]["ListenerArn"]
        for number in range(1, 8):
            client.create_rule(
                ListenerArn=listener, Priority=number,
                Conditions=[{"Field": "path-pattern", "Values": [f"/{number}"]}],
                Actions=[{"Type": "fixed-response",
                          "FixedResponseConfig": {"StatusCode": "200"}}])
        pages = client.get_paginator("describe_rules").paginate(
            ListenerArn=listener, PaginationConfig={"PageSize": 3})
        priorities = [rule["Priority"] for page in pages for rule in page["Rules"]]
        self.assertEqual(priorities, [str(number) for number in range(1, 8)] + ["default"])
        with self.assertRaises(client.exceptions.PriorityInUseException):
            client.create_rule(
                ListenerArn=listener, Priority=1,
                Conditions=[{"Field": "path-pattern", "Values": ["/x"]}],
                Actions=[{"Type": "forward", "TargetGroupArn": group}])
        with self.assertRaises(client.exceptions.ResourceInUseException):
            client.delete_target_group(TargetGroupArn=group)
        with self.assertRaises(client.exceptions.DuplicateLoadBalancerNameException):
            client.create_load_balancer(Name="walk", Subnets=self.subnets()[:2])
        client.delete_load_balancer(LoadBalancerArn=arn)
        client.get_waiter("load_balancers_deleted").wait(
            LoadBalancerArns=[arn], WaiterConfig=soon)
        with self.assertRaises(client.exceptions.LoadBalancerNotFoundException):
            client.describe_load_balancers(LoadBalancerArns=[arn])


if __name__ == "__main__":
    unittest.main()
