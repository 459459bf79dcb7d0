//! The JSON schema of the job file.
