//! What the acceptance tests share: a site in a temporary folder, with the built programs.
