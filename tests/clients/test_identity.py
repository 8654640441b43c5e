"""Users, roles and policies by boto3 and the `aws` command line, over Regions that are apart."""

import json
import unittest

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from lab import Lab, eventually

import urllib.request
import urllib.error

VIRGINIA, IRELAND, SINGAPORE = "us-east-1", "eu-west-1", "ap-southeast-1"
REGIONS = (VIRGINIA, IRELAND, SINGAPORE)
ACCOUNT = "111122223333"
OTHER = "444455556666"


def policy(*statements):
    """The text of a policy document."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(actions, resources, **more):
    """A statement that allows."""
    return {"Effect": "Allow", "Action": actions, "Resource": resources, **more}


def trust(principal, **more):
    """The policy of a role that this principal may assume."""
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole", **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def table(name, region=VIRGINIA, account=ACCOUNT):
    """A table's ARN."""
    return f"arn:aws:dynamodb:{region}:{account}:table/{name}"


def code(call, *arguments, **named):
    """The code of the error that a call ends in; None if it succeeds."""
    try:
        call(*arguments, **named)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return None


def message(call, *arguments, **named):
    """The text of the error that a call ends in."""
    try:
        call(*arguments, **named)
    except ClientError as error:
        return error.response["Error"]["Message"]
    raise AssertionError("the call succeeded")


class Identity(unittest.TestCase):
    """One lab of three Regions; each test has users of its own."""

    @classmethod
    def setUpClass(cls):
        cls.lab = Lab("--delay-scale", "0.2")
        cls.addClassCleanup(cls.lab.close)
        cls.iam = cls.client_of(None, VIRGINIA, "iam")
        eventually(cls.decided)
        cls.dynamodb = cls.lab.client(VIRGINIA)
        cls.make_table("Orders")
        cls.make_table("Secrets")

    @classmethod
    def decided(cls):
        """Does the council decide? It elects its leader just after a start."""
        try:
            cls.iam.create_group(GroupName="first")
        except ClientError as error:
            if error.response["Error"]["Code"] == "EntityAlreadyExists":
                return True
            if error.response["Error"]["Code"] not in ("Throttling", "ServiceUnavailable"):
                raise
            return False
        return True

    @classmethod
    def make_table(cls, name):
        cls.dynamodb.create_table(
            TableName=name,
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
        cls.dynamodb.get_waiter("table_exists").wait(TableName=name)

    @classmethod
    def client_of(cls, key, region=VIRGINIA, service="dynamodb", token=None):
        """A client that signs with that key: (id, secret), or None for the account's root."""
        if key is None:
            return cls.lab.client(region, service)
        return cls.lab.client(
            region, service, aws_access_key_id=key[0], aws_secret_access_key=key[1],
            aws_session_token=token,
        )

    @classmethod
    def session_of(cls, credentials, region=VIRGINIA, service="dynamodb"):
        """A client that signs with a session's credentials."""
        key = (credentials["AccessKeyId"], credentials["SecretAccessKey"])
        return cls.client_of(key, region, service, credentials["SessionToken"])

    def user(self, name, *statements):
        """A new user with these statements and one key."""
        self.iam.create_user(UserName=name)
        if statements:
            self.iam.put_user_policy(
                UserName=name, PolicyName="inline", PolicyDocument=policy(*statements)
            )
        key = self.iam.create_access_key(UserName=name)["AccessKey"]
        return key["AccessKeyId"], key["SecretAccessKey"]

    def arn(self, name):
        """A user's name for policies."""
        return f"arn:aws:iam::{ACCOUNT}:user/{name}"

    # --- Who calls ---

    def test_the_caller_is_told_in_every_region(self):
        key = self.user("told")
        for region in REGIONS:
            sts = self.client_of(key, region, "sts")
            identity = eventually(lambda: self.identity(sts))
            self.assertEqual(identity["Arn"], self.arn("told"))
            self.assertEqual(identity["Account"], ACCOUNT)
            self.assertTrue(identity["UserId"].startswith("AIDA"), identity)
        root = self.lab.client(VIRGINIA, "sts").get_caller_identity()
        self.assertEqual(root["Arn"], f"arn:aws:iam::{ACCOUNT}:root")

    def identity(self, sts):
        """Who calls, once the Region knows the key."""
        try:
            return sts.get_caller_identity()
        except ClientError as error:
            self.assertEqual(error.response["Error"]["Code"], "InvalidClientTokenId")
            return None

    def test_a_key_made_in_one_region_works_in_the_next_and_revoked_stops_everywhere(self):
        statement = allow("dynamodb:ListTables", "*")
        far = self.lab.client(SINGAPORE, "iam")
        far.create_user(UserName="far")
        far.put_user_policy(
            UserName="far", PolicyName="inline", PolicyDocument=policy(statement)
        )
        made = far.create_access_key(UserName="far")["AccessKey"]
        key = (made["AccessKeyId"], made["SecretAccessKey"])
        for region in REGIONS:
            lists = self.client_of(key, region).list_tables
            eventually(lambda: code(lists) is None, 5)
        self.iam.update_access_key(UserName="far", AccessKeyId=key[0], Status="Inactive")
        for region in REGIONS:
            lists = self.client_of(key, region).list_tables
            eventually(lambda: code(lists) == "UnrecognizedClientException", 5)
        self.iam.delete_access_key(UserName="far", AccessKeyId=key[0])
        listed = far.list_access_keys(UserName="far")["AccessKeyMetadata"]
        self.assertEqual(listed, [])

    # --- What may they do ---

    def test_nothing_is_allowed_that_no_policy_allows(self):
        key = self.user("nobody")
        client = self.client_of(key)
        text = message(client.put_item, TableName="Orders", Item={"id": {"S": "1"}})
        self.assertEqual(
            text,
            f"User: {self.arn('nobody')} is not authorized to perform: dynamodb:PutItem on "
            f"resource: {table('Orders')} because no identity-based policy allows the "
            "dynamodb:PutItem action",
        )
        for service, call in (
            ("iam", lambda iam: iam.list_users()),
            ("route53", lambda route53: route53.list_hosted_zones()),
        ):
            error = code(call, self.client_of(key, VIRGINIA, service))
            self.assertEqual(error, "AccessDenied", service)
        sts = self.client_of(key, VIRGINIA, "sts")
        self.assertEqual(sts.get_caller_identity()["Arn"], self.arn("nobody"))

    def test_a_policy_is_for_its_resources_and_a_deny_wins(self):
        key = self.user(
            "clerk",
            allow("dynamodb:*", table("*")),
            {"Effect": "Deny", "Action": "dynamodb:DeleteItem", "Resource": table("Orders")},
        )
        client = self.client_of(key)
        client.put_item(TableName="Orders", Item={"id": {"S": "clerk"}})
        denied = message(client.delete_item, TableName="Orders", Key={"id": {"S": "clerk"}})
        self.assertTrue(
            denied.endswith("with an explicit deny in an identity-based policy"), denied
        )
        # A table that isn't there, and one that no policy speaks of, look alike to nobody.
        self.assertEqual(
            code(client.get_item, TableName="None", Key={"id": {"S": "1"}}),
            "ResourceNotFoundException",
        )
        elsewhere = self.client_of(key, IRELAND)
        self.assertEqual(
            code(elsewhere.get_item, TableName="Orders", Key={"id": {"S": "1"}}),
            "AccessDeniedException",
        )

    def test_leading_keys_keep_users_to_their_own_items(self):
        own = allow(
            ["dynamodb:PutItem", "dynamodb:GetItem", "dynamodb:BatchGetItem"],
            table("Orders"),
            Condition={
                "ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["${aws:username}"]}
            },
        )
        client = self.client_of(self.user("lea", own))
        client.put_item(TableName="Orders", Item={"id": {"S": "lea"}})
        self.assertEqual(
            code(client.put_item, TableName="Orders", Item={"id": {"S": "bob"}}),
            "AccessDeniedException",
        )
        both = {"Orders": {"Keys": [{"id": {"S": "lea"}}, {"id": {"S": "bob"}}]}}
        self.assertEqual(
            code(client.batch_get_item, RequestItems=both), "AccessDeniedException"
        )

    def test_the_source_address_and_the_region_are_known(self):
        place = allow(
            "dynamodb:ListTables", "*", Condition={"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}
        )
        away = allow(
            "dynamodb:DescribeTable", "*",
            Condition={"NotIpAddress": {"aws:SourceIp": "127.0.0.0/8"}},
        )
        region = allow(
            "dynamodb:DescribeEndpoints", "*",
            Condition={"StringEquals": {"aws:RequestedRegion": VIRGINIA}},
        )
        key = self.user("placed", place, away, region)
        self.client_of(key).list_tables()
        self.assertEqual(
            code(self.client_of(key).describe_table, TableName="Orders"), "AccessDeniedException"
        )
        self.client_of(key).describe_endpoints()
        self.assertEqual(
            code(self.client_of(key, IRELAND).describe_endpoints), "AccessDeniedException"
        )

    def test_groups_managed_policies_and_boundaries(self):
        document = policy(allow("dynamodb:*", "*"))
        made = self.iam.create_policy(PolicyName="tables", PolicyDocument=document)["Policy"]
        self.assertEqual(made["Arn"], f"arn:aws:iam::{ACCOUNT}:policy/tables")
        self.iam.create_group(GroupName="Writers")
        self.iam.attach_group_policy(GroupName="Writers", PolicyArn=made["Arn"])
        key = self.user("member")
        client = self.client_of(key)
        self.assertEqual(code(client.list_tables), "AccessDeniedException")
        self.iam.add_user_to_group(GroupName="writers", UserName="member")
        eventually(lambda: code(client.list_tables) is None, 5)
        bound = policy(allow("dynamodb:ListTables", "*"))
        boundary = self.iam.create_policy(PolicyName="bound", PolicyDocument=bound)["Policy"]
        self.iam.put_user_permissions_boundary(
            UserName="member", PermissionsBoundary=boundary["Arn"]
        )
        text = message(client.describe_table, TableName="Orders")
        self.assertTrue(
            text.endswith(
                "because no permissions boundary allows the dynamodb:DescribeTable action"
            ),
            text,
        )
        self.assertIsNone(code(client.list_tables))
        self.assertEqual(code(self.iam.delete_policy, PolicyArn=made["Arn"]), "DeleteConflict")
        wider = policy(allow("*", "*"))
        self.iam.create_policy_version(
            PolicyArn=boundary["Arn"], PolicyDocument=wider, SetAsDefault=True
        )
        eventually(lambda: code(client.describe_table, TableName="Orders") is None, 5)
        versions = self.iam.list_policy_versions(PolicyArn=boundary["Arn"])["Versions"]
        self.assertEqual([v["VersionId"] for v in versions if v["IsDefaultVersion"]], ["v2"])
        details = self.iam.get_account_authorization_details(Filter=["User"])
        users = {user["UserName"]: user for user in details["UserDetailList"]}
        self.assertEqual(users["member"]["GroupList"], ["Writers"])

    def test_roles_are_assumed_and_sessions_limited(self):
        self.iam.create_role(
            RoleName="reader",
            AssumeRolePolicyDocument=trust(
                {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
                Condition={"StringEquals": {"sts:ExternalId": "42"}},
            ),
        )
        self.iam.put_role_policy(
            RoleName="reader", PolicyName="p",
            PolicyDocument=policy(allow(["dynamodb:GetItem", "dynamodb:ListTables"], "*")),
        )
        role = f"arn:aws:iam::{ACCOUNT}:role/reader"
        key = self.user("assumer", allow("sts:AssumeRole", role))
        sts = self.client_of(key, IRELAND, "sts")
        named = {"RoleArn": role, "RoleSessionName": "s1"}
        eventually(lambda: code(sts.assume_role, **named) == "AccessDenied", 5)
        assumed = eventually(lambda: self.assume(sts, ExternalId="42", **named))
        self.assertEqual(
            assumed["AssumedRoleUser"]["Arn"],
            f"arn:aws:sts::{ACCOUNT}:assumed-role/reader/s1",
        )
        credentials = assumed["Credentials"]
        self.assertTrue(credentials["AccessKeyId"].startswith("ASIA"))
        for region in (VIRGINIA, SINGAPORE):
            session = self.session_of(credentials, region)
            eventually(lambda: code(session.list_tables) is None, 5)
        put = self.session_of(credentials).put_item
        self.assertEqual(
            code(put, TableName="Orders", Item={"id": {"S": "1"}}), "AccessDeniedException"
        )
        narrow = self.assume(
            sts, ExternalId="42", Policy=policy(allow("dynamodb:GetItem", "*")), **named
        )
        narrowed = self.session_of(narrow["Credentials"])
        self.assertIsNone(code(narrowed.get_item, TableName="Orders", Key={"id": {"S": "1"}}))
        text = message(narrowed.list_tables)
        self.assertTrue(
            text.endswith("because no session policy allows the dynamodb:ListTables action"), text
        )
        without = self.client_of((credentials["AccessKeyId"], credentials["SecretAccessKey"]))
        self.assertEqual(code(without.list_tables), "UnrecognizedClientException")
        # A role of the same name is another role: its sessions are gone with it.
        self.iam.delete_role_policy(RoleName="reader", PolicyName="p")
        self.iam.delete_role(RoleName="reader")
        eventually(lambda: code(self.session_of(credentials).list_tables) is not None, 5)

    def assume(self, sts, **named):
        """A session of a role, once the Region lets it be had."""
        try:
            return sts.assume_role(**named)
        except ClientError as error:
            self.assertEqual(error.response["Error"]["Code"], "AccessDenied")
            return None

    def test_sessions_of_users_and_what_they_may_not(self):
        key = self.user("timed", allow("*", "*"))
        sts = self.client_of(key, VIRGINIA, "sts")
        credentials = sts.get_session_token(DurationSeconds=900)["Credentials"]
        self.session_of(credentials).list_tables()
        iam = self.session_of(credentials, VIRGINIA, "iam")
        self.assertIn(code(iam.list_users), ("AccessDenied", "InvalidClientTokenId"))
        again = self.session_of(credentials, VIRGINIA, "sts")
        self.assertEqual(code(again.get_session_token), "AccessDenied")
        self.assertEqual(again.get_caller_identity()["Arn"], self.arn("timed"))

    def test_accounts_are_apart_and_cross_account_needs_both_sides(self):
        made = self.lab.json("identity", "create-account", OTHER)
        root = (made["access_key_id"], made["secret_access_key"])
        theirs = self.client_of(root)
        eventually(lambda: code(theirs.list_tables) is None, 5)
        self.assertEqual(theirs.list_tables()["TableNames"], [])
        iam = self.client_of(root, VIRGINIA, "iam")
        self.assertEqual(iam.list_users()["Users"], [])
        get = {"TableName": table("Secrets"), "Key": {"id": {"S": "1"}}}
        self.assertEqual(code(theirs.get_item, **get), "AccessDeniedException")
        iam.create_user(UserName="guest")
        made = iam.create_access_key(UserName="guest")["AccessKey"]
        guest = self.client_of((made["AccessKeyId"], made["SecretAccessKey"]))
        shared = policy({
            "Effect": "Allow", "Action": "dynamodb:GetItem", "Resource": table("Secrets"),
            "Principal": {"AWS": f"arn:aws:iam::{OTHER}:user/guest"},
        })
        self.dynamodb.put_resource_policy(ResourceArn=table("Secrets"), Policy=shared)
        self.assertEqual(code(guest.get_item, **get), "AccessDeniedException")
        iam.put_user_policy(
            UserName="guest", PolicyName="p",
            PolicyDocument=policy(allow("dynamodb:GetItem", table("Secrets"))),
        )
        eventually(lambda: code(guest.get_item, **get) is None, 5)
        self.dynamodb.delete_resource_policy(ResourceArn=table("Secrets"))
        eventually(lambda: code(guest.get_item, **get) == "AccessDeniedException", 5)

    # --- What is wrong ---

    def test_malformed_policies_and_names_have_the_service_s_errors(self):
        self.iam.create_user(UserName="bad")
        put = self.iam.put_user_policy
        for document in (
            "{",
            "{}",
            '{"Version":"2012-10-17","Statement":[{"Effect":"Allow"}]}',
            policy({"Effect": "Maybe", "Action": "*", "Resource": "*"}),
            policy(allow("*", "*", Principal="*")),
            policy(allow("*", "*", Condition={"StringIsh": {"a": "b"}})),
        ):
            named = {"UserName": "bad", "PolicyName": "p", "PolicyDocument": document}
            self.assertEqual(code(put, **named), "MalformedPolicyDocument", document)
        self.assertEqual(code(self.iam.create_user, UserName="BAD"), "EntityAlreadyExists")
        self.assertEqual(code(self.iam.create_user, UserName="b d"), "ValidationError")
        self.assertEqual(code(self.iam.get_user, UserName="none"), "NoSuchEntity")
        self.assertEqual(
            code(self.iam.attach_user_policy, UserName="bad", PolicyArn="arn:aws:iam::aws:policy/X"),
            "NoSuchEntity",
        )
        self.iam.create_access_key(UserName="bad")
        self.iam.create_access_key(UserName="bad")
        self.assertEqual(code(self.iam.create_access_key, UserName="bad"), "LimitExceeded")
        self.assertEqual(code(self.iam.delete_user, UserName="bad"), "DeleteConflict")

    def test_lists_have_pages(self):
        for number in range(5):
            self.iam.create_user(UserName=f"page-{number}", Path="/pages/")
        pages = self.iam.get_paginator("list_users").paginate(
            PathPrefix="/pages/", PaginationConfig={"PageSize": 2}
        )
        names = [[user["UserName"] for user in page["Users"]] for page in pages]
        self.assertEqual([len(page) for page in names], [2, 2, 1])
        self.assertEqual(sum(names, []), [f"page-{number}" for number in range(5)])

    def test_a_simulation_says_what_a_call_would(self):
        self.user("simulated", allow("dynamodb:GetItem", table("Orders")))
        answer = self.iam.simulate_principal_policy(
            PolicySourceArn=self.arn("simulated"),
            ActionNames=["dynamodb:GetItem", "dynamodb:PutItem"],
            ResourceArns=[table("Orders")],
        )
        decisions = {
            result["EvalActionName"]: result["EvalDecision"]
            for result in answer["EvaluationResults"]
        }
        self.assertEqual(
            decisions, {"dynamodb:GetItem": "allowed", "dynamodb:PutItem": "implicitDeny"}
        )

    def test_explain_names_the_statement_that_decided(self):
        self.user(
            "explained",
            allow("dynamodb:*", "*", Sid="Everything"),
            {"Sid": "NoDrop", "Effect": "Deny", "Action": "dynamodb:DeleteTable",
             "Resource": "*"},
        )
        words = ("identity", "explain", "dynamodb:GetItem", table("Orders"))
        allowed = self.lab.run(*words, "--as", "explained")
        self.assertIn("Everything", allowed.stdout)
        words = ("identity", "explain", "dynamodb:DeleteTable", table("Orders"))
        denied = self.lab.run(*words, "--as", self.arn("explained"), check=False)
        self.assertEqual(denied.returncode, 1, denied.stderr)
        self.assertIn("NoDrop", denied.stdout)

    # --- Signatures ---

    def test_a_signature_for_another_region_or_service_or_time_is_refused(self):
        """As made by botocore, sent to a Region's own address."""
        host, port = self.lab.address(IRELAND)
        environment = self.lab.environment
        root = Credentials(
            environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"]
        )

        def answer(service, region, change=lambda request: None, body=b"{}"):
            headers = {
                "X-Amz-Target": "DynamoDB_20120810.ListTables",
                "Content-Type": "application/x-amz-json-1.0",
            }
            request = AWSRequest("POST", f"http://{host}:{port}/", headers, body)
            SigV4Auth(root, service, region).add_auth(request)
            change(request)
            sent = urllib.request.Request(
                request.url, request.data, dict(request.headers), method="POST"
            )
            try:
                with urllib.request.urlopen(sent, timeout=20) as response:
                    return response.status, ""
            except urllib.error.HTTPError as error:
                return error.code, error.read().decode()

        self.assertEqual(answer("dynamodb", IRELAND)[0], 200)
        status, body = answer("dynamodb", VIRGINIA)
        self.assertEqual(status, 400)
        self.assertIn("InvalidSignatureException", body)

        def other_body(request):
            request.data = b'{"Limit":1}'

        def other_target(request):
            target = "DynamoDB_20120810.DescribeEndpoints"
            request.headers.replace_header("X-Amz-Target", target)

        def further_header(request):
            request.headers["X-Amz-Meta"] = "1"

        for change in (other_body, other_target, further_header):
            status, body = answer("dynamodb", IRELAND, change)
            self.assertEqual(status, 400, change)
            self.assertIn("InvalidSignatureException", body)


class CommandLine(unittest.TestCase):
    """What people type."""

    def test_the_aws_command_line_and_causeway_identity(self):
        lab = Lab("--regions", "us-east-1,eu-west-1", "--delay-scale", "0")
        self.addCleanup(lab.close)
        eventually(
            lambda: lab.aws(
                VIRGINIA, "iam", "create-user", "--user-name", "Zoe", check=False
            ).returncode == 0
        )
        lab.aws(
            IRELAND, "iam", "attach-user-policy", "--user-name", "Zoe",
            "--policy-arn", "arn:aws:iam::aws:policy/AmazonDynamoDBReadOnlyAccess",
        )
        key = lab.json("identity", "create-key", "Zoe")
        listing = lab.run("identity", "list").stdout
        self.assertIn("Zoe", listing)
        self.assertIn(key["access_key_id"], listing)
        self.assertNotIn(key["secret_access_key"], listing)
        config = Config(retries={"total_max_attempts": 1})
        zoe = boto3.client(
            "dynamodb", region_name=IRELAND, endpoint_url=lab.environment["AWS_ENDPOINT_URL"],
            aws_access_key_id=key["access_key_id"],
            aws_secret_access_key=key["secret_access_key"], config=config,
        )
        eventually(lambda: code(zoe.list_tables) is None, 5)
        self.assertEqual(code(zoe.delete_table, TableName="x12"), "AccessDeniedException")
        lab.run("identity", "revoke", key["access_key_id"])
        eventually(lambda: code(zoe.list_tables) == "UnrecognizedClientException", 5)
        caller = lab.aws(VIRGINIA, "sts", "get-caller-identity")
        self.assertEqual(caller["Arn"], f"arn:aws:iam::{ACCOUNT}:root")
        refused = lab.aws(
            VIRGINIA, "sts", "decode-authorization-message", "--encoded-message", "x",
            check=False,
        )
        self.assertIn("NotImplemented", refused.stderr)


if __name__ == "__main__":
    unittest.main()
