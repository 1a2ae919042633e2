//! Who may do what: applications, policies, native traffic, and decisions that are only reported.

mod explained;
mod fixture;
mod hostile;
mod matrix;
mod native;
mod report_only;
