"""Every operation of Route 53's published model, called through botocore: it answers as the service
would or says by its name that it isn't built. Never a 500, never silence."""

import unittest

from botocore.exceptions import ClientError
from lab import Lab

VIRGINIA = "us-east-1"

# What succeeds with the least that its shape asks for.
ON_NOTHING = {
    "GetAccountLimit", "GetHealthCheckCount", "GetHostedZoneCount", "ListGeoLocations",
    "ListHealthChecks", "ListHostedZones", "ListHostedZonesByName",
}

# In the model of 2026, and not in the pinned client's yet.
NEWER = {f"{verb}ResourceRecordSetProtections" for verb in ("Create", "Delete", "List")}


def parameters(shape, member):
    """The least that the shape's own constraints accept."""
    if shape.type_name == "structure":
        # Of what is optional, what makes sense of a change.
        wanted = set(shape.required_members) | ({"TTL", "ResourceRecords"} & set(shape.members))
        return {
            name: parameters(inner, name)
            for name, inner in shape.members.items()
            if name in wanted
        }
    if shape.type_name == "list":
        return [parameters(shape.member, member)]
    if shape.type_name == "string":
        if shape.enum:
            return shape.enum[0]
        known = {
            "HostedZoneId": "Z0NOWHERE", "Name": "nowhere.example", "RecordName": "nowhere.example",
            "DNSName": "nowhere.example", "Value": "192.0.2.1", "VPCId": "vpc-1",
        }
        return known.get(member, "x" * max(1, shape.metadata.get("min", 1)))
    return {"integer": 1, "long": 1, "boolean": False, "float": 1.0, "timestamp": 0}[
        shape.type_name
    ]


class EveryRoutingOperation(unittest.TestCase):
    """One lab of one Region."""

    @classmethod
    def setUpClass(cls):
        cls.lab = Lab("--delay-scale", "0", "--regions", VIRGINIA)
        cls.addClassCleanup(cls.lab.close)
        cls.client = cls.lab.route53(VIRGINIA)
        cls.model = cls.client.meta.service_model
        service = cls.lab.json("status", "--operations")
        rows = service["operations"] if isinstance(service, dict) else service
        row = next(row for row in rows if row["service"] == "route53")
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
        self.assertEqual(self.built | self.not_built, set(self.model.operation_names) | NEWER)

    def test_each_answers(self):
        for operation in self.model.operation_names:
            with self.subTest(operation=operation):
                shape = self.model.operation_model(operation).input_shape
                arguments = parameters(shape, "") if shape else {}
                status, code, message = outcome = self.call(operation, arguments)
                self.assertLess(status, 500, outcome)
                if operation in self.not_built:
                    self.assertEqual(code, "NotImplemented", outcome)
                    self.assertTrue(message.startswith(f"{operation} is not built yet"), message)
                    continue
                self.assertNotEqual(code, "NotImplemented", outcome)
                if operation in ON_NOTHING:
                    self.assertEqual(status, 200, outcome)
                elif status >= 400:
                    # Told by a code of the operation's own, or that its input is wrong.
                    shapes = self.model.operation_model(operation).error_shapes
                    known = {shape.name for shape in shapes} | {"InvalidInput"}
                    self.assertIn(code, known, outcome)
                    self.assertTrue(message, outcome)


if __name__ == "__main__":
    unittest.main()
