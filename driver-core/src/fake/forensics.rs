//! What is looked into after a failure, of a machine that plays.

use std::path::Path;

use async_trait::async_trait;

use super::machine::FakeMachine;
use crate::deadline::Deadline;
use crate::error::DriverError;
use crate::machine::Forensics;

/// What stands in a picture of its memory.
const MEMORY: &[u8] = b"what the fake guest had in mind";

#[async_trait]
impl Forensics for FakeMachine {
    fn transcript(&self) -> String {
        "fake: the last order\n".to_owned()
    }

    async fn memory_size(&self, _within: Deadline) -> Result<u64, DriverError> {
        Ok(MEMORY.len() as u64)
    }

    async fn dump_memory(&self, file: &Path, _within: Deadline) -> Result<(), DriverError> {
        std::fs::write(file, MEMORY).map_err(|source| DriverError::File {
            operation: "write",
            path: file.display().to_string(),
            source,
        })
    }
}
