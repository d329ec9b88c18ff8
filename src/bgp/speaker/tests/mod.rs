//! The speaker, alone.
