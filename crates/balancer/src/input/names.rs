//! Names of load balancers and target groups.

use crate::arn::MAX_NAME;
use crate::error::BalancerError;
use crate::request::shown;

/// A load balancer's name: also one that doesn't begin as internal ones' DNS names do.
pub(crate) fn check_balancer(name: &str) -> Result<(), BalancerError> {
    check("load balancer", "The load balancer", name)?;
    if name.starts_with("internal-") {
        let text = format!("The load balancer name '{name}' cannot begin with 'internal-'");
        return Err(BalancerError::invalid(text));
    }
    Ok(())
}

/// A target group's name.
pub(crate) fn check_group(name: &str) -> Result<(), BalancerError> {
    check("target group", "The target group", name)
}

fn check(noun: &str, subject: &str, name: &str) -> Result<(), BalancerError> {
    let refuse = |rule: String| {
        let text = format!("{subject} name '{}' {rule}", shown(name));
        Err(BalancerError::invalid(text))
    };
    if name.is_empty() {
        let text = format!("A {noun} name must be specified");
        return Err(BalancerError::invalid(text));
    }
    if name.chars().count() > MAX_NAME {
        return refuse(format!("cannot be longer than '{MAX_NAME}' characters"));
    }
    if !name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    {
        let rule = "can only contain characters that are alphanumeric characters or hyphens(-)";
        return refuse(rule.to_owned());
    }
    if name.starts_with('-') || name.ends_with('-') {
        return refuse("cannot begin or end with a hyphen(-)".to_owned());
    }
    Ok(())
}
