//! Every bound of the server, with its unit in its name; relations between them are checked below.

// -- front end: connections, handshakes, heads, bodies, deadlines (net, tls, http) --

// -- store and audit: batches, pages, retention (store, audit) --

// -- access: queue, batch, deadlines of an attempt (work, access, api) --
