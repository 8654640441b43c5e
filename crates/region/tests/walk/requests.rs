//! A request for every row of every service: one that would do something to what is there, if it
//! were let through.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Request;
use serde_json::{Value, json};
use store::MemoryEngine;

use crate::lab::Lab;

const ACCOUNT: &str = "111122223333";
const TABLE: &str = "arn:aws:dynamodb:us-east-1:111122223333:table/Walk";

/// The services there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Service {
    DynamoDb,
    Route53,
    Iam,
    Sts,
    LoadBalancing,
}

impl Service {
    /// Its signing name.
    pub fn name(self) -> &'static str {
        match self {
            Service::DynamoDb => "dynamodb",
            Service::Route53 => "route53",
            Service::Iam => "iam",
            Service::Sts => "sts",
            Service::LoadBalancing => "elasticloadbalancing",
        }
    }
}

/// A request for an operation.
pub struct Ask {
    pub service: Service,
    /// `dynamodb:PutItem`.
    pub action: String,
    pub built: bool,
    pub method: &'static str,
    pub path: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

impl Ask {
    /// The request without its body.
    pub fn request(&self) -> Request<()> {
        let uri = format!("http://walk.lab{}", self.path);
        let mut request = Request::builder().method(self.method).uri(uri);
        request = request.header("host", "walk.lab");
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        request.body(()).expect("it is well-formed")
    }
}

/// What is there to be done something to.
pub struct Place {
    zone: String,
    check: String,
    change: String,
    key: String,
}

impl Place {
    /// Makes a table with an item, a zone, a health check, a user, a group, a role, a policy and an
    /// instance profile.
    pub fn prepare(lab: &Lab) -> Place {
        lab.ok(&json("CreateTable", new_table("Walk")));
        lab.ok(&json("PutItem", body("PutItem")));
        let name = "<Name>example.com</Name><CallerReference>walk</CallerReference>";
        let zone = lab.ok(&rest(
            "CreateHostedZone",
            "POST",
            "/2013-04-01/hostedzone",
            name,
        ));
        let check = health_check("walk");
        let check = lab.ok(&rest(
            "CreateHealthCheck",
            "POST",
            "/2013-04-01/healthcheck",
            &check,
        ));
        let ids: Vec<&str> = zone.text.split("<Id>").skip(1).collect();
        let id = |text: &str| {
            let whole = text.split('<').next().unwrap_or_default();
            whole.rsplit('/').next().unwrap_or_default().to_owned()
        };
        for (operation, parameters) in [
            ("CreateUser", &[("UserName", "walk")][..]),
            ("CreateGroup", &[("GroupName", "walk")]),
            (
                "CreateRole",
                &[("RoleName", "walk"), ("AssumeRolePolicyDocument", TRUST)],
            ),
            (
                "CreatePolicy",
                &[("PolicyName", "walk"), ("PolicyDocument", POLICY)],
            ),
            ("CreateInstanceProfile", &[("InstanceProfileName", "walk")]),
        ] {
            lab.ok(&form("iam", operation, parameters));
        }
        let key = lab.ok(&form("iam", "CreateAccessKey", &[("UserName", "walk")]));
        Place {
            zone: id(ids[0]),
            change: id(ids[1]),
            check: check.element("Id"),
            key: key.element("AccessKeyId"),
        }
    }
}

const TRUST: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"sts:AssumeRole"}}"#;
const POLICY: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}}"#;

/// A request for each row. Those of IAM come last: they may take away who asks.
pub fn every_row(place: &Place) -> Vec<Ask> {
    let mut asks = Vec::new();
    for (name, built) in identity::Service::sts_operations() {
        asks.push(Ask {
            built,
            ..form("sts", name, &STS)
        });
    }
    for (name, built) in tables::Tables::<MemoryEngine>::operations() {
        asks.push(Ask {
            built,
            ..json(name, body(name))
        });
    }
    for (name, built) in balancer::Service::operations() {
        let resource = match name {
            "ModifyTargetGroupAttributes" => "deregistration_delay.timeout_seconds",
            _ => "idle_timeout.timeout_seconds",
        };
        let attribute = [
            ("Attributes.member.1.Key", resource),
            ("Attributes.member.1.Value", "30"),
        ];
        let parameters: Vec<(&str, &str)> =
            LOAD_BALANCING.iter().copied().chain(attribute).collect();
        asks.push(Ask {
            built,
            ..form("elasticloadbalancing", name, &parameters)
        });
    }
    let built = |name| {
        let mut rows = routing::Service::operations();
        rows.any(|(row, built)| row == name && built)
    };
    for (name, method, path) in routing::Service::paths() {
        let path = place.fill(name, path);
        asks.push(Ask {
            built: built(name),
            ..rest(name, method, &path, &place.document(name))
        });
    }
    for (name, built) in identity::Service::iam_operations() {
        let own = place.own();
        let parameters: Vec<(&str, &str)> = IAM.iter().copied().chain(own).collect();
        asks.push(Ask {
            built,
            ..form("iam", name, &parameters)
        });
    }
    asks
}

const STS: [(&str, &str); 3] = [
    ("RoleArn", "arn:aws:iam::111122223333:role/walk"),
    ("RoleSessionName", "walk"),
    ("AccessKeyId", "AKIAIOSFODNN7EXAMPLE"),
];

/// Parameters of IAM: an operation takes those that it knows.
const IAM: [(&str, &str); 29] = [
    ("UserName", "walk"),
    ("GroupName", "walk"),
    ("RoleName", "walk"),
    ("PolicyName", "walk"),
    ("PolicyArn", "arn:aws:iam::111122223333:policy/walk"),
    ("PolicyDocument", POLICY),
    ("AssumeRolePolicyDocument", TRUST),
    ("InstanceProfileName", "walk"),
    (
        "PermissionsBoundary",
        "arn:aws:iam::111122223333:policy/walk",
    ),
    ("VersionId", "v1"),
    ("Status", "Inactive"),
    ("AccountAlias", "walk"),
    ("Tags.member.1.Key", "team"),
    ("Tags.member.1.Value", "blue"),
    ("TagKeys.member.1", "team"),
    ("AWSServiceName", "replication.dynamodb.amazonaws.com"),
    ("PolicySourceArn", "arn:aws:iam::111122223333:user/walk"),
    ("ActionNames.member.1", "s3:GetObject"),
    ("PolicyInputList.member.1", POLICY),
    ("DeletionTaskId", "task/aws-service-role/a/b/c"),
    ("Arn", "arn:aws:iam::111122223333:user/walk"),
    ("JobId", "00000000-0000-4000-8000-000000000001"),
    ("Description", "walked"),
    ("NewPath", "/walked/"),
    ("MaxSessionDuration", "7200"),
    ("SetAsDefault", "true"),
    ("ServerCertificateName", "walk"),
    ("CertificateBody", "walk"),
    ("PrivateKey", "walk"),
];

/// Parameters of Elastic Load Balancing.
const LOAD_BALANCING: [(&str, &str); 25] = [
    ("LoadBalancerArn", BALANCER),
    ("ListenerArn", LISTENER),
    ("RuleArn", RULE),
    ("TargetGroupArn", GROUP),
    ("ResourceArn", BALANCER),
    ("ResourceArns.member.1", BALANCER),
    ("Name", "walk"),
    ("Subnets.member.1", "subnet-0"),
    ("SecurityGroups.member.1", "sg-0"),
    ("IpAddressType", "ipv4"),
    ("Protocol", "HTTP"),
    ("Port", "80"),
    ("Priority", "1"),
    ("RulePriorities.member.1.RuleArn", RULE),
    ("RulePriorities.member.1.Priority", "1"),
    ("Conditions.member.1.Field", "path-pattern"),
    ("Conditions.member.1.Values.member.1", "/walk"),
    ("Actions.member.1.Type", "forward"),
    ("Actions.member.1.TargetGroupArn", GROUP),
    ("DefaultActions.member.1.Type", "forward"),
    ("DefaultActions.member.1.TargetGroupArn", GROUP),
    ("Certificates.member.1.CertificateArn", CERTIFICATE),
    ("Targets.member.1.Id", "127.1.1.1"),
    ("Tags.member.1.Key", "team"),
    ("TagKeys.member.1", "team"),
];

const BALANCER: &str = "arn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/\
    app/walk/0000000000000001";
const LISTENER: &str = "arn:aws:elasticloadbalancing:us-east-1:111122223333:listener/\
    app/walk/0000000000000001/0000000000000002";
const RULE: &str = "arn:aws:elasticloadbalancing:us-east-1:111122223333:listener-rule/\
    app/walk/0000000000000001/0000000000000002/0000000000000003";
const GROUP: &str =
    "arn:aws:elasticloadbalancing:us-east-1:111122223333:targetgroup/walk/0000000000000004";
const CERTIFICATE: &str = "arn:aws:acm:us-east-1:111122223333:certificate/walk";

impl Place {
    fn own(&self) -> [(&str, &str); 1] {
        [("AccessKeyId", self.key.as_str())]
    }

    /// A path with what is there in place of its labels.
    fn fill(&self, name: &str, path: &str) -> String {
        let id = match name {
            "GetChange" => &self.change,
            _ => &self.zone,
        };
        let filled = path
            .replace("{Id}", id)
            .replace("{HostedZoneId}", &self.zone)
            .replace("{ResourceId}", &self.check)
            .replace("{HealthCheckId}", &self.check)
            .replace("{ResourceType}", "healthcheck");
        let filled = match name {
            "GetAccountLimit" => filled.replace("{Type}", "MAX_HOSTED_ZONES_BY_OWNER"),
            _ => filled.replace("{Type}", "MAX_RRSETS_BY_ZONE"),
        };
        let filled = match name {
            "TestDNSAnswer" => {
                let zone = &self.zone;
                format!("{filled}?hostedzoneid={zone}&recordname=example.com&recordtype=A")
            }
            _ => filled,
        };
        // What is left is of what isn't built.
        let parts = filled.split('/').map(|part| match part.starts_with('{') {
            true => "walk",
            false => part,
        });
        parts.collect::<Vec<_>>().join("/")
    }

    /// What stands in the root of an operation's document.
    fn document(&self, name: &str) -> String {
        match name {
            "CreateHostedZone" => {
                "<Name>example.net</Name><CallerReference>new</CallerReference>".to_owned()
            }
            "CreateHealthCheck" => health_check("new"),
            "UpdateHealthCheck" => "<Port>81</Port>".to_owned(),
            "UpdateHostedZoneComment" => "<Comment>walked</Comment>".to_owned(),
            "ChangeTagsForResource" => {
                "<AddTags><Tag><Key>a</Key><Value>b</Value></Tag></AddTags>".to_owned()
            }
            "ListTagsForResources" => format!(
                "<ResourceIds><ResourceId>{}</ResourceId></ResourceIds>",
                self.check
            ),
            "ChangeResourceRecordSets" => {
                "<ChangeBatch><Changes><Change><Action>CREATE</Action><ResourceRecordSet>\
                 <Name>a.example.com</Name><Type>A</Type><TTL>60</TTL><ResourceRecords>\
                 <ResourceRecord><Value>192.0.2.1</Value></ResourceRecord></ResourceRecords>\
                 </ResourceRecordSet></Change></Changes></ChangeBatch>"
                    .to_owned()
            }
            _ => String::new(),
        }
    }
}

fn health_check(reference: &str) -> String {
    format!(
        "<CallerReference>{reference}</CallerReference><HealthCheckConfig><IPAddress>127.1.1.1\
         </IPAddress><Port>80</Port><Type>TCP</Type></HealthCheckConfig>"
    )
}

/// A request for an operation of DynamoDB.
pub fn json(name: &str, body: Value) -> Ask {
    Ask {
        service: Service::DynamoDb,
        action: format!("dynamodb:{name}"),
        built: true,
        method: "POST",
        path: "/".to_owned(),
        headers: vec![
            ("x-amz-target", format!("DynamoDB_20120810.{name}")),
            ("content-type", "application/x-amz-json-1.0".to_owned()),
        ],
        body: body.to_string(),
    }
}

/// A request for an operation of Route 53.
pub fn rest(name: &str, method: &'static str, path: &str, inner: &str) -> Ask {
    let body = match method {
        "POST" => format!("<{name}Request>{inner}</{name}Request>"),
        _ => String::new(),
    };
    Ask {
        service: Service::Route53,
        action: format!("route53:{name}"),
        built: true,
        method,
        path: path.to_owned(),
        headers: Vec::new(),
        body,
    }
}

/// A request for an operation of IAM or STS.
pub fn form(service: &str, name: &str, parameters: &[(&str, &str)]) -> Ask {
    let (service, version) = match service {
        "iam" => (Service::Iam, "2010-05-08"),
        "elasticloadbalancing" => (Service::LoadBalancing, "2015-12-01"),
        _ => (Service::Sts, "2011-06-15"),
    };
    let mut body = format!("Action={name}&Version={version}");
    for (parameter, value) in parameters {
        let encoded = value.bytes().map(|byte| format!("%{byte:02X}"));
        body.push_str(&format!("&{parameter}={}", encoded.collect::<String>()));
    }
    Ask {
        service,
        action: format!("{}:{name}", service.name()),
        built: true,
        method: "POST",
        path: "/".to_owned(),
        headers: vec![(
            "content-type",
            "application/x-www-form-urlencoded; charset=utf-8".to_owned(),
        )],
        body,
    }
}

pub fn new_table(name: &str) -> Value {
    json!({
        "TableName": name,
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "BillingMode": "PAY_PER_REQUEST",
    })
}

/// A body that an operation of DynamoDB takes.
fn body(name: &str) -> Value {
    let key = json!({"id": {"S": "walk"}});
    match name {
        "CreateTable" => new_table("New"),
        "GetItem" | "DeleteItem" => json!({"TableName": "Walk", "Key": key}),
        "PutItem" => {
            let item = json!({"id": {"S": "walk"}, "data": {"B": STANDARD.encode("walked")}});
            json!({"TableName": "Walk", "Item": item})
        }
        "UpdateItem" => json!({"TableName": "Walk", "Key": key,
            "UpdateExpression": "SET a = :a", "ExpressionAttributeValues": {":a": {"N": "1"}}}),
        "BatchGetItem" => json!({"RequestItems": {"Walk": {"Keys": [key]}}}),
        "BatchWriteItem" => {
            json!({"RequestItems": {"Walk": [{"DeleteRequest": {"Key": key}}]}})
        }
        "Query" => json!({"TableName": "Walk", "KeyConditionExpression": "id = :id",
            "ExpressionAttributeValues": {":id": {"S": "walk"}}}),
        "UpdateTable" => json!({"TableName": "Walk", "DeletionProtectionEnabled": true}),
        "TagResource" => json!({"ResourceArn": TABLE, "Tags": [{"Key": "a", "Value": "b"}]}),
        "UntagResource" => json!({"ResourceArn": TABLE, "TagKeys": ["a"]}),
        "PutResourcePolicy" => {
            let policy = json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow",
                "Principal": {"AWS": ACCOUNT}, "Action": "dynamodb:GetItem", "Resource": TABLE}});
            json!({"ResourceArn": TABLE, "Policy": policy.to_string()})
        }
        "UpdateContinuousBackups" => json!({"TableName": "Walk",
            "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": false}}),
        _ => json!({"TableName": "Walk", "ResourceArn": TABLE, "GlobalTableName": "Walk"}),
    }
}
