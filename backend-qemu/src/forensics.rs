//! What is looked into after a failure: what was said over QMP, and the guest's memory.

use std::io;
use std::path::Path;

use async_trait::async_trait;
use driver_core::{Deadline, DriverError, Forensics};
use qapi_qmp::{DumpGuestMemoryFormat, dump_guest_memory, query_memory_size_summary};

use crate::machine::QemuMachine;

/// What an image takes besides the guest's memory: headers, bitmaps, the memory of cards.
const OVERHEAD: u64 = 64 << 20;

#[async_trait]
impl Forensics for QemuMachine {
    fn transcript(&self) -> String {
        self.control().transcript().text()
    }

    async fn memory_size(&self, within: Deadline) -> Result<u64, DriverError> {
        let size =
            self.execute(query_memory_size_summary {}, "ask for the size of its memory", within).await?;
        let bytes = size.base_memory.saturating_add(size.plugged_memory.unwrap_or_default());
        Ok(bytes.saturating_add(OVERHEAD))
    }

    async fn dump_memory(&self, file: &Path, within: Deadline) -> Result<(), DriverError> {
        let path = file.to_str().ok_or_else(|| DriverError::File {
            operation: "write",
            path: file.display().to_string(),
            source: io::Error::other("QMP cannot name a file whose path is not UTF-8"),
        })?;
        let command = dump_guest_memory {
            paging: false,
            protocol: format!("file:{path}"),
            // The command returns when all is written.
            detach: Some(false),
            begin: None,
            length: None,
            // Compressed; crash and drgn read it.
            format: Some(DumpGuestMemoryFormat::kdump_zlib),
        };
        self.execute(command, "write an image of its memory", within).await.map(drop)
    }
}
