//! Game days: the language of scenarios, the plan made of one, what was observed, what it amounts
//! to, and the report. It runs nothing itself: a runner carries the plan out through its traits.
