"""Every operation of Global Accelerator's published model, called through botocore: it answers as
the service would or says by its name that it isn't built. Never a 500, never silence."""

import unittest

from botocore.exceptions import ClientError
from lab import Lab, eventually

# AWS has the API there alone; a lab's Regions all take it.
OREGON = "us-west-2"

# What succeeds with the least that its shape asks for.
ON_NOTHING = {"CreateAccelerator", "ListAccelerators", "ListCrossAccountResources"}

# What the model leaves out of its required members, and the service asks for.
NEEDED = {"EndpointId", "FromPort", "ToPort"}


def parameters(shape, member):
    """The least that the shape's own constraints accept, about things that aren't there."""
    if shape.type_name == "structure":
        wanted = set(shape.required_members) | (NEEDED & set(shape.members))
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
        accelerator = "arn:aws:globalaccelerator::111122223333:accelerator/nowhere"
        listener = f"{accelerator}/listener/nowhere"
        known = {
            "AcceleratorArn": accelerator, "ResourceArn": accelerator, "ListenerArn": listener,
            "EndpointGroupArn": f"{listener}/endpoint-group/nowhere",
            "EndpointGroupRegion": "us-east-1", "EndpointId": "127.0.0.1",
            "ResourceOwnerAwsAccountId": "111122223333",
        }
        return known.get(member, "x" * max(1, shape.metadata.get("min", 1)))
    return {"integer": 1, "boolean": False, "float": 1.0, "timestamp": 0}[shape.type_name]


class EveryAcceleratorOperation(unittest.TestCase):
    """One lab of one Region."""

    @classmethod
    def setUpClass(cls):
        cls.lab = Lab("--delay-scale", "0", "--regions", "us-east-1")
        cls.addClassCleanup(cls.lab.close)
        cls.client = cls.lab.client(OREGON, "globalaccelerator")
        cls.model = cls.client.meta.service_model
        service = cls.lab.json("status", "--operations")
        rows = service["operations"] if isinstance(service, dict) else service
        row = next(row for row in rows if row["service"] == "globalaccelerator")
        cls.built, cls.not_built = set(row["built_names"]), set(row["not_built_names"])
        # The council elects its leader just after a start.
        eventually(cls.decided)

    @classmethod
    def decided(cls):
        try:
            cls.client.create_accelerator(Name="first", IdempotencyToken="first")
        except ClientError as error:
            if error.response["Error"]["Code"] != "ThrottlingException":
                raise
            return False
        return True

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
                    # Told by a code of the operation's own, as an exception of its own.
                    known = {shape.name for shape in model.error_shapes}
                    self.assertIn(code, known, outcome)
                    self.assertTrue(message, outcome)
                    self.assertTrue(hasattr(self.client.exceptions, code), outcome)


if __name__ == "__main__":
    unittest.main()
