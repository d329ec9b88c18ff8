//! The import law (to be filled in with the first commit that has imports).
