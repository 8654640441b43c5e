//! What the values of the Action and Resource elements must look like, in the order and the words
//! in which IAM refuses them. Whether there is such an action or resource it doesn't ask.

use std::borrow::Cow;

use aws::access::PolicyKind;

use super::error::{Fault, Flaw, IAM_PATHS, shown};
use super::principal::PARTITIONS;

/// `*`, or a service, a colon and an action with or without wildcards.
pub(super) fn check_action(text: &str, at: usize) -> Result<(), Flaw> {
    if text == "*" {
        return Ok(());
    }
    let Some((vendor, name)) = text.split_once(':') else {
        return Err(Flaw::new(Fault::NoVendor, at));
    };
    if name.contains(':') {
        return Err(Flaw::new(Fault::Colons, at));
    }
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
    if vendor != "*" && (vendor.is_empty() || !vendor.bytes().all(valid)) {
        return Err(Flaw::new(Fault::Vendor(shown(vendor)), at));
    }
    match !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(()),
        false => Err(Flaw::legacy(at, "an action's name is expected")),
    }
}

/// `*` or an ARN, with wildcards behind its service and variables behind its fifth colon (IAM
/// User Guide, "IAM JSON policy elements: Resource", "Variables and tags").
pub(super) fn check_resource(
    kind: PolicyKind,
    text: &str,
    at: usize,
    variables: bool,
) -> Result<(), Flaw> {
    if text == "*" {
        return Ok(());
    }
    if !text.starts_with("arn:") {
        return Err(Flaw::new(Fault::NotArn(shown(text)), at));
    }
    if variables {
        let before = text.split("${").next().unwrap_or_default();
        if before.len() < text.len() && before.matches(':').count() < 5 {
            let detail = "variables can stand behind the fifth colon of an ARN only";
            return Err(Flaw::legacy(at, detail));
        }
    }
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let part = |index: usize| parts.get(index).copied();
    let partition = part(1).unwrap_or_default();
    if partition != "*" && !PARTITIONS.contains(&partition) {
        let rest = [2, 3, 4, 5].map(|index| part(index).unwrap_or("*"));
        let fault = Fault::Partition {
            partition: shown(partition),
            resource: shown(&format!("arn:{partition}:{}", rest.join(":"))),
        };
        return Err(Flaw::new(fault, at));
    }
    let Some(service) = part(2) else {
        return Err(Flaw::new(Fault::ResourceVendor, at));
    };
    if service.contains(['*', '?']) {
        return Err(Flaw::new(Fault::ResourceVendor, at));
    }
    if service.is_empty() || parts.len() < 6 && text.contains("::") {
        return Err(Flaw::legacy(at, "an ARN has six parts"));
    }
    if service == "iam" && kind == PolicyKind::Identity {
        check_iam(text, &parts, at)?;
    }
    Ok(())
}

/// A resource's ARN with all of its six parts: what it lacks may be anything (IAM User Guide, "IAM
/// JSON policy elements: Resource"). One that ends with `*` says so itself.
pub(super) fn complete(text: &str) -> Cow<'_, str> {
    let lacks = 5_usize.saturating_sub(text.matches(':').count());
    if text.ends_with('*') || lacks == 0 {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("{text}{}", ":*".repeat(lacks)))
}

fn check_iam(text: &str, parts: &[&str], at: usize) -> Result<(), Flaw> {
    if parts.get(3).is_some_and(|region| !region.is_empty()) {
        return Err(Flaw::new(Fault::IamRegion(shown(text)), at));
    }
    let path = parts.get(5).copied().unwrap_or_default();
    let known = IAM_PATHS.split(", ").any(|start| path.starts_with(start));
    match path == "*" || known {
        true => Ok(()),
        false => Err(Flaw::new(Fault::IamPath, at)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_starts_of_paths_are_those_that_the_text_lists() {
        let starts: Vec<&str> = IAM_PATHS.split(", ").collect();
        assert_eq!(starts.len(), 13);
        assert!(
            starts.iter().all(|start| start.ends_with('/')),
            "{starts:?}"
        );
    }
}
