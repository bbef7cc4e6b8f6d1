-- Every sekisho on this store, and up to which change of a stand it has read.
CREATE TABLE sekisho_instances (
    id TEXT NOT NULL PRIMARY KEY,
    settled BIGINT NOT NULL,
    beats BIGINT NOT NULL
);
