//! What the tests of celeriac share: a child redis-server, temporary stores, a model store.
