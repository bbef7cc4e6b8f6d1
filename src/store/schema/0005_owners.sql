-- Whose a transition is that was begun, and who has closed the files of a version: an instance, or nobody who is known.
ALTER TABLE sekisho_transitions ADD COLUMN instance TEXT;

ALTER TABLE sekisho_stands ADD COLUMN closed_by TEXT;
