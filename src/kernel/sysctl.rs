//! Values under `/proc/sys`.
