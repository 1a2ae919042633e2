//! Where API tokens are kept: SQLite in a file, or PostgreSQL for several replicas.
