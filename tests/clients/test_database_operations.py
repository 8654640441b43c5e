"""Every operation of RDS's published model, called through botocore: it answers as the service would
or says by its name that it isn't built. Never a 500, never silence."""

import datetime
import unittest

from botocore.exceptions import ClientError
from lab import Lab

REGION = "us-east-1"

# What any answer may say beside the errors that the model lists for an operation.
COMMON = {
    "InvalidParameterValue", "InvalidParameterCombination", "MissingParameter",
    "ValidationError", "InvalidAction",
}

ARN = f"arn:aws:rds:{REGION}:111122223333:"
KNOWN = {
    "ResourceName": ARN + "db:nowhere", "SourceDBInstanceArn": ARN + "db:nowhere",
    "ResourceIdentifier": ARN + "db:nowhere", "Engine": "postgres", "EngineVersion": "15",
    "DBInstanceClass": "db.t3.micro", "DBParameterGroupFamily": "postgres15",
    "EngineName": "postgres", "MajorEngineVersion": "15", "SourceType": "db-instance",
    "AttributeName": "restore",
}


def parameters(shape, member):
    """The least that the shape's own constraints accept, about things that aren't there."""
    kind = shape.type_name
    if kind == "structure":
        return {
            name: parameters(inner, name)
            for name, inner in shape.members.items()
            if name in shape.required_members or name in {"Key", "Value"}
        }
    if kind == "list":
        return [parameters(shape.member, member)]
    if kind == "map":
        return {}
    if kind == "string":
        least = "n" + "x" * max(7, shape.metadata.get("min", 1) - 1)
        return KNOWN.get(member) or (shape.enum[0] if shape.enum else least)
    if kind == "timestamp":
        return datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
    return {"integer": 1, "long": 1, "double": 1.0, "boolean": False}[kind]


class EveryDatabaseOperation(unittest.TestCase):
    """One lab of one Region."""

    @classmethod
    def setUpClass(cls):
        cls.lab = Lab("--delay-scale", "0", "--regions", REGION)
        # What is global is answered once the council can decide; until then, `Throttling`.
        cls.lab.route53(REGION)
        cls.addClassCleanup(cls.lab.close)
        cls.client = cls.lab.client(REGION, "rds")
        cls.model = cls.client.meta.service_model
        rows = cls.lab.json("status", "--operations")
        row = next(row for row in rows if row["service"] == "rds")
        cls.built, cls.not_built = set(row["built_names"]), set(row["not_built_names"])

    def call(self, operation, arguments):
        """The HTTP status, the error's code and its text."""
        try:
            answer = self.client._make_api_call(operation, arguments)
            return answer["ResponseMetadata"]["HTTPStatusCode"], None, ""
        except ClientError as refused:
            answer = refused.response
            error = answer["Error"]
            status = answer["ResponseMetadata"]["HTTPStatusCode"]
            return status, error["Code"], error.get("Message", "")

    def test_the_operation_table_is_the_published_model(self):
        self.assertEqual(len(self.model.operation_names), 164)
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
                if code is not None:
                    codes = {shape.metadata.get("error", {}).get("code", shape.name)
                             for shape in model.error_shapes}
                    self.assertIn(code, codes | COMMON, outcome)
                    self.assertTrue(message, outcome)
                else:
                    self.assertEqual(status, 200, outcome)

    def test_wrong_requests_are_refused_in_the_service_s_words(self):
        for operation, arguments in [
            ("DescribeDBInstances", {"DBInstanceIdentifier": "-bad-"}),
            ("DescribeDBInstances", {"MaxRecords": 7}),
            ("DescribeDBInstances", {"Marker": "x" * 2000}),
            ("DeleteDBInstance", {"DBInstanceIdentifier": "nowhere"}),
            ("CreateDBInstance", {"DBInstanceIdentifier": "x" * 64, "Engine": "postgres",
                                  "DBInstanceClass": "db.t3.micro"}),
            ("CreateDBInstance", {"DBInstanceIdentifier": "one", "Engine": "oracle-ee",
                                  "DBInstanceClass": "db.t3.micro"}),
            ("CreateDBInstanceReadReplica", {"DBInstanceIdentifier": "one",
                                             "SourceDBInstanceIdentifier": "nowhere"}),
            ("CreateDBInstanceReadReplica", {
                "DBInstanceIdentifier": "one",
                "SourceDBInstanceIdentifier": "arn:aws:rds:eu-west-1:111122223333:db:x"}),
            ("PromoteReadReplica", {"DBInstanceIdentifier": "nowhere"}),
        ]:
            with self.subTest(operation=operation, **arguments):
                status, code, message = outcome = self.call(operation, arguments)
                self.assertTrue(400 <= status < 500, outcome)
                self.assertTrue(code and message, outcome)
                self.assertNotEqual(code, "NotImplemented")


if __name__ == "__main__":
    unittest.main()
