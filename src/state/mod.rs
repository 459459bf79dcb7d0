//! What survives a kill: checkpoints of the whole state, and the journal of finished likelihood calls.
