-- What the bytes of a version were when sekisho read them. A version is known by its model's name and creation, its
-- number and its own creation, in milliseconds as MLflow gives them, so that a name that is used again is another model.
CREATE TABLE sekisho_digests (
    id TEXT NOT NULL PRIMARY KEY,
    model TEXT NOT NULL,
    model_created BIGINT NOT NULL,
    version BIGINT NOT NULL,
    created BIGINT NOT NULL,
    source TEXT NOT NULL,
    digest TEXT NOT NULL,
    -- Microseconds since 1970.
    taken BIGINT NOT NULL,
    UNIQUE (model, model_created, version, created)
);

CREATE TABLE sekisho_digest_files (
    digest_id TEXT NOT NULL REFERENCES sekisho_digests (id) ON DELETE CASCADE,
    position BIGINT NOT NULL,
    path TEXT NOT NULL,
    size BIGINT NOT NULL,
    sha256 TEXT NOT NULL,
    PRIMARY KEY (digest_id, position)
);

CREATE TABLE sekisho_digest_dependencies (
    digest_id TEXT NOT NULL REFERENCES sekisho_digests (id) ON DELETE CASCADE,
    position BIGINT NOT NULL,
    dependency TEXT NOT NULL,
    PRIMARY KEY (digest_id, position)
);
