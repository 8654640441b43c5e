//! What is told of an edge's flow logs: their figures, and what is wrong with them.

use serde_json::{Value, json};

use super::{FlowLogs, lock};

impl FlowLogs {
    /// What a status and `causeway flows` say of them.
    pub(in crate::site) fn counts(&self) -> Value {
        let files = lock(&self.files);
        json!({
            "records": files.written,
            "delivered_files": files.delivered,
            "waiting_files": files.waiting.len(),
            "waiting_bytes": files.waiting_bytes,
            "lost_records": files.lost,
            "trouble": files.trouble(),
        })
    }

    /// What is wrong with them, if anything is.
    pub(in crate::site) fn trouble(&self) -> Option<String> {
        let files = lock(&self.files);
        let (lost, waiting) = (files.lost, files.waiting.len());
        let why = files.trouble()?;
        Some(format!(
            "flow logs of accelerators: {lost} records are lost, {waiting} files wait: {why}"
        ))
    }

    /// Their figures as Prometheus reads them.
    pub(in crate::site) fn metrics(&self) -> String {
        let files = lock(&self.files);
        let families = [
            (
                "causeway_accelerator_flow_log_records_total",
                "counter",
                "Records of flow logs that were written down.",
                files.written,
            ),
            (
                "causeway_accelerator_flow_log_lost_records_total",
                "counter",
                "Records of flow logs that were lost.",
                files.lost,
            ),
            (
                "causeway_accelerator_flow_log_files_total",
                "counter",
                "Files of flow logs that a Region has written.",
                files.delivered,
            ),
            (
                "causeway_accelerator_flow_log_waiting_bytes",
                "gauge",
                "Bytes of files of flow logs that wait for a Region.",
                files.waiting_bytes as u64,
            ),
        ];
        let edge = self.edge;
        let lines = families.map(|(name, kind, help, value)| {
            format!(
                "# HELP {name} {help}\n# TYPE {name} {kind}\n{name}{{edge=\"{edge}\"}} {value}\n"
            )
        });
        lines.concat()
    }
}
