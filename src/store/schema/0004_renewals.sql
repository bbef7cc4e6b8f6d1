-- Who approved once may approve again when that does not count any more. The former approval stays, for what rests on it
-- names its number; so one person may have several of one request.
CREATE TABLE sekisho_approvals_anew (
    number BIGINT NOT NULL PRIMARY KEY,
    request BIGINT NOT NULL REFERENCES sekisho_requests (number),
    approver TEXT NOT NULL,
    folded TEXT NOT NULL,
    comment TEXT NOT NULL,
    source TEXT NOT NULL,
    digest TEXT NOT NULL,
    given BIGINT NOT NULL
);

INSERT INTO sekisho_approvals_anew (number, request, approver, folded, comment, source, digest, given)
    SELECT number, request, approver, folded, comment, source, digest, given FROM sekisho_approvals;

DROP TABLE sekisho_approvals;

ALTER TABLE sekisho_approvals_anew RENAME TO sekisho_approvals;

CREATE INDEX sekisho_approvals_request ON sekisho_approvals (request, folded, number);

-- The newest rows are found without looking at all of them, however many there are.
DROP INDEX sekisho_requests_open_number;

CREATE INDEX sekisho_requests_state ON sekisho_requests (state, number);

DROP INDEX sekisho_requests_version;

CREATE INDEX sekisho_requests_version ON sekisho_requests (model, model_created, version, created, number);

DROP INDEX sekisho_transitions_version;

CREATE INDEX sekisho_transitions_version ON sekisho_transitions (model, model_created, version, created, number);

DROP INDEX sekisho_evidence_version;

CREATE INDEX sekisho_evidence_version ON sekisho_evidence (model, model_created, version, created, number);

CREATE INDEX sekisho_evidence_test ON sekisho_evidence (model, model_created, version, created, test, digest, number);
