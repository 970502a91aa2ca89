//! How long steps take, and what the processor can do at best.
