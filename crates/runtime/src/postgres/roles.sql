-- Run once, as causeway_admin, in `postgres` of a server that is made, by a server that nobody can
-- reach. A statement ends at a semicolon before an empty line.

-- CREATEROLE may grant any role that is no superuser. These three are the host itself: whoever has
-- one reads and writes files, and runs programs, as the server's user. Marked as superusers they
-- can be granted by a superuser alone; nobody can log in as one.
UPDATE pg_catalog.pg_authid SET rolsuper = true WHERE rolname IN
  ('pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files');

CREATE ROLE causeway_replication LOGIN REPLICATION;

GRANT pg_monitor TO causeway_replication;

CREATE ROLE rds_superuser NOLOGIN;

GRANT pg_monitor, pg_signal_backend, pg_checkpoint TO rds_superuser WITH ADMIN OPTION;

CREATE DATABASE causeway TEMPLATE template0;

REVOKE ALL ON DATABASE causeway FROM PUBLIC;

GRANT CONNECT ON DATABASE causeway TO causeway_replication;

