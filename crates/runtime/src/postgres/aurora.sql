-- Run once in each database that a server of a cluster is made with, as causeway_admin, by a server
-- that nobody can reach: what Aurora PostgreSQL shows of itself in every database. Databases that
-- are made later are copies of these.
--
-- What is shown is in a file beside the data directory of each server, which a copy or a rewind
-- doesn't bring along, and which its Region's process writes. Its name is no user's to choose; a
-- file that isn't there yet, or that a power cut has emptied, shows nothing. Columns as the Aurora
-- User Guide has them, "Aurora PostgreSQL functions reference"; what isn't known here is NULL.

CREATE FUNCTION pg_catalog.aurora_version() RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $body$
  SELECT split_part(current_setting('server_version'), ' ', 1) || '.0'
$body$;

CREATE FUNCTION pg_catalog.aurora_db_instance_identifier() RETURNS text
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
  SELECT nullif(pg_read_file('../aurora.json', 0, 1048576, true), '')::jsonb ->> 'instance'
$body$;

CREATE FUNCTION pg_catalog.aurora_global_db_status(
  OUT aws_region text, OUT highest_lsn_written bigint, OUT durability_lag_in_msec bigint,
  OUT rpo_lag_in_msec bigint, OUT last_lag_calculation_time timestamp with time zone,
  OUT feedback_epoch bigint, OUT feedback_xmin bigint
) RETURNS SETOF record
LANGUAGE sql VOLATILE SECURITY DEFINER ROWS 11 SET search_path = pg_catalog, pg_temp AS $body$
  SELECT shown.* FROM jsonb_to_recordset(
    nullif(pg_read_file('../aurora.json', 0, 1048576, true), '')::jsonb -> 'clusters'
  ) AS shown (
    aws_region text, highest_lsn_written bigint, durability_lag_in_msec bigint,
    rpo_lag_in_msec bigint, last_lag_calculation_time timestamp with time zone,
    feedback_epoch bigint, feedback_xmin bigint
  )
$body$;

CREATE FUNCTION pg_catalog.aurora_global_db_instance_status(
  OUT server_id text, OUT session_id text, OUT aws_region text, OUT durable_lsn bigint,
  OUT highest_lsn_rcvd bigint, OUT feedback_epoch bigint, OUT feedback_xmin bigint,
  OUT oldest_read_view_lsn bigint, OUT visibility_lag_in_msec bigint
) RETURNS SETOF record
LANGUAGE sql VOLATILE SECURITY DEFINER ROWS 11 SET search_path = pg_catalog, pg_temp AS $body$
  SELECT shown.* FROM jsonb_to_recordset(
    nullif(pg_read_file('../aurora.json', 0, 1048576, true), '')::jsonb -> 'instances'
  ) AS shown (
    server_id text, session_id text, aws_region text, durable_lsn bigint,
    highest_lsn_rcvd bigint, feedback_epoch bigint, feedback_xmin bigint,
    oldest_read_view_lsn bigint, visibility_lag_in_msec bigint
  )
$body$;

CREATE FUNCTION pg_catalog.aurora_replica_status(
  OUT server_id text, OUT session_id text, OUT durable_lsn bigint, OUT highest_lsn_rcvd bigint,
  OUT current_read_lsn bigint, OUT cur_replay_latency_in_usec bigint, OUT active_txns bigint,
  OUT is_current boolean, OUT last_transport_error integer,
  OUT last_error_timestamp timestamp with time zone,
  OUT last_update_timestamp timestamp with time zone, OUT feedback_xmin bigint,
  OUT feedback_epoch bigint, OUT replica_lag_in_msec bigint,
  OUT log_stream_speed_in_kib_per_second double precision, OUT log_buffer_sequence_number bigint,
  OUT oldest_read_view_trx_id bigint, OUT oldest_read_view_lsn bigint,
  OUT pending_read_ios bigint, OUT read_ios bigint, OUT iops integer, OUT cpu double precision
) RETURNS SETOF record
LANGUAGE sql VOLATILE SECURITY DEFINER ROWS 16 SET search_path = pg_catalog, pg_temp AS $body$
  SELECT shown.* FROM jsonb_to_recordset(
    nullif(pg_read_file('../aurora.json', 0, 1048576, true), '')::jsonb -> 'replicas'
  ) AS shown (
    server_id text, session_id text, durable_lsn bigint, highest_lsn_rcvd bigint,
    current_read_lsn bigint, cur_replay_latency_in_usec bigint, active_txns bigint,
    is_current boolean, last_transport_error integer,
    last_error_timestamp timestamp with time zone,
    last_update_timestamp timestamp with time zone, feedback_xmin bigint,
    feedback_epoch bigint, replica_lag_in_msec bigint,
    log_stream_speed_in_kib_per_second double precision, log_buffer_sequence_number bigint,
    oldest_read_view_trx_id bigint, oldest_read_view_lsn bigint,
    pending_read_ios bigint, read_ios bigint, iops integer, cpu double precision
  )
$body$;

