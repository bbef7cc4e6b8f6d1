-- Deletions and renames that are on their way to MLflow: until they have ended, nothing that they concern begins a
-- transition. Of a whole model the version is 0. The instance is who sends it.
CREATE TABLE sekisho_departures (
    id TEXT NOT NULL PRIMARY KEY,
    model TEXT NOT NULL,
    version BIGINT NOT NULL,
    instance TEXT NOT NULL
);

CREATE INDEX sekisho_departures_model ON sekisho_departures (model);
