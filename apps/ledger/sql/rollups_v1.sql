-- Rows that are changed again and again until their hour, day or period is over: room for HOT updates on the page, and
-- no lock to give pages back. The primary keys are the order in which every writer takes these rows.
ALTER TABLE ledger_hourrollup SET (
    fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000, vacuum_truncate = off);
ALTER TABLE ledger_dayrollup SET (
    fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000, vacuum_truncate = off);
ALTER TABLE ledger_keyrollup SET (
    fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000, vacuum_truncate = off);
ALTER TABLE ledger_periodrollup SET (
    fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000, vacuum_truncate = off);
