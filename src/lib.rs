#![doc = include_str!("../README.md")]

// The walk, in the order in which a request meets it.
pub mod grpc;
pub mod request;
pub mod route;
pub mod credential;
pub mod provider;
pub mod verify;
pub mod identity;
pub mod holder;
pub mod policy;
pub mod verdict;
pub mod response;
pub mod pipeline;

// What the walk stands on.
pub mod config;
pub mod access;
pub mod api_token;
pub mod store;
pub mod outbound;
pub mod clock;
mod deadline;
pub mod flights;
pub mod pb;

// What is around it.
pub mod admin;
pub mod app;
pub mod audit;
pub mod cli;
pub mod desk;
pub mod inspect;
pub mod metrics;
pub mod telemetry;
pub mod tls;
pub mod usage;
