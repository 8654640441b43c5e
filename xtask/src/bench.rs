//! (to be written)
#[derive(clap::Args)]
pub struct Arguments {}
pub fn bench(_: &Arguments) -> anyhow::Result<()> {
    Ok(())
}
