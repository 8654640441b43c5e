//! Figures of hand-made observations, and the report in its four forms.

mod figures;
mod forms;
mod global;
mod hand;
mod sample;
