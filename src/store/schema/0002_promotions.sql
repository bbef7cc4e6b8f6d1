-- Promotions: where versions stand, who asked for what, who approved it, what tests said, what was done. A version is
-- known as in the digests. Times are microseconds since 1970; what is true or false is 1 or 0; roles and the like are
-- JSON.

-- From these all numbers come. Whoever changes anything below changes the row `turn` first, so that one after the other
-- does, and numbers become visible in their order.
CREATE TABLE sekisho_counters (
    name TEXT NOT NULL PRIMARY KEY,
    last BIGINT NOT NULL
);

INSERT INTO sekisho_counters (name, last) VALUES
    ('turn', 0), ('change', 0), ('request', 0), ('approval', 0), ('evidence', 0), ('transition', 0);

-- A row stays when MLflow has the version no more, and under the old name when a model has a new one: others read by
-- `change` what has become of it.
CREATE TABLE sekisho_stands (
    model TEXT NOT NULL,
    model_created BIGINT NOT NULL,
    version BIGINT NOT NULL,
    created BIGINT NOT NULL,
    stage TEXT NOT NULL,
    since BIGINT NOT NULL,
    origin TEXT NOT NULL,
    closing BIGINT NOT NULL,
    gone BIGINT NOT NULL,
    -- When MLflow had it no more; nothing where the model has a new name.
    gone_at BIGINT,
    -- Where it stood when it was taken in, and when that was.
    first_stage TEXT NOT NULL,
    first_since BIGINT NOT NULL,
    change BIGINT NOT NULL,
    PRIMARY KEY (model, model_created, version, created)
);

CREATE UNIQUE INDEX sekisho_stands_change ON sekisho_stands (change);

CREATE INDEX sekisho_stands_closing ON sekisho_stands (change) WHERE closing = 1;

CREATE TABLE sekisho_requests (
    number BIGINT NOT NULL PRIMARY KEY,
    model TEXT NOT NULL,
    model_created BIGINT NOT NULL,
    version BIGINT NOT NULL,
    created BIGINT NOT NULL,
    from_stage TEXT NOT NULL,
    to_stage TEXT NOT NULL,
    asker TEXT NOT NULL,
    folded TEXT NOT NULL,
    comment TEXT NOT NULL,
    source TEXT NOT NULL,
    digest TEXT NOT NULL,
    break_glass TEXT,
    asked BIGINT NOT NULL,
    state TEXT NOT NULL,
    closed_by TEXT,
    closed_comment TEXT,
    closed_at BIGINT
);

CREATE INDEX sekisho_requests_version ON sekisho_requests (model, model_created, version, created);

CREATE UNIQUE INDEX sekisho_requests_open
    ON sekisho_requests (model, model_created, version, created, to_stage, folded) WHERE state = 'open';

CREATE INDEX sekisho_requests_open_number ON sekisho_requests (number) WHERE state = 'open';

CREATE INDEX sekisho_requests_broken ON sekisho_requests (number) WHERE break_glass IS NOT NULL;

CREATE TABLE sekisho_approvals (
    number BIGINT NOT NULL PRIMARY KEY,
    request BIGINT NOT NULL REFERENCES sekisho_requests (number),
    approver TEXT NOT NULL,
    folded TEXT NOT NULL,
    comment TEXT NOT NULL,
    source TEXT NOT NULL,
    digest TEXT NOT NULL,
    given BIGINT NOT NULL,
    UNIQUE (request, folded)
);

CREATE TABLE sekisho_evidence (
    number BIGINT NOT NULL PRIMARY KEY,
    model TEXT NOT NULL,
    model_created BIGINT NOT NULL,
    version BIGINT NOT NULL,
    created BIGINT NOT NULL,
    test TEXT NOT NULL,
    passed BIGINT NOT NULL,
    link TEXT,
    reporter TEXT NOT NULL,
    digest TEXT NOT NULL,
    said BIGINT NOT NULL
);

CREATE INDEX sekisho_evidence_version ON sekisho_evidence (model, model_created, version, created);

CREATE TABLE sekisho_transitions (
    number BIGINT NOT NULL PRIMARY KEY,
    -- The model's name now, and when the transition was begun.
    model TEXT NOT NULL,
    name_then TEXT NOT NULL,
    model_created BIGINT NOT NULL,
    version BIGINT NOT NULL,
    created BIGINT NOT NULL,
    from_stage TEXT NOT NULL,
    to_stage TEXT NOT NULL,
    made_by TEXT NOT NULL,
    request BIGINT REFERENCES sekisho_requests (number),
    asked_by TEXT NOT NULL,
    approvals TEXT NOT NULL,
    evidence TEXT NOT NULL,
    digest TEXT NOT NULL,
    break_glass TEXT,
    begun BIGINT NOT NULL,
    progress TEXT NOT NULL,
    ended BIGINT
);

CREATE INDEX sekisho_transitions_version ON sekisho_transitions (model, model_created, version, created);

CREATE INDEX sekisho_transitions_name_then ON sekisho_transitions (name_then);

CREATE INDEX sekisho_transitions_request ON sekisho_transitions (request);

CREATE UNIQUE INDEX sekisho_transitions_begun
    ON sekisho_transitions (model, model_created, version, created) WHERE progress = 'begun';

CREATE TABLE sekisho_comments (
    id TEXT NOT NULL PRIMARY KEY,
    model TEXT NOT NULL,
    model_created BIGINT NOT NULL,
    version BIGINT NOT NULL,
    created BIGINT NOT NULL,
    said_by TEXT NOT NULL,
    words TEXT NOT NULL,
    made BIGINT NOT NULL,
    changed BIGINT NOT NULL
);

CREATE INDEX sekisho_comments_version ON sekisho_comments (model, model_created, version, created);
