//! Where accelerators' configuration stands: the keys, made and read back. An accelerator is one
//! row with everything below it, so that no change of it can be seen by halves.

use std::net::IpAddr;

use types::AccountId;

use crate::model::AcceleratorId;

/// Every accelerator stands under this prefix.
pub const ACCELERATORS: &str = "accelerator/accelerator/";

/// Every static address that is taken stands under this prefix; its value is the accelerator's id.
pub const ADDRESSES: &str = "accelerator/address/";

/// The key of an accelerator.
pub fn accelerator(id: &AcceleratorId) -> String {
    format!("{ACCELERATORS}{}", id.0)
}

/// The key of a static address.
pub fn address(address: IpAddr) -> String {
    format!("{ADDRESSES}{address}")
}

/// What raises with every accelerator that an account makes, so that two requests at once can't
/// pass its quota together, nor make two accelerators under one token.
pub fn made(account: AccountId) -> String {
    format!("accelerator/made/{account}")
}
