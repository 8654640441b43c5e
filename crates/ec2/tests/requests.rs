//! Requests of EC2's part against a configuration in memory: what is answered, what is kept, and
//! how what can't be done is refused.
#![allow(clippy::unwrap_used, reason = "a test says what must be there")]

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use aws::access::{Authorizer, Denied, Owner, PolicyKind, PolicyRefusal, Question};
use bytes::Bytes;
use ec2::{Instance, Interface, Service, ServiceConfig, Surroundings};
use http::Request;
use http::header::CONTENT_TYPE;
use types::network::{default_security_group, default_subnet, default_vpc};
use types::{
    AccountId, AvailabilityZone, Configuration, ConfigurationEdit, ConfigurationError,
    ConfigurationExpected, ConfigurationView, Deployment, Environment, Monotonic, Now, Proposal,
    Region, Site, SiteId, SiteName, Sleep, Timestamp,
};

#[derive(Clone, Default)]
struct View(u64, BTreeMap<String, (u64, Bytes)>);

impl ConfigurationView for View {
    fn revision(&self) -> u64 {
        self.0
    }

    fn get(&self, key: &str) -> Option<(u64, Bytes)> {
        self.1.get(key).cloned()
    }

    fn visit(&self, prefix: &str, visitor: &mut dyn FnMut(&str, u64, &Bytes)) {
        for (key, (revision, value)) in self.1.iter().filter(|(key, _)| key.starts_with(prefix)) {
            visitor(key, *revision, value);
        }
    }
}

#[derive(Default)]
struct Memory(Mutex<Arc<View>>);

impl Configuration for Memory {
    fn view(&self) -> Arc<dyn ConfigurationView> {
        self.0.lock().unwrap().clone()
    }

    fn propose(&self, edits: Vec<ConfigurationEdit>) -> Proposal<'_> {
        let mut held = self.0.lock().unwrap();
        let mut view = View::clone(&held);
        view.0 += 1;
        let mut holds = true;
        for edit in edits {
            let found = view.1.get(&edit.key).map(|(revision, _)| *revision);
            holds &= match edit.expected {
                ConfigurationExpected::Any => true,
                ConfigurationExpected::Absent => found.is_none(),
                ConfigurationExpected::Revision(revision) => found == Some(revision),
            };
            match edit.value {
                Some(value) => view.1.insert(edit.key, (view.0, value)),
                None => view.1.remove(&edit.key),
            };
        }
        let answer = match holds {
            true => Ok(view.0),
            false => Err(ConfigurationError::Conflict),
        };
        if holds {
            *held = Arc::new(view);
        }
        Box::pin(std::future::ready(answer))
    }
}

#[derive(Default)]
struct Counter(Mutex<u64>);

impl Environment for Counter {
    fn now(&self) -> Now {
        Now {
            wall: Timestamp(0),
            monotonic: Monotonic(0),
        }
    }

    fn sleep_until(&self, _: Monotonic) -> Sleep {
        Box::pin(std::future::ready(()))
    }

    fn random(&self) -> u64 {
        let mut drawn = self.0.lock().unwrap();
        *drawn += 1;
        *drawn
    }
}

struct Here(Region, Mutex<Vec<String>>);

impl Surroundings for Here {
    fn interfaces(&self) -> Vec<Interface> {
        vec![Interface {
            id: "eni-00000000000000001".to_owned(),
            description: "ELB app/orders/0123456789abcdef".to_owned(),
            zone: AvailabilityZone::of(self.0).next().unwrap(),
            address: "127.32.1.1".parse().unwrap(),
            groups: self.1.lock().unwrap().clone(),
            kind: "interface",
        }]
    }

    fn instances(&self) -> Vec<Instance> {
        vec![Instance {
            id: "i-00000000000000001".to_owned(),
            zone: AvailabilityZone::of(self.0).nth(1).unwrap(),
            address: "127.1.1.12".parse().unwrap(),
            runs: true,
        }]
    }
}

struct Stand {
    service: Service,
    here: Arc<Here>,
    region: Region,
}

fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}

impl Stand {
    fn new() -> Stand {
        let region: Region = "us-east-1".parse().unwrap();
        let here = Arc::new(Here(region, Mutex::default()));
        let surroundings: Arc<dyn Surroundings> = here.clone();
        let site = Site {
            id: SiteId(1),
            name: SiteName::Region(region),
            place: region,
        };
        let service = Service::new(ServiceConfig {
            region,
            deployment: Deployment { sites: vec![site] },
            environment: Arc::new(Counter::default()),
            configuration: Arc::new(Memory::default()),
            surroundings,
        });
        Stand {
            service,
            here,
            region,
        }
    }

    fn ask_as(&self, caller: &dyn Authorizer, form: &str) -> (u16, String) {
        let body = format!("Version=2016-11-15&{form}");
        let request = Request::post("/").header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let body = Bytes::from(body);
        let response = block_on(self.service.execute(caller, &parts, &body, "ID"));
        let status = response.status().as_u16();
        let text = String::from_utf8(response.into_body().to_vec()).unwrap();
        (status, text)
    }

    fn ask(&self, form: &str) -> (u16, String) {
        let owner = Owner::new(AccountId::LAB, "us-east-1");
        self.ask_as(&owner, form)
    }

    fn ok(&self, form: &str) -> String {
        let (status, text) = self.ask(form);
        assert_eq!(status, 200, "{form}: {text}");
        text
    }

    fn code(&self, form: &str) -> String {
        let (status, text) = self.ask(form);
        assert!(status >= 400, "{form}: {text}");
        one(&text, "Code").to_owned()
    }
}

/// What is in each element of that name.
fn all<'t>(text: &'t str, name: &str) -> Vec<&'t str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let parts = text.split(&open).skip(1);
    parts
        .map(|part| part.split(&close).next().unwrap())
        .collect()
}

fn one<'t>(text: &'t str, name: &str) -> &'t str {
    let found = all(text, name);
    assert_eq!(found.len(), 1, "{name} in {text}");
    found[0]
}

#[test]
fn the_default_network_is_described_and_filtered() {
    let stand = Stand::new();
    let vpcs = stand.ok("Action=DescribeVpcs");
    assert!(
        vpcs.contains("<DescribeVpcsResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">")
    );
    assert_eq!(one(&vpcs, "requestId"), "ID");
    assert_eq!(one(&vpcs, "vpcId"), default_vpc(stand.region));
    assert_eq!(one(&vpcs, "isDefault"), "true");
    let subnets =
        stand.ok("Action=DescribeSubnets&Filter.1.Name=availability-zone&Filter.1.Value.1=*b");
    let zone = AvailabilityZone::of(stand.region).nth(1).unwrap();
    assert_eq!(one(&subnets, "subnetId"), default_subnet(zone));
    assert_eq!(one(&subnets, "availabilityZoneId"), "use1-az2");
    let regions = stand.ok("Action=DescribeRegions");
    assert_eq!(all(&regions, "regionName"), ["us-east-1"]);
    let regions = stand.ok("Action=DescribeRegions&AllRegions=true");
    assert_eq!(all(&regions, "regionName").len(), Region::all().count());
    let zones = stand.ok("Action=DescribeAvailabilityZones");
    assert_eq!(
        all(&zones, "zoneName"),
        ["us-east-1a", "us-east-1b", "us-east-1c"]
    );
    for name in ["InternetGateways", "RouteTables", "NetworkAcls"] {
        let found = stand.ok(&format!("Action=Describe{name}"));
        assert!(found.contains(&default_vpc(stand.region)), "{name}");
    }
    let attribute = format!(
        "Action=DescribeVpcAttribute&Attribute=enableDnsSupport&VpcId={}",
        default_vpc(stand.region)
    );
    assert_eq!(one(&stand.ok(&attribute), "value"), "true");
    let attributes = stand.ok("Action=DescribeAccountAttributes&AttributeName.1=default-vpc");
    assert_eq!(
        one(&attributes, "attributeValue"),
        default_vpc(stand.region)
    );
}

#[test]
fn interfaces_and_instances_are_what_the_region_has() {
    let stand = Stand::new();
    let found = stand.ok("Action=DescribeNetworkInterfaces&Filter.1.Name=description\
         &Filter.1.Value.1=ELB+app/orders/*");
    assert_eq!(one(&found, "networkInterfaceId"), "eni-00000000000000001");
    let found = stand.ok("Action=DescribeInstances");
    assert_eq!(one(&found, "instanceId"), "i-00000000000000001");
    assert_eq!(one(&found, "reservationId"), "r-00000000000000001");
    assert_eq!(
        one(&stand.ok("Action=DescribeAddresses"), "addressesSet"),
        ""
    );
}

#[test]
fn pages_follow_each_other() {
    let stand = Stand::new();
    for number in 0..7 {
        stand.ok(&format!(
            "Action=CreateSecurityGroup&GroupName=g{number}&GroupDescription=d"
        ));
    }
    let first = stand.ok("Action=DescribeSecurityGroups&MaxResults=5");
    let mut ids = all(&first, "groupId").len();
    let token = one(&first, "nextToken");
    let second = stand.ok(&format!(
        "Action=DescribeSecurityGroups&MaxResults=5&NextToken={token}"
    ));
    ids += all(&second, "groupId").len();
    assert!(!second.contains("nextToken"));
    // The default group's rule names the group once more.
    assert_eq!(ids, 9);
    for wrong in ["MaxResults=4", "MaxResults=x", "NextToken=nothing"] {
        let code = stand.code(&format!("Action=DescribeSecurityGroups&{wrong}"));
        assert_eq!(code, "InvalidParameterValue");
    }
}

#[test]
fn a_security_group_lives_with_its_rules_and_tags() {
    let stand = Stand::new();
    let made = stand.ok(
        "Action=CreateSecurityGroup&GroupName=web&GroupDescription=Web&TagSpecification.1\
         .ResourceType=security-group&TagSpecification.1.Tag.1.Key=team\
         &TagSpecification.1.Tag.1.Value=blue",
    );
    let id = one(&made, "groupId").to_owned();
    let again = "Action=CreateSecurityGroup&GroupName=web&GroupDescription=Web";
    assert_eq!(stand.code(again), "InvalidGroup.Duplicate");
    let rule = format!(
        "GroupId={id}&IpPermissions.1.IpProtocol=TCP&IpPermissions.1.FromPort=80\
         &IpPermissions.1.ToPort=81&IpPermissions.1.IpRanges.1.CidrIp=10.1.2.3/8\
         &IpPermissions.1.Groups.1.GroupId={id}"
    );
    let added = stand.ok(&format!("Action=AuthorizeSecurityGroupIngress&{rule}"));
    assert_eq!(all(&added, "securityGroupRuleId").len(), 2);
    let refused = stand.ask(&format!("Action=AuthorizeSecurityGroupIngress&{rule}"));
    assert_eq!(one(&refused.1, "Code"), "InvalidPermission.Duplicate");
    assert!(
        refused
            .1
            .contains("peer: 10.0.0.0/8, TCP, from port: 80, to port: 81, ALLOW")
    );
    let shown = stand.ok(&format!("Action=DescribeSecurityGroups&GroupId.1={id}"));
    assert!(shown.contains("<cidrIp>10.0.0.0/8</cidrIp>"));
    assert!(shown.contains("<key>team</key><value>blue</value>"));
    assert_eq!(all(&shown, "fromPort"), ["80"]);
    let rules = stand.ok(&format!(
        "Action=DescribeSecurityGroupRules&Filter.1.Name=group-id&Filter.1.Value.1={id}"
    ));
    let ids = all(&rules, "securityGroupRuleId");
    assert_eq!(ids.len(), 3);
    // The way out by id, the ways in by what they are.
    let out = rules
        .split("<item>")
        .find(|item| item.contains("<isEgress>true"));
    let out = one(out.unwrap(), "securityGroupRuleId");
    stand.ok(&format!(
        "Action=RevokeSecurityGroupEgress&GroupId={id}&SecurityGroupRuleId.1={out}"
    ));
    stand.ok(&format!("Action=RevokeSecurityGroupIngress&{rule}"));
    let code = stand.code(&format!("Action=RevokeSecurityGroupIngress&{rule}"));
    assert_eq!(code, "InvalidPermission.NotFound");
    let shown = stand.ok(&format!("Action=DescribeSecurityGroups&GroupId.1={id}"));
    assert!(shown.contains("<ipPermissions></ipPermissions>"));
    assert!(shown.contains("<ipPermissionsEgress></ipPermissionsEgress>"));
    *stand.here.1.lock().unwrap() = vec![id.clone()];
    let delete = format!("Action=DeleteSecurityGroup&GroupId={id}");
    assert_eq!(stand.code(&delete), "DependencyViolation");
    stand.here.1.lock().unwrap().clear();
    stand.ok(&delete);
    assert_eq!(stand.code(&delete), "InvalidGroup.NotFound");
}

#[test]
fn the_default_group_stays_and_can_be_changed() {
    let stand = Stand::new();
    let id = default_security_group(stand.region);
    assert_eq!(
        stand.code(&format!("Action=DeleteSecurityGroup&GroupId={id}")),
        "CannotDelete"
    );
    stand.ok(&format!(
        "Action=RevokeSecurityGroupEgress&GroupId={id}&IpPermissions.1.IpProtocol=-1\
         &IpPermissions.1.IpRanges.1.CidrIp=0.0.0.0/0"
    ));
    let shown = stand.ok("Action=DescribeSecurityGroups&GroupName.1=default");
    assert!(shown.contains("<ipPermissionsEgress></ipPermissionsEgress>"));
    let rules = stand.ok("Action=DescribeSecurityGroupRules");
    let rule = one(&rules, "securityGroupRuleId");
    stand.ok(&format!(
        "Action=ModifySecurityGroupRules&GroupId={id}&SecurityGroupRule.1.SecurityGroupRuleId={rule}\
         &SecurityGroupRule.1.SecurityGroupRule.IpProtocol=udp\
         &SecurityGroupRule.1.SecurityGroupRule.FromPort=53\
         &SecurityGroupRule.1.SecurityGroupRule.ToPort=53\
         &SecurityGroupRule.1.SecurityGroupRule.CidrIpv6=2001:db8::1/32"
    ));
    let rules = stand.ok("Action=DescribeSecurityGroupRules");
    assert_eq!(one(&rules, "cidrIpv6"), "2001:db8::/32");
}

#[test]
fn tags_are_given_shown_and_taken() {
    let stand = Stand::new();
    let vpc = default_vpc(stand.region);
    stand.ok(&format!(
        "Action=CreateTags&ResourceId.1={vpc}&Tag.1.Key=Name&Tag.1.Value=main&Tag.2.Key=a"
    ));
    let filter = "Filter.1.Name=tag:Name&Filter.1.Value.1=ma?n";
    let found = stand.ok(&format!("Action=DescribeVpcs&{filter}"));
    assert_eq!(one(&found, "vpcId"), vpc);
    let tags = stand.ok("Action=DescribeTags&Filter.1.Name=resource-type&Filter.1.Value.1=vpc");
    assert_eq!(all(&tags, "key"), ["Name", "a"]);
    // A value that isn't the tag's leaves it.
    stand.ok(&format!(
        "Action=DeleteTags&ResourceId.1={vpc}&Tag.1.Key=Name&Tag.1.Value=other&Tag.2.Key=a"
    ));
    assert_eq!(all(&stand.ok("Action=DescribeTags"), "key"), ["Name"]);
    stand.ok(&format!("Action=DeleteTags&ResourceId.1={vpc}"));
    assert_eq!(one(&stand.ok("Action=DescribeTags"), "tagSet"), "");
    for (form, code) in [
        ("ResourceId.1=vpc-0&Tag.1.Key=a".to_owned(), "InvalidID"),
        (
            format!("ResourceId.1={vpc}&Tag.1.Key=aws:a"),
            "InvalidParameterValue",
        ),
        (format!("ResourceId.1={vpc}"), "MissingParameter"),
    ] {
        assert_eq!(stand.code(&format!("Action=CreateTags&{form}")), code);
    }
    let many: Vec<String> = (1..=51)
        .map(|number| format!("Tag.{number}.Key=k{number}"))
        .collect();
    let many = format!("Action=CreateTags&ResourceId.1={vpc}&{}", many.join("&"));
    assert_eq!(stand.code(&many), "TagLimitExceeded");
}

#[test]
fn what_cannot_be_is_refused_in_the_service_s_words() {
    let stand = Stand::new();
    let group = default_security_group(stand.region);
    let rule = |what: &str| {
        format!("AuthorizeSecurityGroupIngress&GroupId={group}&IpPermissions.1.{what}")
    };
    let range = "IpPermissions.1.IpRanges.1.CidrIp=0.0.0.0/0";
    let cases = [
        (
            "DescribeVpcs&VpcId.1=vpc-12345678".to_owned(),
            "InvalidVpcID.NotFound",
        ),
        (
            "DescribeVpcs&VpcId.1=x".to_owned(),
            "InvalidVpcId.Malformed",
        ),
        ("DescribeVpcs&VpcId.2=x".to_owned(), "MalformedInput"),
        (
            "DescribeSubnets&Filter.1.Name=x&Filter.1.Value.1=y".to_owned(),
            "InvalidParameterValue",
        ),
        (
            "DescribeSecurityGroups&GroupName.1=x".to_owned(),
            "InvalidGroup.NotFound",
        ),
        (
            "DescribeRegions&RegionName.1=mars-1".to_owned(),
            "InvalidParameterValue",
        ),
        (
            "CreateSecurityGroup&GroupName=a".to_owned(),
            "MissingParameter",
        ),
        (
            "CreateSecurityGroup&GroupName=sg-a&GroupDescription=d".to_owned(),
            "InvalidParameterValue",
        ),
        (
            "CreateSecurityGroup&GroupName=a&GroupDescription=%C3%A9".to_owned(),
            "InvalidParameterValue",
        ),
        (
            "CreateSecurityGroup&GroupName=a&GroupDescription=d&VpcId=vpc-1".to_owned(),
            "InvalidVpcID.NotFound",
        ),
        (rule("IpProtocol=tcp"), "InvalidParameterValue"),
        (
            rule(&format!("IpProtocol=tcp&{range}")),
            "InvalidParameterValue",
        ),
        (
            rule(&format!(
                "IpProtocol=tcp&IpPermissions.1.FromPort=9&IpPermissions.1.ToPort=8&{range}"
            )),
            "InvalidParameterValue",
        ),
        (
            rule("IpProtocol=-1&IpPermissions.1.IpRanges.1.CidrIp=x"),
            "InvalidParameterValue",
        ),
        (
            rule("IpProtocol=-1&IpPermissions.1.Groups.1.GroupId=sg-1"),
            "InvalidGroup.NotFound",
        ),
        ("RunInstances".to_owned(), "NotImplemented"),
        ("Nothing".to_owned(), "InvalidAction"),
        ("DescribeVpcs&DryRun=true".to_owned(), "DryRunOperation"),
        (
            "DescribeVpcs&DryRun=maybe".to_owned(),
            "InvalidParameterValue",
        ),
    ];
    for (form, code) in cases {
        assert_eq!(stand.code(&format!("Action={form}")), code, "{form}");
    }
    let (status, text) = stand.ask("Action=DescribeVpcs&DryRun=true");
    assert_eq!(status, 412);
    assert!(text.contains("<Response><Errors><Error>"), "{text}");
}

#[test]
fn no_more_rules_and_names_than_the_quotas_allow() {
    let stand = Stand::new();
    let group = default_security_group(stand.region);
    let rules: Vec<String> = (1..=60)
        .map(|number| {
            format!(
                "IpPermissions.{number}.IpProtocol=-1&IpPermissions.{number}.IpRanges.1\
                 .CidrIp=10.0.{number}.0/24"
            )
        })
        .collect();
    let form = format!("Action=AuthorizeSecurityGroupIngress&GroupId={group}&");
    // One is there from the beginning.
    let code = stand.code(&format!("{form}{}", rules.join("&")));
    assert_eq!(code, "RulesPerSecurityGroupLimitExceeded");
    stand.ok(&format!("{form}{}", rules[..59].join("&")));
}

/// A judge who notes each question and refuses all.
#[derive(Default)]
struct Stern(Mutex<Vec<String>>);

impl Authorizer for Stern {
    fn account(&self) -> AccountId {
        AccountId::LAB
    }

    fn arn(&self) -> &str {
        "arn:aws:iam::111122223333:user/alice"
    }

    fn region(&self) -> &str {
        "us-east-1"
    }

    fn authorize(&self, question: &Question<'_>) -> Result<(), Denied> {
        let line = format!("{} {}", question.action, question.resource);
        self.0.lock().unwrap().push(line);
        Err(Denied {
            message: "no".to_owned(),
        })
    }

    fn bind_policy(&self, _: PolicyKind, document: &str) -> Result<String, PolicyRefusal> {
        Ok(document.to_owned())
    }

    fn show_policy(&self, document: &str) -> String {
        document.to_owned()
    }
}

#[test]
fn every_operation_asks_before_it_does_anything() {
    let stand = Stand::new();
    let (group, vpc) = (
        default_security_group(stand.region),
        default_vpc(stand.region),
    );
    for (name, built) in Service::operations().filter(|(_, built)| *built) {
        assert!(built);
        let form = format!(
            "Action={name}&GroupId={group}&GroupName=n&VpcId={vpc}&GroupDescription=d\
             &Attribute=enableDnsSupport&ResourceId.1={vpc}&Tag.1.Key=a&DryRun=true"
        );
        // An operation that lists ids takes no scalar of that name, so it gets them without.
        let form = match name.starts_with("Describe") && name != "DescribeVpcAttribute" {
            true => format!("Action={name}&DryRun=true"),
            false => form,
        };
        let judge = Stern::default();
        let (status, text) = stand.ask_as(&judge, &form);
        assert_eq!(
            (status, one(&text, "Code")),
            (403, "UnauthorizedOperation"),
            "{name}"
        );
        let asked = judge.0.lock().unwrap().clone();
        assert!(
            asked[0].starts_with(&format!("ec2:{name} ")),
            "{name}: {asked:?}"
        );
    }
    assert_eq!(Service::operations().count(), 765);
}
